"""From a dataset to a model package: nnU-Net itself, in the smallest size."""

import csv
import json
import shutil

import pytest
import torch

from cspine.core.errors import TrainingError, UsageError
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.io import nifti
from cspine.models.package import load_package
from cspine.study.datasets.case_table import split_checksum
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.training import children
from cspine.study.training.cases import read_cases_of
from cspine.study.training.run_folder import RunFolder
from cspine.study.training.settings import CASCADE, TrainingSettings
from cspine.study.training.train import _checked_plans
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset
from tests.builders.tiny_model import call_train
from tests.builders.warm_steps import steps_in

pytestmark = pytest.mark.slow


def fold_of(run, fold):
    (found,) = run.glob(f"nnUNet_results/*/*/fold_{fold}")
    return found


def epochs_of(run, fold):
    with (fold_of(run, fold) / "epochs.csv").open(newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.fixture
def again(trained, tmp_path):
    """A copy of the run, which a test may spoil."""
    return shutil.copytree(trained.run, tmp_path / "run")


def test_the_package_is_complete_and_records_its_split(trained):
    package = load_package(trained.package)
    rows = DatasetFolder(trained.dataset).rows()
    assert (package.manifest.format, package.manifest.split) == (2, split_checksum(rows))
    (stage,) = package.stages
    assert (stage.manifest.folds, stage.manifest.orientation, stage.manifest.mirror_axes) == (("0", "1"), "RAS", ())
    assert stage.manifest.labels == {number: f"C{number}" for number in range(1, 8)} | {8: "T1"}
    assert (stage.plan.patch_size, stage.plan.spacing_mm) == ((16, 16, 16), (3.0, 3.0, 3.0))
    assert str(trained.dataset.parent) not in (trained.package / "model.yaml").read_text()


def test_the_card_has_data_training_folds_and_licences(trained):
    card = (trained.package / "README.md").read_text()
    assert "| VerSe 2019 | 4 | 4 | 42 +- 1 (n = 4) | 50% (n = 4) | 3.00 (3.00..3.00)" in card
    assert "| level | mean | min | max | fold 0 | fold 1 |" in card and "| cases | 4 | | | 2 | 2 |" in card
    assert "PlainConvUNet (2, 4, 8 channels), voxels of 3 x 3 x 3 mm, patches of 16 x 16 x 16" in card
    assert "mirrored patches: no" in card and "2 epochs, 2 iterations per epoch" in card
    assert "Not granted here" in card and "VerSe 2019: CC BY-SA 4.0" in card
    assert str(trained.dataset.parent) not in card


def test_each_fold_was_validated_on_the_cases_that_the_table_gives_it(trained):
    for fold in ("0", "1"):
        cases = {path.name.removesuffix(".nii.gz") for path in fold_of(trained.run, fold).glob("validation/*.nii.gz")}
        rows = DatasetFolder(trained.dataset).rows()
        assert cases == {row.case for row in rows if row.subset == "training" and str(row.fold) == fold}


def test_the_command_prints_what_it_needs_and_where_the_package_is(trained):
    assert "4 training cases, 2 folds to train" in trained.printed
    assert "GPU hours" in trained.printed and "Disk: about" in trained.printed
    assert f"Model package model 1 in {trained.package}" in trained.printed


def test_epochs_are_reported_in_a_table(trained):
    rows = epochs_of(trained.run, "1")
    assert [(row["epoch"], row["of"]) for row in rows] == [("0", "2"), ("1", "2")]
    assert all(float(row["train_loss"]) > 0 and float(row["learning_rate"]) > 0 for row in rows)


def test_checkpoints_and_plans_contain_no_names_of_cases(trained):
    checkpoint = fold_of(trained.run, "0") / "checkpoint_final.pth"
    assert "dataset" not in torch.load(checkpoint, weights_only=False)["init_args"]["dataset_json"]
    assert "case_0" not in (trained.package / "segment" / "dataset.json").read_text()


def test_a_finished_run_makes_its_package_again_without_training(trained, again, tmp_path, monkeypatch):
    monkeypatch.setattr(children, "_start", None)  # nothing may be started
    assert call_train(trained.dataset, again, tmp_path / "model", "--title", "Once more").exit_code == 0
    one, other = (load_package(path) for path in (trained.package, tmp_path / "model"))
    assert other.manifest.title == "Once more"
    for fold in ("0", "1"):
        first, second = (package.stages[0].weights(fold) for package in (one, other))
        assert all(torch.equal(first[name], second[name]) for name in first)


def test_some_folds_make_a_package_of_their_own(trained, again, tmp_path, monkeypatch):
    monkeypatch.setattr(children, "_start", None)
    assert call_train(trained.dataset, again, tmp_path / "model", "--folds", "1").exit_code == 0
    assert load_package(tmp_path / "model").stages[0].manifest.folds == ("1",)


def test_an_interrupted_fold_goes_on_from_its_checkpoint_and_the_others_stay(trained, again, tmp_path):
    """As if the machine had lost power in the second epoch of fold 1; the process is one of its own, as in use."""
    folder = fold_of(again, "1")
    state = torch.load(folder / "checkpoint_final.pth", weights_only=False)
    state["current_epoch"] = 1
    for values in state["logging"].values():
        del values[1:]
    torch.save(state, folder / "checkpoint_latest.pth")
    for name in ("checkpoint_final.pth", "validation/summary.json"):
        (folder / name).unlink()
    (folder / "checkpoint_latest.pth.partial").write_bytes(b"half")
    (again / "done" / "fold_3d_fullres_1.json").unlink()
    other = fold_of(again, "0") / "checkpoint_final.pth"
    before, first = other.stat().st_mtime_ns, epochs_of(again, "1")[0]

    assert call_train(trained.dataset, again, tmp_path / "model").exit_code == 0
    rows = epochs_of(again, "1")
    assert [row["epoch"] for row in rows] == ["0", "1"] and rows[0] == first
    assert other.stat().st_mtime_ns == before
    assert load_package(tmp_path / "model").stages[0].manifest.folds == ("0", "1")
    log = RunFolder(again, trained.dataset.name).log("fold 3d_fullres 1").read_text()
    assert log.count("Epoch 0") == 1 and log.count("Epoch 1") == 2


def test_a_damaged_validation_makes_no_package(trained, again, tmp_path):
    (fold_of(again, "0") / "validation" / "summary.json").write_text("{")
    with raises_code(TrainingError, 0, fold_of(again, "0") / "validation" / "summary.json"):
        call_train(trained.dataset, again, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_damaged_plans_are_named(trained, again, tmp_path):
    next(again.glob("nnUNet_preprocessed/*/nnUNetPlans.json")).write_text(json.dumps({})[:1])
    with raises_code(TrainingError, "nnUNetPlans.json"):
        call_train(trained.dataset, again, tmp_path / "model")


def test_a_configuration_that_was_not_planned_is_refused_with_those_that_were(trained):
    folder = RunFolder(trained.run, trained.dataset.name)
    cases = read_cases_of(trained.dataset, None)
    with raises_code(UsageError, "3d_lowres", "2d, 3d_fullres") as refused:
        _checked_plans(folder, TrainingSettings(configuration="3d_lowres"), cases)
    assert "train 3d_fullres" in refused.value.advice


def test_a_cascade_is_trained_on_predictions_of_folds_that_did_not_see_a_case(tmp_path, warm_study):
    """nnU-Net plans a first stage where a patch sees little of an image: here, for hardly any memory."""
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", internal=0, external=0, scale=2).root
    options = (
        "--epochs",
        "1",
        "--configuration",
        CASCADE,
        "--spacing",
        "1.5,1.5,1.5",
        "--gpu-memory",
        "0.02",
        "--folds",
        "0",
    )
    with steps_in(warm_study):
        result = call_train(dataset, tmp_path / "run", tmp_path / "model", *options)
    assert result.exit_code == 0 and "4 training cases, 3 folds to train" in result.output
    (predicted,) = tmp_path.glob(f"run/nnUNet_results/*/*/predicted_next_stage/{CASCADE}")
    assert len(list(predicted.glob("case_*"))) == 4
    locate, fine = load_package(tmp_path / "model").stages
    assert (locate.manifest.name, fine.manifest.name) == ("locate", "fine")
    assert locate.manifest.folds == fine.manifest.folds == ("0",)
    assert locate.plan.spacing_mm > fine.plan.spacing_mm == (1.5, 1.5, 1.5)
    ct = nifti.read_ct(dataset / "imagesTr" / "case_0_0000.nii.gz")
    assert segment(ct, load_package(tmp_path / "model"), InferenceSettings(device="cpu")).labels.grid.is_close(ct.grid)
