"""What holds for every engine: the same labels as torch in float32, the same ones each time, and networks kept."""

from __future__ import annotations

import os

import numpy as np
import pytest

from cspine.core.errors import ModelChecksumError
from cspine.inference.engines import base
from cspine.inference.engines.choose import choose_engine
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.models.package import ModelPackage
from cspine.models.package_writer import write_package
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume


def labels_by(tmp_path, engine, precision="float32", **model) -> np.ndarray:
    package = TinyModel(**model).package(tmp_path / "tiny")
    settings = InferenceSettings("cpu", engine=engine, precision=precision, mirror=True)
    return segment(lively_volume(), package, settings).labels.labels_zyx


def dice(one: np.ndarray, other: np.ndarray) -> float:
    scores = [2 * np.sum((one == i) & (other == i)) / np.sum((one == i).astype(int) + (other == i)) for i in (1, 2)]
    return float(min(scores))


@pytest.mark.parametrize("folds", [("0",), ("0", "1")])
def test_openvino_gives_the_labels_of_torch(tmp_path, folds):
    expected = labels_by(tmp_path / "torch", "torch", folds=folds)
    assert set(np.unique(expected)) == {0, 1, 2}
    assert dice(labels_by(tmp_path / "openvino", "openvino", folds=folds), expected) >= 0.999


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_the_same_engine_gives_the_same_bytes(tmp_path, engine):
    first = labels_by(tmp_path / "one", engine)
    base.release_networks()
    assert first.tobytes() == labels_by(tmp_path / "two", engine).tobytes()


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_gives_nearly_the_same_labels(tmp_path, engine):
    expected = labels_by(tmp_path / "full", engine)
    assert np.mean(labels_by(tmp_path / "half", engine, "bfloat16") == expected) > 0.95


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_network_is_loaded_once_for_several_studies(tmp_path, engine, monkeypatch):
    base.release_networks()
    stage = TinyModel(folds=("0", "1")).package(tmp_path / "tiny").stages[0]
    chosen = choose_engine("cpu", engine=engine)
    loaded = []
    load = type(chosen).load
    monkeypatch.setattr(type(chosen), "load", lambda *given: loaded.append(given[2]) or load(*given))
    again = choose_engine("cpu", engine=engine)
    for _ in range(2):
        for fold in ("0", "1"):
            chosen.network(stage, fold)
            again.network(stage, fold)
    assert loaded == ["0", "1"]


def test_networks_that_were_not_used_for_long_are_dropped():
    networks = base._Networks()
    made: list[str] = []

    def get(name: str, size: int) -> None:
        networks.get((name,), lambda: made.append(name) or (lambda patch: patch), size)

    half = base._KEPT_BYTES // 2
    for name in ("a", "b", "a", "c", "a", "b"):
        get(name, half)
    assert made == ["a", "b", "c", "b"]
    get("large", 2 * base._KEPT_BYTES)  # larger than all that may be kept, and still of use
    assert made[-1] == "large"


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_a_package_that_is_held_never_runs_weights_that_replaced_its_own(tmp_path, engine):
    base.release_networks()
    chosen = choose_engine("cpu", engine=engine)
    patch = np.ones((1, 16, 24, 20), dtype=np.float32)

    def logits(package: ModelPackage) -> np.ndarray:
        with chosen.running():
            return np.array(chosen.network(package.stages[0], "0")(patch))

    model, other = TinyModel(), TinyModel(seed=9)
    held = model.package(tmp_path / "tiny")
    before = logits(held)
    new = write_package(tmp_path / "tiny", other.manifest(), {"fine": other.content()}, replace=True)
    os.utime(new.stages[0].weights_file("0"), ns=(0, 0))  # nothing but their content distinguishes them
    np.testing.assert_array_equal(logits(held), before)
    assert not np.allclose(logits(new), before)
    base.release_networks()
    with pytest.raises(ModelChecksumError):
        logits(held)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_weights_that_are_modified_after_the_package_was_loaded_are_not_run(tmp_path, engine):
    base.release_networks()
    stage = TinyModel().package(tmp_path / "tiny").stages[0]
    content = bytearray(stage.weights_file("0").read_bytes())
    content[-1] ^= 1
    stage.weights_file("0").write_bytes(content)
    with pytest.raises(ModelChecksumError):
        choose_engine("cpu", engine=engine).network(stage, "0")
