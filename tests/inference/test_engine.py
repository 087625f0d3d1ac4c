from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from cspine.core.errors import CSpineError, DeviceError, InferenceError, OutOfMemoryError, UsageError
from cspine.inference.engine import Engine, choose_engine, translated_errors
from cspine.inference.settings import InferenceSettings


def test_auto_chooses_cuda_where_there_is_one(monkeypatch, caplog):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert choose_engine("auto").name == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")
    with caplog.at_level("INFO", logger="cspine"):
        engine = choose_engine("auto")
    assert (engine.name, engine.precision) == ("cuda:0 (a card)", "float16")
    assert choose_engine("cuda:1").device == torch.device("cuda", 1)
    with pytest.raises(DeviceError, match=r"cuda:2.*\b2\b"):
        choose_engine("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "mps", "", "cuda:-1"])
def test_a_device_that_is_none_is_refused(device):
    with pytest.raises(DeviceError, match=re.escape(repr(device))):
        choose_engine(device)


def test_cuda_without_a_card_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(DeviceError, match="cuda"):
        choose_engine("cuda")


def test_precision_on_the_cpu():
    assert choose_engine("cpu").precision == "float32"
    assert choose_engine("cpu", "bfloat16").precision == "bfloat16"


def test_logits_go_to_the_cpu_where_the_card_is_full(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 2000))
    engine = Engine(torch.device("cuda", 0), torch.float16)
    assert engine.device_for(399).type == "cuda"
    assert engine.device_for(401).type == "cpu"


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (MemoryError("x"), OutOfMemoryError),
        (np.exceptions.AxisError("x"), None),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), OutOfMemoryError),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), OutOfMemoryError),
        (RuntimeError("sizes do not match\nmore"), InferenceError),
        (DeviceError("x"), DeviceError),
    ],
)
def test_failures_have_a_code(raised, expected):
    with pytest.raises(expected or type(raised)) as caught, translated_errors():
        raise raised
    if isinstance(caught.value, CSpineError):
        assert "\n" not in caught.value.message


@pytest.mark.parametrize("setting", [{"step_size": 0}, {"step_size": 1.1}, {"precision": "half"}, {"folds": ()}])
def test_settings_that_make_no_sense_are_refused(setting):
    with pytest.raises(UsageError):
        InferenceSettings(**setting)
