"""`cspine.study.train_synthetic`: from a recipe to a model package."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import cspine
from cspine.core.errors import AtlasError, TrainingError, UsageError
from cspine.models.package import load_package
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthetic_training.pool import Pool
from tests.builders.tiny_training import fill_pool, tiny_recipe


@pytest.fixture(scope="module")
def full_pool(tmp_path_factory: pytest.TempPathFactory, atlas: Atlas) -> Path:
    """A pool that is full."""
    folder = tmp_path_factory.mktemp("pool")
    fill_pool(folder, atlas)
    return folder


@pytest.fixture
def _ready(monkeypatch: pytest.MonkeyPatch, full_pool: Path) -> None:
    """Let runs read the full pool and start no process."""
    monkeypatch.setattr(Pool, "keep_alive", lambda self: None)
    monkeypatch.setattr(Pool, "paths", lambda self: sorted(full_pool.glob("case-*.npy")))


@pytest.mark.usefixtures("_ready")
def test_a_recipe_becomes_a_model_that_a_cascade_is_added_to(tmp_path: Path, atlas_folder: Path) -> None:
    sources = cspine.study.TrainingSources(str(atlas_folder))
    told: list[tuple[int, int]] = []
    first = cspine.study.train_synthetic(
        tiny_recipe(),
        str(tmp_path / "run"),
        str(tmp_path / "first"),
        sources=sources,
        iterations=2,
        device="cpu",
        progress=lambda *step: told.append(step),
    )
    assert told == [(1, 2), (2, 2)]
    assert first.manifest == load_package(tmp_path / "first").manifest
    assert "2 iterations" in first.manifest.training_data

    now = cspine.study.train_synthetic(
        tiny_recipe(), tmp_path / "run", tmp_path / "now", sources=sources, snapshot=True, device="cpu"
    )
    one, other = (package.stages[0].weights("all") for package in (first, now))
    assert all(torch.equal(one[name], other[name]) for name in one)

    fine = cspine.study.train_synthetic(
        tiny_recipe(stage="fine", cascade=True),
        tmp_path / "fine-run",
        tmp_path / "fine",
        sources=sources,
        iterations=1,
        other_stages=tmp_path / "first",
        device="cpu",
    )
    assert [stage.manifest.name for stage in fine.stages] == ["neck", "fine"]


def test_what_cannot_be_trained_is_refused_before_a_run_begins(tmp_path: Path, atlas_folder: Path) -> None:
    places = (tmp_path / "run", tmp_path / "model")
    for recipe in (tiny_recipe(cascade=True), tiny_recipe(anatomy="articulated")):
        with pytest.raises(UsageError):
            cspine.study.train_synthetic(recipe, *places, sources=cspine.study.TrainingSources(atlas_folder))
    with pytest.raises(UsageError):
        cspine.study.train_synthetic(tiny_recipe(), *places, iterations=0)
    with pytest.raises(UsageError):
        cspine.study.train_synthetic(tiny_recipe(), places[0], shutil.copytree(atlas_folder, tmp_path / "mine"))
    with pytest.raises(TrainingError):
        cspine.study.train_synthetic("no-such-recipe", *places)
    with pytest.raises(AtlasError):
        cspine.study.train_synthetic(
            tiny_recipe(), *places, sources=cspine.study.TrainingSources(tmp_path / "absent"), device="cpu"
        )
    assert not (tmp_path / "run").exists() and not (tmp_path / "model").exists()
