"""`cspine train`: from a recipe and the atlas to a model package."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from cspine import images
from cspine.cli.train import command
from cspine.errors import AtlasError, TrainingError, UsageError
from cspine.models.package import load_package
from cspine.study.label_sets import label_set
from cspine.synthesis.atlas import Atlas
from tests.builders.tiny_training import fill_pool, tiny_recipe

_LABELS = label_set("cervical", auxiliary=True).network_labels()


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory, atlas: Atlas, atlas_cache: Path) -> Path:
    """The folder of a run whose pool is full, and a recipe beside it."""
    folder = tmp_path_factory.mktemp("ready")
    shutil.copytree(atlas_cache, folder / "run")
    fill_pool(folder / "run" / "pool", atlas)
    (folder / "tiny.yaml").write_text(yaml.safe_dump(tiny_recipe().model_dump(mode="json")), "utf-8")
    return folder


def _train(atlas_folder: Path, folder: Path, *more: str) -> Result:
    arguments = ["--atlas", str(atlas_folder), "--run", str(folder / "run"), "--out", str(folder / "model")]
    return CliRunner().invoke(
        command, [*arguments, "--recipe", str(folder / "tiny.yaml"), "--device", "cpu", *more], catch_exceptions=False
    )


def test_a_run_ends_with_a_package_and_the_next_one_goes_on(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    shutil.copytree(ready, tmp_path / "a")
    told = _train(atlas_folder, tmp_path / "a", "--synthetic")
    assert told.exit_code == 0
    assert "tiny 0.0.1 (DEMONSTRATION)" in told.output
    assert "3 iterations" in load_package(tmp_path / "a" / "model").manifest.training_data

    assert _train(atlas_folder, tmp_path / "a", "--synthetic", "--iterations", "5").exit_code == 0
    assert torch.load(tmp_path / "a" / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 5
    assert "5 iterations" in load_package(tmp_path / "a" / "model").manifest.training_data
    log = (tmp_path / "a" / "run" / "log.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in log] == ["iteration", "3", "5"]


def test_there_is_only_synthetic_training(tmp_path: Path, atlas_folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _train(atlas_folder, tmp_path)
    assert "--synthetic" in caught.value.advice


def test_an_absent_atlas_or_recipe_is_an_error(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    shutil.copy(ready / "tiny.yaml", tmp_path)
    with pytest.raises(AtlasError):
        _train(tmp_path / "absent", tmp_path, "--synthetic")
    with pytest.raises(TrainingError, match="cannot read the recipe"):
        _train(atlas_folder, tmp_path, "--synthetic", "--recipe", "no-such-recipe")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("wrong", [["--iterations", "0"], ["--minutes", "0"]])
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, atlas_folder: Path, wrong: list[str]) -> None:
    assert _train(atlas_folder, tmp_path, "--synthetic", *wrong).exit_code == 2


def test_a_fine_stage_is_trained_after_a_coarse_one_and_starts_where_a_model_stands(
    ready: Path, tmp_path: Path, atlas_folder: Path
) -> None:
    shutil.copytree(ready, tmp_path / "a")
    assert _train(atlas_folder, tmp_path / "a", "--synthetic").exit_code == 0
    first = str(tmp_path / "a" / "model")

    fine = tmp_path / "fine"
    shutil.copytree(ready, fine)
    recipe = tiny_recipe(stage="fine", cascade=True, version="0.0.2")
    (fine / "tiny.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")), "utf-8")
    assert _train(atlas_folder, fine, "--synthetic", "--after", first).exit_code == 0
    assert [stage.manifest.name for stage in load_package(fine / "model").stages] == ["neck", "fine"]
    with pytest.raises(UsageError, match="--after"):
        _train(atlas_folder, fine, "--synthetic")
    with pytest.raises(UsageError, match="--after"):
        _train(atlas_folder, tmp_path / "a", "--synthetic", "--after", first)

    again = tmp_path / "again"
    shutil.copytree(ready, again)
    assert _train(atlas_folder, again, "--synthetic", "--start-from", first, "--iterations", "1").exit_code == 0
    one, other = (load_package(Path(place)).stages[0].weights("all") for place in (first, again / "model"))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=0.02) for name in one)
    assert "begun with the weights of tiny 0.0.1" in load_package(again / "model").manifest.training_data

    misfit = tmp_path / "misfit"
    shutil.copytree(ready, misfit)
    network = {**tiny_recipe().network.model_dump(mode="json"), "features_per_stage": [4, 8, 12]}
    (misfit / "tiny.yaml").write_text(yaml.safe_dump(tiny_recipe(network=network).model_dump(mode="json")), "utf-8")
    with pytest.raises(TrainingError, match="do not fit the recipe"):
        _train(atlas_folder, misfit, "--synthetic", "--start-from", first)


def test_labelled_cases_are_mixed_in_and_must_fit(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    shutil.copytree(ready, tmp_path / "a")
    dataset = tmp_path / "dataset"
    rng = np.random.default_rng(0)
    for name, low, high, kind in (("imagesTr/x_0000", -900, 900, np.int16), ("labelsTr/x", 0, 10, np.uint8)):
        images.write(dataset / f"{name}.nii.gz", rng.integers(low, high, (30, 30, 30)).astype(kind), np.eye(4) * 3)
    (dataset / "dataset.json").write_text(json.dumps({"labels": _LABELS}), "utf-8")
    assert _train(atlas_folder, tmp_path / "a", "--synthetic", "--labelled", str(dataset)).exit_code == 0
    told = load_package(tmp_path / "a" / "model").manifest.training_data
    assert "1 labelled cases of dataset" in told
    with pytest.raises(TrainingError, match="another network, recipe, start or set of labelled cases"):
        _train(atlas_folder, tmp_path / "a", "--synthetic", "--iterations", "9")
    with pytest.raises(TrainingError, match=r"no dataset\.json"):
        _train(atlas_folder, tmp_path / "a", "--synthetic", "--labelled", str(tmp_path), "--iterations", "9")
