"""Which images are to be predicted, under which names, by which folds."""

import json
from dataclasses import replace

import pytest

from cspine.core.errors import InputError, SplitError, UsageError
from cspine.models.package import load_package
from cspine.study.datasets.case_table import CASE_TABLE, Subset, write_cases
from cspine.study.datasets.dataset_folder import DatasetFolder
from cspine.study.prediction.prediction_cases import cases_of_dataset, cases_of_input, split_of, subsets_of
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset

EVERY = (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL)


def test_channel_numbers_are_no_part_of_a_name_and_hidden_files_are_ignored(tmp_path):
    for name in ("b_0000.nii.gz", "a.nii.gz", ".partial-c.nii.gz", "notes.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [case.name for case in cases_of_input(tmp_path)] == ["a", "b"]
    assert [case.name for case in cases_of_input(tmp_path / "b_0000.nii.gz")] == ["b"]


@pytest.mark.parametrize(
    ("files", "source", "value"),
    [
        (["a_0000.nii.gz", "a.nii.gz"], "", "a"),
        (["a.mha"], "a.mha", "a.mha"),
        (["a.txt"], "", "image"),
        ([], "absent", "absent"),
    ],
)
def test_what_cannot_be_predicted_is_refused(tmp_path, files, source, value):
    for name in files:
        (tmp_path / name).write_bytes(b"")
    with raises_code(InputError, value):
        cases_of_input(tmp_path / source)


def test_parts_by_name():
    assert subsets_of("external, training") == (Subset.TRAINING, Subset.EXTERNAL)
    with raises_code(UsageError, "'test'"):
        subsets_of("training,test")


@pytest.mark.slow
def test_a_training_case_is_predicted_by_the_fold_that_was_not_trained_on_it(trained):
    package = load_package(trained.package)
    cases = cases_of_dataset(trained.dataset, EVERY, package)
    by_name = {case.name: (case.subset, case.folds) for case in cases}
    assert by_name == {
        "case_0": ("training", ("0",)),
        "case_1": ("training", ("1",)),
        "case_2": ("training", ("0",)),
        "case_3": ("training", ("1",)),
        "case_4": ("internal", None),
        "case_5": ("external", None),
    }
    for case in cases:  # nnU-Net's own split of each fold says the same
        for fold, split in enumerate(json.loads((trained.dataset / "splits_final.json").read_text())):
            if case.folds == (str(fold),):
                assert case.name in split["val"] and case.name not in split["train"]


@pytest.mark.slow
def test_training_cases_of_another_split_or_of_a_model_without_one_are_refused(trained, tmp_path):
    package = load_package(trained.package)
    other = tiny_dataset(tmp_path / "Dataset501_Tiny").root
    rows = DatasetFolder(other).rows()
    assert split_of(other) == package.manifest.split
    write_cases(other / CASE_TABLE, [replace(r, fold=1 - r.fold) if r.fold is not None else r for r in rows])
    with raises_code(SplitError, other.name):
        cases_of_dataset(other, EVERY, package)
    assert len(cases_of_dataset(other, EVERY[1:], package)) == 2
    assert split_of(other) != package.manifest.split
    silent = replace(package, manifest=package.manifest.model_copy(update={"split": None, "format": 1}))
    with raises_code(SplitError, package.manifest.name):
        cases_of_dataset(trained.dataset, EVERY, silent)


@pytest.mark.slow
def test_a_model_without_the_fold_of_a_case_is_refused(trained):
    package = load_package(trained.package)
    (stage,) = package.stages
    one = replace(package, stages=(replace(stage, manifest=stage.manifest.model_copy(update={"folds": ("0",)})),))
    with raises_code(SplitError, 1):
        cases_of_dataset(trained.dataset, EVERY, one)


@pytest.mark.slow
def test_an_outdated_split_is_refused_and_excluded_cases_are_omitted(trained, tmp_path):
    package = load_package(trained.package)
    root = tiny_dataset(tmp_path / "Dataset501_Tiny").root
    rows = DatasetFolder(root).rows()
    write_cases(root / CASE_TABLE, [replace(r, excluded="fracture") if r.case == "case_5" else r for r in rows])
    assert [case.name for case in cases_of_dataset(root, EVERY[1:], package)] == ["case_4"]
    (root / "splits_final.json").unlink()
    with raises_code(SplitError, "splits_final.json"):
        cases_of_dataset(root, EVERY[1:], package)
