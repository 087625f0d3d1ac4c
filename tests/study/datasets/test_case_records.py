"""The records of converted cases: read back, damaged, and of cases that were never finished."""

from __future__ import annotations

from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.study.datasets.case_records import begun_file, clear_unfinished, doubts_of, records_of, row_of
from cspine.study.datasets.dataset_folder import DatasetFolder
from tests.builders.raises import raises_code


def test_a_case_without_a_record_has_no_row_and_no_doubts(tmp_path: Path) -> None:
    dataset = DatasetFolder(tmp_path / "Dataset501_Tiny")
    assert row_of(dataset, "a") is None
    with raises_code(DatasetError, "a"):
        doubts_of(dataset, "a")


def test_a_record_without_what_it_should_have_is_damaged(tmp_path: Path) -> None:
    dataset = DatasetFolder(tmp_path / "Dataset501_Tiny")
    records_of(dataset).write("a", {"row": {"case": "a"}})
    assert row_of(dataset, "a") is None
    with raises_code(DatasetError, "a"):
        doubts_of(dataset, "a")


def test_files_of_an_unfinished_case_are_removed_and_those_of_a_finished_one_stay(tmp_path: Path) -> None:
    dataset = DatasetFolder(tmp_path / "Dataset501_Tiny")
    records_of(dataset).write("done", {"row": {}})
    for case in ("done", "begun"):
        begun_file(dataset, case).touch()
        for path in dataset.pair("Tr", case):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    clear_unfinished(dataset)
    assert [all(path.is_file() for path in dataset.pair("Tr", case)) for case in ("done", "begun")] == [True, False]
    assert not begun_file(dataset, "done").exists() and not begun_file(dataset, "begun").exists()
