"""The folder of a run: whose it is, what goes on in it, and who else may not."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from cspine.core.errors import OutputError, TrainingError, UsageError
from cspine.study.training.cases import ALL, read_cases_of
from cspine.study.training.run_folder import LOADERS, RunFolder, open_run, read_settings
from cspine.study.training.settings import PlanChanges, TrainingSettings
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset

SETTINGS = TrainingSettings(epochs=2, changes=PlanChanges(patch_size=(16, 16, 16)))


@pytest.fixture
def cases(tmp_path):
    return read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny").root, None)


@pytest.fixture
def run(tmp_path, cases):
    (tmp_path / "run").mkdir()
    open_run(tmp_path / "run", cases, SETTINGS)
    return tmp_path / "run"


def test_nnunet_gets_the_datasets_own_folds_and_the_paths_of_the_files(run, cases):
    folder = open_run(run, cases, SETTINGS)
    assert json.loads((folder.preprocessed / "splits_final.json").read_text()) == cases.splits()
    content = json.loads((folder.raw / "dataset.json").read_text())
    assert set(content["dataset"]) == {row.case for row in cases.rows}
    assert read_settings(run) == SETTINGS


def test_the_same_run_goes_on_also_with_a_copy_of_the_dataset(run, cases, tmp_path):
    copied = tiny_dataset(tmp_path / "copy" / "Dataset501_Tiny").root
    folder = open_run(run, read_cases_of(copied, ("0",)), SETTINGS)  # other folds are no other run
    assert str(copied) in (folder.raw / "dataset.json").read_text()


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        (replace(SETTINGS, epochs=3), "epochs"),
        (replace(SETTINGS, trainer="nnUNetTrainerNoMirroring", mirror=False), "trainer, mirror"),
        (replace(SETTINGS, changes=PlanChanges()), "patch size"),
    ],
)
def test_other_settings_are_refused(run, cases, settings, names):
    with raises_code(TrainingError, run, names) as refused:
        open_run(run, cases, settings)
    assert "another folder for `run`" in refused.value.advice


def test_another_dataset_split_or_content_is_refused(run, cases, tmp_path):
    with raises_code(TrainingError, run, "Dataset501_Tiny"):
        open_run(run, read_cases_of(tiny_dataset(tmp_path / "Dataset502_Other").root, None), SETTINGS)
    split_again = tiny_dataset(tmp_path / "anew" / "Dataset501_Tiny", training=3, internal=2)
    with raises_code(TrainingError, run, "split"):
        open_run(run, read_cases_of(split_again.root, None), SETTINGS)
    with raises_code(TrainingError, run, "cases"):
        open_run(run, replace(cases, checksum="0" * 64), SETTINGS)


@pytest.mark.parametrize("text", ["{", "[]", '{"command": "cspine audit"}', '{"command": "cspine train"}'])
def test_a_damaged_record_is_refused(run, cases, text):
    (run / "run.json").write_text(text)
    with raises_code(TrainingError, run, "run.json"):
        open_run(run, cases, SETTINGS)
    with pytest.raises(TrainingError):
        read_settings(run)


def test_a_folder_of_something_else_is_not_changed(cases, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "letters.txt").write_text("dear")
    with raises_code(UsageError, "letters.txt"):
        open_run(tmp_path / "run", cases, SETTINGS)
    with raises_code(TrainingError, "run.json", tmp_path / "run"):
        read_settings(tmp_path / "run")


def test_one_command_at_a_time_works_in_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "run", "")
    with folder.locked(), pytest.raises(TrainingError), folder.locked():
        pass
    with folder.locked():
        pass


def test_the_lock_outlives_the_command_while_a_process_of_the_run_lives(tmp_path):
    folder = RunFolder(tmp_path / "run", "")
    wait = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    with folder.locked() as lock:
        child = subprocess.Popen(wait, stdin=subprocess.PIPE, pass_fds=(lock,))
    with pytest.raises(TrainingError), folder.locked():
        pass
    child.communicate()
    with folder.locked():
        pass


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError), RunFolder(tmp_path / "file" / "run", "").locked():
        pass


def test_steps_are_remembered(tmp_path):
    folder = RunFolder(tmp_path, "Dataset501_Tiny")
    assert not folder.is_done("fold 3d_fullres 0")
    folder.mark_done("fold 3d_fullres 0")
    assert folder.is_done("fold 3d_fullres 0") and not folder.is_done("fold 3d_fullres 1")


def test_nnunet_sees_the_runs_folders_whatever_the_environment_says(tmp_path, monkeypatch):
    monkeypatch.setenv("nnUNet_raw", "/somewhere/else")
    monkeypatch.setenv("nnUNet_extTrainer", "/somewhere/else")
    folder = RunFolder(tmp_path / "run", "Dataset501_Tiny")
    found = folder.environment(3, 2, "1", compiled=False)
    assert found["nnUNet_raw"] == str(tmp_path / "run" / "nnUNet_raw")
    assert "nnUNet_extTrainer" not in found
    assert (found["nnUNet_def_n_proc"], found[LOADERS], found["CUDA_VISIBLE_DEVICES"]) == (
        "3",
        "2",
        "1",
    )
    assert found["nnUNet_compile"] == "f"


def test_one_model_of_all_cases_has_no_folds_file(tmp_path):
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", folds=0)
    (tmp_path / "run").mkdir()
    folder = open_run(tmp_path / "run", read_cases_of(dataset.root, (ALL,)), SETTINGS)
    assert not (folder.preprocessed / "splits_final.json").exists()
