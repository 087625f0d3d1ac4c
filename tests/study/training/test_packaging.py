"""Where a package may go, and what it may be called."""

import pytest

from cspine.core.errors import UsageError
from cspine.study.training.cases import read_cases_of
from cspine.study.training.packaging import check_naming, check_output_folder, naming_of, refuse_within
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset


def test_name_and_title_come_from_the_folder_and_the_labels(tmp_path):
    cases = read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny").root, None)
    naming = naming_of(tmp_path / "My Model (2)", None, None, cases, "cspine train")
    assert (naming.name, naming.title) == ("my-model-2", "nnU-Net, C1..T1, cervical")
    check_naming(naming)
    chosen = naming_of(tmp_path / "x", "neck", "A neck", cases, "cspine train")
    assert (chosen.name, chosen.title) == ("neck", "A neck")


@pytest.mark.parametrize("name", ["Näck", "a b", ""])
def test_a_name_that_no_package_can_have_is_refused(tmp_path, name):
    cases = read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny").root, None)
    naming = naming_of(tmp_path / "---", name, None, cases, "cspine train")
    with raises_code(UsageError, "name"):
        check_naming(naming)


def test_a_package_replaces_only_a_package(tmp_path):
    check_output_folder(tmp_path / "new", ())
    (tmp_path / "empty").mkdir()
    check_output_folder(tmp_path / "empty", ())
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.yaml").write_text("")
    check_output_folder(tmp_path / "old", ())
    (tmp_path / "theses").mkdir()
    (tmp_path / "theses" / "mine.txt").write_text("years of work")
    with raises_code(UsageError, "--out", tmp_path / "theses"):
        check_output_folder(tmp_path / "theses", ())
    (tmp_path / "file").write_text("")
    with raises_code(UsageError, "--out", tmp_path / "file"):
        check_output_folder(tmp_path / "file", ())


def test_a_package_lies_around_neither_dataset_nor_run(tmp_path):
    for folder in (tmp_path, tmp_path / "data", tmp_path / "data" / "x" / ".."):
        with raises_code(UsageError, "--out", "Dataset501_Tiny"):
            check_output_folder(folder, (tmp_path / "data" / "Dataset501_Tiny", tmp_path / "data"))
    check_output_folder(tmp_path / "run" / "model", (tmp_path / "run",))


def test_a_training_is_not_written_into_its_dataset(tmp_path):
    dataset = tmp_path / "Dataset501_Tiny"
    refuse_within(dataset, {"--run": tmp_path / "run", "--out": tmp_path / "Dataset501_Tiny_model"})
    for folder in (dataset, dataset / "run", tmp_path / "run" / ".." / dataset.name / "model"):
        with raises_code(UsageError, "--run"):
            refuse_within(dataset, {"--out": tmp_path / "model", "--run": folder})
