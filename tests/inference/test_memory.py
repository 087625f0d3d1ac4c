from __future__ import annotations

import numpy as np
import pytest

from cspine.core.errors import NotEnoughMemoryError, OutOfMemoryError
from cspine.core.volumes import CtVolume
from cspine.inference import predict, stage
from cspine.inference.engines.choose import choose_engine
from cspine.inference.memory import needed_bytes, network_shape, require_memory
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageRun, run_stage
from cspine.io.machine import Memory
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code
from tests.builders.stock_nnunet import lively_volume

CPU = InferenceSettings("cpu")


@pytest.fixture
def stages(tmp_path):
    return TinyModel().package(tmp_path / "tiny").stages


def test_what_a_run_needs_follows_from_the_scan_and_the_plan(stages):
    volume = CtVolume(np.zeros((40, 100, 60), dtype=np.int16), np.diag([1.0, 1.0, 3.0, 1.0]))
    assert network_shape(volume.grid, stages[0]) == (60, 50, 30)
    masks, image, logits = 4 * 40 * 100 * 60, 4 * 60 * 50 * 30, 4 * 4 * 16 * 50 * 30
    assert needed_bytes(volume.grid, stages) == masks + image + logits + 4 * 3 * 4 * 16 * 24 * 20


def test_what_cannot_fit_is_refused_before_anything_runs(stages, tmp_path, monkeypatch):
    volume = lively_volume()
    needed = needed_bytes(volume.grid, stages)
    require_memory(volume.grid, stages, CPU, Memory(2**40, needed, None))
    require_memory(volume.grid, stages, CPU, Memory(0, 0, None))  # unknown
    with raises_code(NotEnoughMemoryError, "30 x 52 x 44"):
        require_memory(volume.grid, stages, CPU, Memory(2**40, needed - 1, None))
    require_memory(volume.grid, stages, InferenceSettings("cuda"), Memory(2**40, needed - 1, None))

    own = 2 * volume.hu_zyx.size
    require_memory(volume.grid, stages, CPU, Memory(2**40, needed + own, None), is_read=False)
    with raises_code(NotEnoughMemoryError):
        require_memory(volume.grid, stages, CPU, Memory(2**40, needed + own - 1, None), is_read=False)

    def refuse(*_):
        raise NotEnoughMemoryError("x")

    monkeypatch.setattr(predict, "require_memory", refuse)
    monkeypatch.setattr(predict, "run_stage", lambda *_: pytest.fail("it ran"))
    with pytest.raises(NotEnoughMemoryError):
        segment(volume, TinyModel().package(tmp_path / "again"), CPU)


def labels_of(stages, monkeypatch, failing: int) -> tuple[np.ndarray, list[bool]]:
    """Return the labels of a stage whose first attempts run out of memory, and which attempts went slab by slab."""
    seen: list[bool] = []
    run_network = stage._run_network

    def attempt(channels, image, run, *, by_slabs):
        seen.append(by_slabs)
        if len(seen) <= failing:
            raise OutOfMemoryError("x")
        return run_network(channels, image, run, by_slabs=by_slabs)

    monkeypatch.setattr(stage, "_run_network", attempt)
    run = StageRun(stages[0], CPU, choose_engine("cpu"), lambda done, total: None)
    labels = run_stage(lively_volume(), None, run).labels_zyx
    monkeypatch.setattr(stage, "_run_network", run_network)
    return labels, seen


def test_less_memory_gives_the_same_labels(stages, monkeypatch):
    expected, first = labels_of(stages, monkeypatch, failing=0)
    labels, attempts = labels_of(stages, monkeypatch, failing=1)
    assert first == [False]
    assert attempts == [False, True]
    assert len(np.unique(labels)) > 2
    assert np.array_equal(labels, expected)


def test_a_gpu_gives_way_to_the_cpu(stages, monkeypatch):
    expected, _ = labels_of(stages, monkeypatch, failing=0)
    engine = choose_engine("cpu")
    engine.device = "cuda:0 (a card)"
    run_network, devices = stage._run_network, []

    def attempt(channels, image, run, *, by_slabs):
        devices.append(run.engine.device)
        if run.engine is engine:
            raise OutOfMemoryError("x")
        return run_network(channels, image, run, by_slabs=by_slabs)

    monkeypatch.setattr(stage, "_run_network", attempt)
    labels = run_stage(lively_volume(), None, StageRun(stages[0], CPU, engine, lambda done, total: None)).labels_zyx
    assert devices == ["cuda:0 (a card)", "cuda:0 (a card)", "cpu"]
    assert np.array_equal(labels, expected)


def test_memory_that_never_suffices_is_an_error(stages, monkeypatch):
    with pytest.raises(OutOfMemoryError):
        labels_of(stages, monkeypatch, failing=9)


def test_other_failures_are_not_tried_again(stages, monkeypatch):
    seen = []

    def attempt(*_, by_slabs):
        seen.append(by_slabs)
        raise ValueError("shapes")

    monkeypatch.setattr(stage, "_run_network", attempt)
    with pytest.raises(ValueError, match="shapes"):
        run_stage(lively_volume(), None, StageRun(stages[0], CPU, choose_engine("cpu"), lambda done, total: None))
    assert seen == [False]
