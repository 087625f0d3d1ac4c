"""`cspine train`: from a dataset, or from a recipe and the atlas, to a model package."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner, Result

from cspine.cli.train import _command_line, command
from cspine.cli.train_options import NAMES, training_settings
from cspine.core.errors import AtlasError, TrainingError, UsageError
from cspine.io import nifti
from cspine.models.package import load_package
from cspine.study.label_sets import label_set
from cspine.study.synthesis.atlas import Atlas
from cspine.study.training.settings import PRESETS
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset
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
    result = _train(atlas_folder, tmp_path / "a", "--synthetic")
    assert result.exit_code == 0
    assert "tiny 0.0.1 (DEMONSTRATION)" in result.output
    assert "3 iterations" in load_package(tmp_path / "a" / "model").manifest.training_data

    assert _train(atlas_folder, tmp_path / "a", "--synthetic", "--iterations", "5").exit_code == 0
    assert torch.load(tmp_path / "a" / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 5
    assert "5 iterations" in load_package(tmp_path / "a" / "model").manifest.training_data
    log = (tmp_path / "a" / "run" / "log.csv").read_text().splitlines()
    assert [line.partition(",")[0] for line in log] == ["iteration", "3", "5"]


def test_an_absent_atlas_or_recipe_is_an_error(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    shutil.copy(ready / "tiny.yaml", tmp_path)
    with pytest.raises(AtlasError):
        _train(tmp_path / "absent", tmp_path, "--synthetic")
    with raises_code(TrainingError, "no-such-recipe"):
        _train(atlas_folder, tmp_path, "--synthetic", "--recipe", "no-such-recipe")
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize("wrong", [["--iterations", "0"], ["--minutes", "30"], ["--after", "x"]])
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
    assert _train(atlas_folder, fine, "--synthetic", "--other-stages", first).exit_code == 0
    assert [stage.manifest.name for stage in load_package(fine / "model").stages] == ["neck", "fine"]
    with raises_code(UsageError, "--other-stages"):
        _train(atlas_folder, fine, "--synthetic")

    again = tmp_path / "again"
    shutil.copytree(ready, again)
    assert _train(atlas_folder, again, "--synthetic", "--start-from", first, "--iterations", "1").exit_code == 0
    one, other = (load_package(Path(path)).stages[0].weights("all") for path in (first, again / "model"))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=0.02) for name in one)
    assert "started from the weights of tiny 0.0.1" in load_package(again / "model").manifest.training_data

    misfit = tmp_path / "misfit"
    shutil.copytree(ready, misfit)
    network = {**tiny_recipe().network.model_dump(mode="json"), "features_per_stage": [4, 8, 12]}
    (misfit / "tiny.yaml").write_text(yaml.safe_dump(tiny_recipe(network=network).model_dump(mode="json")), "utf-8")
    with raises_code(TrainingError, "plans.json"):
        _train(atlas_folder, misfit, "--synthetic", "--start-from", first)


def test_a_stage_that_is_trained_again_replaces_itself_and_a_snapshot_has_its_current_weights(
    ready: Path, tmp_path: Path, atlas_folder: Path
) -> None:
    folders = {name: tmp_path / name for name in ("neck", "fine", "again")}
    recipes = {
        "neck": tiny_recipe(training_data="Coarse."),
        "fine": tiny_recipe(stage="fine", cascade=True, training_data="Close-ups."),
        "again": tiny_recipe(version="0.0.3", seed=5, training_data="Coarse once more."),
    }
    for name, folder in folders.items():
        shutil.copytree(ready, folder)
        (folder / "tiny.yaml").write_text(yaml.safe_dump(recipes[name].model_dump(mode="json")), "utf-8")
    assert _train(atlas_folder, folders["neck"], "--synthetic").exit_code == 0
    assert (
        _train(atlas_folder, folders["fine"], "--synthetic", "--other-stages", str(folders["neck"] / "model")).exit_code
        == 0
    )
    both = str(folders["fine"] / "model")
    with raises_code(TrainingError, "checkpoint", folders["again"] / "run"):
        _train(atlas_folder, folders["again"], "--synthetic", "--other-stages", both, "--snapshot")
    assert _train(atlas_folder, folders["again"], "--synthetic", "--other-stages", both).exit_code == 0
    assert _train(atlas_folder, folders["again"], "--synthetic", "--other-stages", both, "--snapshot").exit_code == 0

    package, before = load_package(folders["again"] / "model"), load_package(folders["fine"] / "model")
    assert [stage.manifest.name for stage in package.stages] == ["neck", "fine"]
    card = package.manifest.training_data
    assert card.count("Stage neck:") == card.count("Stage fine:") == 1
    assert "Stage neck: Coarse once more. 3 iterations" in card
    assert "Stage fine: Close-ups. 3 iterations" in card
    kept, trained = (
        [package.stages[i].weights("all"), before.stages[i].weights("all")] for i in (1, 0)
    )  # fmt: skip
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert not all(torch.equal(trained[0][name], trained[1][name]) for name in trained[0])


def test_articulated_necks_need_the_folder_of_people(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    recipe = tiny_recipe(anatomy="articulated")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe.model_dump(mode="json")), "utf-8")
    with raises_code(UsageError, "--anatomies"):
        _train(atlas_folder, tmp_path, "--synthetic")
    assert not (tmp_path / "run").exists()


def test_labelled_cases_are_mixed_in_and_must_fit(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    shutil.copytree(ready, tmp_path / "a")
    dataset = tmp_path / "dataset"
    rng = np.random.default_rng(0)
    for name, low, high, kind in (("imagesTr/x_0000", -900, 900, np.int16), ("labelsTr/x", 0, 10, np.uint8)):
        nifti.write(dataset / f"{name}.nii.gz", rng.integers(low, high, (30, 30, 30)).astype(kind), np.eye(4) * 3)
    (dataset / "dataset.json").write_text(json.dumps({"labels": _LABELS}), "utf-8")
    assert _train(atlas_folder, tmp_path / "a", "--synthetic", "--labelled", str(dataset)).exit_code == 0
    training_data = load_package(tmp_path / "a" / "model").manifest.training_data
    assert "1 labelled cases of dataset" in training_data
    with raises_code(TrainingError, tmp_path / "a" / "run"):
        _train(atlas_folder, tmp_path / "a", "--synthetic", "--iterations", "9")
    with raises_code(TrainingError, "dataset.json"):
        _train(atlas_folder, tmp_path / "a", "--synthetic", "--labelled", str(tmp_path), "--iterations", "9")


def _train_on(dataset: Path, folder: Path, *more: str) -> Result:
    arguments = [str(dataset), "--run", str(folder / "run"), "--out", str(folder / "model"), "--device", "cpu"]
    return CliRunner().invoke(command, [*arguments, *more], catch_exceptions=False)


@pytest.mark.parametrize(
    ("more", "value"),
    [
        (["--recipe", "cervical-demo"], "--recipe"),
        (["--atlas", "x", "--snapshot"], "--atlas, --snapshot"),
        (["--synthetic"], "DATASET"),
        (["--trainer", "nnUNetTrainerOfMine"], "'nnUNetTrainerOfMine'"),
        (["--folds", "0,x"], "--folds 0,x"),
        (["--folds", "all,0"], "--folds all,0"),
        (["--patch-size", "16,16"], "z, y, x"),
        (["--patch-size", "16,16,x"], "--patch-size 16,16,x"),
        (["--spacing", "1,1,0"], 0),
        (["--name", "two words"], "name"),
    ],
)
def test_options_that_make_no_sense_with_a_dataset_are_refused(tmp_path: Path, more: list[str], value: object) -> None:
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny").root
    with raises_code(UsageError, value):
        _train_on(dataset, tmp_path, *more)
    assert not (tmp_path / "run").exists() and not (tmp_path / "model").exists()


def test_options_of_a_dataset_do_not_go_with_synthetic_training(tmp_path: Path, atlas_folder: Path) -> None:
    with raises_code(UsageError, "--folds", "--epochs", "--synthetic"):
        _train(atlas_folder, tmp_path, "--synthetic", "--epochs", "3", "--folds", "0")


def test_neither_a_dataset_nor_synthetic_is_refused(tmp_path: Path, atlas_folder: Path) -> None:
    with pytest.raises(UsageError) as caught:
        _train(atlas_folder, tmp_path)
    assert "--synthetic" in caught.value.message


def test_a_preset_is_for_its_label_set(tmp_path: Path) -> None:
    necks = tiny_dataset(tmp_path / "Dataset501_Tiny").root
    with raises_code(TrainingError, "full-spine", "cervical"):
        _train_on(necks, tmp_path, "--preset", "paper-full-spine")
    folder = tiny_dataset(tmp_path / "Dataset502_Tiny")
    folder.write_dataset_json(label_set("cervical", auxiliary=True), folder.rows())
    with raises_code(TrainingError, "T2 and below"):
        _train_on(folder.root, tmp_path, "--preset", "paper-cervical")


def test_a_folder_that_is_no_package_is_not_replaced(ready: Path, tmp_path: Path, atlas_folder: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("years of work")
    with raises_code(UsageError, "--out", tmp_path / "model"):
        _train_on(tiny_dataset(tmp_path / "Dataset501_Tiny").root, tmp_path)
    shutil.copy(ready / "tiny.yaml", tmp_path)
    with raises_code(UsageError, "--out", tmp_path / "model"):
        _train(atlas_folder, tmp_path, "--synthetic")
    assert (tmp_path / "model" / "thesis.txt").is_file()


def test_further_options_change_a_preset() -> None:
    options = dict.fromkeys(NAMES) | {"preset": "smoke", "epochs": 7, "features": 3, "no_mirroring": False}
    settings, smoke = training_settings(options), PRESETS["smoke"].settings
    assert (settings.epochs, settings.changes.features, settings.mirror) == (7, 3, False)
    assert settings.iterations == smoke.iterations and settings.changes.patch_size == smoke.changes.patch_size


def test_the_command_of_the_card_has_no_folders_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["-v", "train", "/data/us/Dataset501_Tiny", "--run=/home/me/run", "--out", "../model", "--title", "A neck"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/cspine", *words])
    assert _command_line() == "cspine -v train Dataset501_Tiny --run=run --out model --title 'A neck'"
