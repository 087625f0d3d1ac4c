"""The folders of a dataset: names, positions of files, and one command at a time."""

import json

import pytest

from cspine.core.errors import DatasetError, OutputError
from cspine.study.datasets.case_table import Subset
from cspine.study.datasets.dataset_folder import RECORDS, DatasetFolder
from cspine.study.label_sets import label_set
from tests.builders.case_rows import case_row
from tests.builders.raises import raises_code


def folder_with(tmp_path, *cases, kind="Tr"):
    folder = DatasetFolder(tmp_path / "Dataset501_Cervical")
    for case in cases:
        for path in folder.pair(kind, case):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(case)
    return folder


def test_the_name_is_one_that_nnunet_accepts(tmp_path):
    assert DatasetFolder(tmp_path / "Dataset501_Cervical").number == 501
    for name in ("Cervical", "Dataset1_Cervical", "Dataset501_"):
        with raises_code(DatasetError, repr(name)):
            _ = DatasetFolder(tmp_path / name).number


def test_files_go_where_the_rows_say_and_back(tmp_path):
    folder = folder_with(tmp_path, "a", "b", "c", "d")
    rows = [
        case_row("a", subset=Subset.TRAINING, fold=0),
        case_row("b", subset=Subset.EXTERNAL),
        case_row("c", excluded="metal"),
        case_row("d", subset=Subset.UNASSIGNED),
        case_row("e", levels=(), excluded="no vertebra"),
    ]
    folder.publish(rows)
    assert [folder.where(row.case) for row in rows] == ["Tr", "Ts", "Excluded", "Excluded", None]
    folder.write_dataset_json(label_set("cervical"), rows, "words")
    content = json.loads((folder.root / "dataset.json").read_text())
    assert (content["numTraining"], content["file_ending"], folder.description()) == (1, ".nii.gz", "words")
    assert folder.label_set() == label_set("cervical")
    folder.publish([case_row(row.case) for row in rows[:4]])
    assert {folder.where(row.case) for row in rows[:4]} == {"Tr"}


def test_a_move_that_was_interrupted_is_completed(tmp_path):
    folder = folder_with(tmp_path, "a")
    image, _ = folder.pair("Ts", "a")
    image.parent.mkdir()
    folder.pair("Tr", "a")[0].rename(image)
    assert folder.where("a") is None
    folder.publish([case_row("a", subset=Subset.INTERNAL)])
    assert folder.where("a") == "Ts"


def test_a_case_without_files_is_reported(tmp_path):
    folder = folder_with(tmp_path, "a")
    with raises_code(DatasetError, "b", "b_0000.nii.gz"):
        folder.publish([case_row("a"), case_row("b")])


def test_one_command_at_a_time_and_files_of_a_killed_one_are_cleared(tmp_path):
    folder = folder_with(tmp_path, "a")
    left = folder.images("Tr") / ".partial-b_0000.nii.gz"
    left.touch()
    with folder.locked():
        assert not left.exists() and folder.where("a") == "Tr"
        with raises_code(DatasetError), DatasetFolder(folder.root).locked():
            pass
    with folder.locked():
        pass


def test_a_dataset_that_cannot_be_written_is_an_output_error(tmp_path):
    (tmp_path / "Dataset501_Cervical").write_text("a file")
    with pytest.raises(OutputError), DatasetFolder(tmp_path / "Dataset501_Cervical").locked():
        pass
    folder = folder_with(tmp_path / "x", "a")
    (folder.root / RECORDS).mkdir()
    folder.remove("a")
    assert folder.where("a") is None


@pytest.mark.parametrize("text", ["", "{}", '{"labels": {"background": 0, "liver": 1}}'])
def test_another_dataset_json_is_refused(tmp_path, text):
    with raises_code(DatasetError, "dataset.json"):
        DatasetFolder(tmp_path).label_set()
    (tmp_path / "dataset.json").write_text(text)
    with raises_code(DatasetError, "dataset.json"):
        DatasetFolder(tmp_path).label_set()
    assert DatasetFolder(tmp_path).description() == ""
