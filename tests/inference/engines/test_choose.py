from __future__ import annotations

import pytest
import torch

from cspine.core.errors import DeviceError, UnsupportedModelError, UsageError
from cspine.inference.engines import choose
from cspine.inference.engines.choose import choose_engine, may_have_gpu
from cspine.inference.engines.cpu import has_amx
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


@pytest.fixture
def cards(monkeypatch):
    """Two cards, as far as torch says."""
    monkeypatch.setattr(choose, "may_have_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a card")


def described(*arguments) -> tuple[str, str, str]:
    engine = choose_engine(*arguments)
    return engine.name, engine.device, engine.precision


def test_auto_chooses_torch_and_half_precision_on_a_card(cards):
    assert described("auto") == ("torch", "cuda:0 (a card)", "float16")
    assert described("cuda:1", "float32") == ("torch", "cuda:1 (a card)", "float32")
    with raises_code(DeviceError, "cuda:2", 2):
        choose_engine("cuda:2")


def test_auto_chooses_openvino_on_a_cpu(cards, monkeypatch):
    assert described("cpu") == ("openvino", "cpu", "float32")
    assert described("cpu", "bfloat16") == ("openvino", "cpu", "bfloat16")
    assert described("auto", "auto", "openvino") == ("openvino", "cpu", "float32")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert described("auto") == ("openvino", "cpu", "float32")


def test_torch_runs_on_a_cpu_where_it_is_asked_for_or_openvino_is_absent(monkeypatch):
    assert described("cpu", "auto", "torch") == ("torch", "cpu", "float32")
    assert described("cpu", "bfloat16", "torch") == ("torch", "cpu", "bfloat16")
    monkeypatch.setattr(choose, "has_openvino", lambda: False)
    assert described("cpu") == ("torch", "cpu", "float32")
    with raises_code(UsageError, "OpenVINO"):
        choose_engine("cpu", "auto", "openvino")


def test_a_network_that_openvino_does_not_build_is_run_by_torch(tmp_path):
    stages = TinyModel(network="ResidualUNet").package(tmp_path / "tiny").stages
    assert choose_engine("cpu", stages=stages).name == "torch"
    with raises_code(UnsupportedModelError, "ResidualUNet"):
        choose_engine("cpu", "auto", "openvino", stages)


def test_openvino_and_a_card_exclude_each_other():
    with raises_code(UsageError, "cuda"):
        choose_engine("cuda", "auto", "openvino")


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "mps", "", "cuda:-1"])
def test_a_device_that_is_none_is_refused(device):
    with raises_code(DeviceError, repr(device)):
        choose_engine(device)


def test_cuda_without_a_card_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with raises_code(DeviceError, "cuda"):
        choose_engine("cuda")


def test_device_files_say_whether_torch_need_be_asked(tmp_path, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert not may_have_gpu(tmp_path)
    assert may_have_gpu(tmp_path / "no-such-folder")  # another system than Linux
    (tmp_path / "nvidiactl").touch()
    assert may_have_gpu(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not may_have_gpu(tmp_path)


@pytest.mark.parametrize(
    ("amx", "qualified", "precision"),
    [
        (True, {("openvino", "bfloat16")}, "bfloat16"),
        (True, {("torch", "bfloat16")}, "float32"),
        (True, set(), "float32"),
        (False, {("openvino", "bfloat16")}, "float32"),
    ],
)
def test_auto_reduces_precision_with_amx_and_a_qualified_package_alone(amx, qualified, precision, monkeypatch):
    monkeypatch.setattr(choose, "has_amx", lambda: amx)
    assert choose_engine("cpu", qualified=qualified).precision == precision
    assert choose_engine("cpu", "float32", qualified=qualified).precision == "float32"


@pytest.mark.parametrize(
    ("flags", "expected"), [("fpu amx_bf16 amx_tile avx2", True), ("fpu amx_tile avx512_bf16", False), ("", False)]
)
def test_amx_is_read_from_the_flags_of_the_cpu(flags, expected, tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\n\nprocessor : 1\nflags\t\t: other\n")
    assert has_amx(cpuinfo) is expected
    assert not has_amx(tmp_path / "none")
