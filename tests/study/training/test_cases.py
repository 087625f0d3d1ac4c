"""What a dataset has for a training, and what is refused before hours of work."""

import json
import shutil
from dataclasses import replace

import pytest

from cspine.core.errors import DatasetError, TrainingError
from cspine.study.datasets.case_table import CASE_TABLE, Subset, split_checksum, write_cases
from cspine.study.datasets.dataset_folder import SPLITS
from cspine.study.training.cases import ALL, read_cases_of
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset


@pytest.fixture
def dataset(tmp_path):
    return tiny_dataset(tmp_path / "Dataset501_Tiny")


def rewrite(dataset, change):
    write_cases(dataset.root / CASE_TABLE, [change(row) for row in dataset.rows()])


def test_the_training_cases_and_folds_of_a_split_dataset(dataset):
    cases = read_cases_of(dataset.root, None)
    assert [row.case for row in cases.rows] == ["case_0", "case_1", "case_2", "case_3"]
    assert cases.folds == ("0", "1")
    assert cases.split == split_checksum(dataset.rows())
    assert cases.splits() == json.loads((dataset.root / SPLITS).read_text())
    content = cases.dataset_json()
    assert content["numTraining"] == 4 and set(content["dataset"]) == {"case_0", "case_1", "case_2", "case_3"}
    assert content["dataset"]["case_0"]["label"] == str((dataset.root / "labelsTr/case_0.nii.gz").resolve())
    assert read_cases_of(dataset.root, ("1", "1")).folds == ("1",)


def test_a_dataset_that_is_not_split_is_refused_with_advice_and_trains_as_one(tmp_path):
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", folds=0)
    with raises_code(TrainingError, dataset.root.name) as refused:
        read_cases_of(dataset.root, None)
    assert "cspine dataset split" in refused.value.advice and "`folds` all" in refused.value.advice
    cases = read_cases_of(dataset.root, (ALL,))
    assert (len(cases.rows), cases.folds, cases.split) == (6, ("all",), None)


def test_excluded_cases_of_a_dataset_that_is_not_split_are_omitted(tmp_path):
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny", folds=0)
    rewrite(dataset, lambda row: replace(row, excluded="metal" if row.case == "case_2" else ""))
    assert "case_2" not in {row.case for row in read_cases_of(dataset.root, (ALL,)).rows}


def test_all_is_trained_on_the_training_cases_of_a_split_alone(dataset):
    cases = read_cases_of(dataset.root, (ALL,))
    assert len(cases.rows) == 4 and cases.split == split_checksum(dataset.rows())


@pytest.mark.parametrize("folds", [None, (ALL,)])
def test_a_split_that_is_under_way_is_refused(dataset, folds):
    (dataset.root / SPLITS).unlink()
    with raises_code(TrainingError, dataset.root.name, SPLITS) as refused:
        read_cases_of(dataset.root, folds)
    assert "cspine dataset split" in refused.value.advice


@pytest.mark.parametrize("text", ["{", "[]", '[{"train": [], "val": []}]', "[1]"])
def test_folds_that_disagree_with_the_table_are_refused(dataset, text):
    (dataset.root / SPLITS).write_text(text)
    with raises_code(TrainingError, SPLITS):
        read_cases_of(dataset.root, None)


def test_an_unknown_fold_is_refused_with_those_that_there_are(dataset):
    with raises_code(TrainingError, "2, 7") as refused:
        read_cases_of(dataset.root, ("0", "2", "7"))
    assert "0, 1" in refused.value.advice


def test_folds_with_a_gap_and_one_fold_alone_are_refused(dataset):
    for change, folds in (({0: 0, 1: 2}, "0, 2"), ({0: 0, 1: 0}, "0")):
        renamed = {None: None, **change}
        rows = [replace(row, fold=renamed[row.fold]) for row in dataset.rows()]
        write_cases(dataset.root / CASE_TABLE, rows)
        with raises_code(TrainingError, dataset.root.name, folds):
            read_cases_of(dataset.root, None)
        dataset = tiny_dataset(dataset.root)


def test_a_patient_in_two_folds_is_refused(dataset):
    rewrite(dataset, lambda row: replace(row, patient="one" if row.case in ("case_0", "case_1") else row.patient))
    with raises_code(TrainingError, "case_0, case_1"):
        read_cases_of(dataset.root, None)


def test_absent_files_are_named(dataset):
    (dataset.root / "labelsTr" / "case_3.nii.gz").unlink()
    with raises_code(DatasetError, 1, "case_3"):
        read_cases_of(dataset.root, None)


def test_a_folder_that_is_no_dataset_is_refused(dataset, tmp_path):
    with pytest.raises(DatasetError):
        read_cases_of(tmp_path / "Dataset009_Absent", None)
    shutil.copytree(dataset.root, tmp_path / "necks")
    with raises_code(DatasetError, "'necks'"):
        read_cases_of(tmp_path / "necks", None)


def test_a_dataset_without_training_cases_is_refused(dataset):
    rewrite(dataset, lambda row: replace(row, subset=Subset.UNASSIGNED, fold=None))
    with raises_code(TrainingError, dataset.root.name):
        read_cases_of(dataset.root, None)


def test_a_reader_that_does_not_reorient_images_is_refused(dataset):
    path = dataset.root / "dataset.json"
    path.write_text(path.read_text().replace("SimpleITKIOWithReorient", "SimpleITKIO"))
    with raises_code(TrainingError, "SimpleITKIO") as refused:
        read_cases_of(dataset.root, None)
    assert "SimpleITKIOWithReorient" in refused.value.advice


def test_the_checksum_is_that_of_a_copy_and_differs_for_changed_files(dataset, tmp_path):
    before = read_cases_of(dataset.root, None).checksum
    copied = shutil.copytree(dataset.root, tmp_path / "elsewhere" / dataset.root.name)
    assert read_cases_of(copied, None).checksum == before
    shutil.copyfile(copied / "labelsTr/case_1.nii.gz", copied / "labelsTr/case_0.nii.gz")
    assert read_cases_of(copied, None).checksum != before
