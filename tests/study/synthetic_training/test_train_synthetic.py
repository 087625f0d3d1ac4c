"""Training: from nothing to weights, interrupted and continued, and what ends it with an error."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from cspine.core.errors import AtlasError, TrainingError
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.models.package import load_package
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthetic_training import train_synthetic as module
from cspine.study.synthetic_training.packaging import Provenance, package_model
from cspine.study.synthetic_training.pool import Pool
from cspine.study.synthetic_training.recipe import Recipe
from cspine.study.synthetic_training.train_synthetic import (
    Run,
    build_network,
    decay_start,
    learning_rate,
    snapshot,
    train,
)
from tests.builders.raises import raises_code
from tests.builders.tiny_training import fill_pool, tiny_recipe


@pytest.fixture(scope="module")
def full_pool(tmp_path_factory: pytest.TempPathFactory, atlas: Atlas) -> Path:
    """A folder of a run whose pool is full."""
    folder = tmp_path_factory.mktemp("full")
    fill_pool(folder / "pool", atlas)
    return folder


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch, full_pool: Path) -> None:
    """Let runs read the full pool and start no process."""
    monkeypatch.setattr(Pool, "keep_alive", lambda self: None)
    monkeypatch.setattr(Pool, "paths", lambda self: sorted((full_pool / "pool").glob("case-*.npy")))


def _run(folder: Path, atlas_folder: Path, recipe: Recipe | None = None) -> Run:
    return Run(recipe or tiny_recipe(), atlas_folder, folder, torch.device("cpu"))


def _silent(done: int, total: int) -> None:
    return None


def _log(folder: Path) -> list[dict[str, str]]:
    with (folder / "log.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


# --- end to end -------------------------------------------------------------------------------------------------------


def test_from_an_atlas_to_a_package_that_predicts(tmp_path: Path, atlas_folder: Path, atlas: Atlas) -> None:
    recipe = tiny_recipe(pool=2, close_up=True)
    reported: list[tuple[int, int]] = []
    weights, iterations = train(_run(tmp_path / "run", atlas_folder, recipe), lambda *step: reported.append(step))
    assert iterations == 3
    assert reported == [(1, 3), (2, 3), (3, 3)]
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    (row,) = _log(tmp_path / "run")
    assert row["iteration"] == "3"
    assert math.isfinite(float(row["loss"]))

    package_model(recipe, weights, Provenance(iterations), tmp_path / "tiny")
    ct, _ = synthesize_case(atlas, 1, CaseSettings((3.0, 3.0, 3.0), (60.0, 60.0, 100.0), complete_neck=True))
    found = segment(ct, load_package(tmp_path / "tiny"), InferenceSettings(device="cpu")).labels
    assert found.labels_zyx.shape == ct.hu_zyx.shape
    assert set(np.unique(found.labels_zyx)) <= set(range(9))


@pytest.mark.usefixtures("ready")
def test_an_interrupted_run_goes_on_from_its_checkpoint(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_EVERY_S", -1.0)
    run = _run(tmp_path, atlas_folder)

    def interrupt(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(run, interrupt)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["iteration"] == 1
    reported: list[int] = []
    _, iterations = train(run, lambda done, total: reported.append(done))
    assert reported == [2, 3]
    assert iterations == 3
    after = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert after["iteration"] == 3
    assert after["seconds"] > kept["seconds"]
    assert {int(state["step"]) for state in after["optimizer"]["state"].values()} == {3}


@pytest.mark.usefixtures("ready")
def test_a_finished_run_gives_its_weights_again(tmp_path: Path, atlas_folder: Path) -> None:
    first, _ = train(_run(tmp_path, atlas_folder), _silent)
    again, iterations = train(_run(tmp_path, atlas_folder), _silent)
    assert iterations == 3
    assert first.keys() == again.keys()
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.usefixtures("ready")
def test_the_same_seeds_train_the_same_weights(tmp_path: Path, atlas_folder: Path) -> None:
    first, same, other = (
        train(_run(tmp_path / str(i), atlas_folder, tiny_recipe(seed=seed)), _silent)[0]
        for i, seed in enumerate((1, 1, 2))
    )
    assert all(torch.allclose(first[name], same[name], atol=1e-6) for name in first)
    assert not all(torch.allclose(first[name], other[name], atol=1e-6) for name in first)


@pytest.mark.usefixtures("ready")
def test_the_weights_are_the_average_over_the_run(tmp_path: Path, atlas_folder: Path) -> None:
    weights, _ = train(_run(tmp_path, atlas_folder), _silent)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert all(torch.equal(weights[name], kept["average"][f"module.{name}"]) for name in weights)
    assert any(not torch.equal(weights[name], kept["network"][name]) for name in weights)


@pytest.mark.usefixtures("ready")
def test_a_snapshot_has_the_averaged_weights_of_a_run_that_is_going_on(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_EVERY_S", -1.0)
    run = _run(tmp_path, atlas_folder, tiny_recipe(iterations=4))
    with raises_code(TrainingError, "checkpoint", run.folder):
        snapshot(run)
    seen: list[tuple[dict[str, torch.Tensor], int]] = []

    def look(done: int, total: int) -> None:
        if done == 3:
            seen.append(snapshot(run))
            kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
            assert all(torch.equal(value, kept["average"][f"module.{name}"]) for name, value in seen[0][0].items())

    weights, _ = train(run, look)
    assert seen[0][1] == 2  # the checkpoint of the third iteration comes after the report of it
    assert not all(torch.equal(weights[name], seen[0][0][name]) for name in weights)
    with raises_code(TrainingError, "network", tmp_path):
        snapshot(_run(tmp_path, atlas_folder, tiny_recipe(batch_size=1)))


def _constant(iterations: int, decay: int = 2) -> Recipe:
    return tiny_recipe(schedule="constant", iterations=iterations, decay_iterations=decay, warm_up=0)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("decay", [2, 0])
def test_a_finished_run_is_extended_from_before_its_decay(tmp_path: Path, atlas_folder: Path, decay: int) -> None:
    train(_run(tmp_path, atlas_folder, _constant(5)), _silent)
    before = torch.load(tmp_path / "checkpoint-before-decay.pt", weights_only=True)
    assert before["iteration"] == 3
    done: list[int] = []
    train(_run(tmp_path, atlas_folder, _constant(7, decay)), lambda step, total: done.append(step))
    assert done == [4, 5, 6, 7]
    assert (tmp_path / "checkpoint-before-decay.pt").exists() == bool(decay)
    if decay:
        assert torch.load(tmp_path / "checkpoint-before-decay.pt", weights_only=True)["iteration"] == 5


@pytest.mark.usefixtures("ready")
def test_an_interrupted_decay_goes_on_and_is_not_begun_again(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_CHECKPOINT_EVERY_S", -1.0)

    def interrupt(done: int, total: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(_run(tmp_path, atlas_folder, _constant(5)), interrupt)
    done: list[int] = []
    train(_run(tmp_path, atlas_folder, _constant(5)), lambda step, total: done.append(step))
    assert done == [5]


@pytest.mark.usefixtures("ready")
def test_training_lowers_the_loss(tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOG_EVERY", 10)
    train(_run(tmp_path, atlas_folder, tiny_recipe(iterations=30, learning_rate=0.01)), _silent)
    losses = [float(row["loss"]) for row in _log(tmp_path)]
    assert len(losses) == 3
    assert losses[2] < losses[0] - 0.1


# --- the schedule and the network -------------------------------------------------------------------------------------


def test_the_learning_rate_rises_then_falls_like_a_cosine() -> None:
    recipe = tiny_recipe(learning_rate=0.01, warm_up=10, iterations=1000)
    assert learning_rate(recipe, 0) == pytest.approx(0.001)
    assert learning_rate(recipe, 4) == pytest.approx(0.005, rel=1e-3)
    assert learning_rate(recipe, 500) == pytest.approx(0.005)
    assert learning_rate(recipe, 1000) == learning_rate(recipe, 1700) == pytest.approx(1e-5)
    assert learning_rate(tiny_recipe(learning_rate=0.01, warm_up=0), 0) == pytest.approx(0.01)
    falling = [learning_rate(recipe, iteration) for iteration in range(10, 1001, 45)]
    assert falling == sorted(falling, reverse=True)
    assert decay_start(recipe) is None


def test_a_constant_rate_falls_in_a_line_at_the_end_alone() -> None:
    recipe = tiny_recipe(
        learning_rate=0.01, warm_up=10, schedule="constant", iterations=1000, decay_iterations=200
    )  # fmt: skip
    assert decay_start(recipe) == 800
    assert learning_rate(recipe, 4) == pytest.approx(0.005)
    assert {learning_rate(recipe, iteration) for iteration in range(10, 801)} == {0.01}
    assert learning_rate(recipe, 900) == pytest.approx(0.005)
    assert learning_rate(recipe, 1000) == pytest.approx(1e-5)
    for_ever = recipe.model_copy(update={"decay_iterations": 0})
    assert decay_start(for_ever) is None
    assert learning_rate(for_ever, 999) == 0.01
    assert decay_start(recipe.model_copy(update={"decay_iterations": 2000})) == 0


def test_the_network_gives_every_class_at_every_supervised_resolution() -> None:
    outputs = build_network(tiny_recipe())(torch.zeros(1, 1, 24, 16, 16))
    assert [tuple(o.shape) for o in outputs] == [(1, 10, 24, 16, 16), (1, 10, 12, 8, 8)]


# --- errors -----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ready")
def test_a_loss_that_is_no_number_ends_the_run(tmp_path: Path, atlas_folder: Path) -> None:
    recipe = tiny_recipe(learning_rate=1e30, warm_up=0, iterations=20)
    with pytest.raises(TrainingError, match=r"\b(nan|inf)\b"):
        train(_run(tmp_path, atlas_folder, recipe), _silent)
    assert not (tmp_path / "checkpoint.pt").exists()


@pytest.mark.usefixtures("ready")
def test_the_run_of_another_network_is_not_continued(tmp_path: Path, atlas_folder: Path) -> None:
    train(_run(tmp_path, atlas_folder, tiny_recipe(iterations=1)), _silent)
    wider = tiny_recipe().network.model_copy(update={"features_per_stage": (6, 8, 8)})
    with raises_code(TrainingError, "network", tmp_path):
        train(_run(tmp_path, atlas_folder, tiny_recipe(network=wider)), _silent)


@pytest.mark.parametrize("content", [b"", b"nothing of torch's"])
@pytest.mark.usefixtures("ready")
def test_a_damaged_checkpoint_is_an_error_with_advice(tmp_path: Path, atlas_folder: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with raises_code(TrainingError, "checkpoint", tmp_path) as caught:
        train(_run(tmp_path, atlas_folder), _silent)
    assert "another folder" in caught.value.advice


def test_an_absent_atlas_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    with pytest.raises(AtlasError):
        train(_run(tmp_path / "run", tmp_path / "absent"), _silent)
    assert not (tmp_path / "run").exists()


@pytest.mark.usefixtures("ready")
def test_a_case_that_cannot_be_read_ends_the_run(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "case-00000.npy").write_bytes(b"damaged")
    monkeypatch.setattr(Pool, "paths", lambda self: [tmp_path / "case-00000.npy"] * 4)
    with pytest.raises(ValueError) as caught:
        train(_run(tmp_path / "run", atlas_folder), _silent)
    assert "numpy" in caught.traceback[-1].path.parts  # numpy cannot read the file
