"""The table of cases says the same after it was written and read."""

import hashlib
from dataclasses import replace

import pytest

from cspine.core.errors import DatasetError, SplitError
from cspine.study.datasets.case_table import Subset, read_cases, refuse_split_patients, split_checksum, write_cases
from tests.builders.case_rows import case_row
from tests.builders.raises import raises_code


def test_a_table_is_read_as_it_was_written(tmp_path):
    rows = [
        case_row("a", age_years=None, sex="", partial=("T1",), doubts=("missing level: C4", "order: C5")),
        case_row("b", excluded="fractured, and more", subset=Subset.UNASSIGNED),
        case_row("c", subset=Subset.TRAINING, fold=3, age_years=61.5, levels=()),
    ]
    write_cases(tmp_path / "cases.csv", reversed(rows))
    assert read_cases(tmp_path / "cases.csv") == rows


@pytest.mark.parametrize(
    ("before", "after", "value"),
    [("0.5 0.5 1", "0.5 1", 2), ("unused", "somewhere", 2), ("case,source", "case,origin", "source")],
)
def test_a_table_that_was_damaged_is_refused_by_its_line(tmp_path, before, after, value):
    path = tmp_path / "cases.csv"
    write_cases(path, [case_row("a")])
    path.write_text(path.read_text().replace(before, after))
    with raises_code(DatasetError, "cases.csv", value):
        read_cases(path)


def test_a_folder_without_a_table_is_refused_with_the_command_that_makes_one(tmp_path):
    with raises_code(DatasetError, "cases.csv", tmp_path) as refused:
        read_cases(tmp_path / "cases.csv")
    assert "dataset convert" in refused.value.advice


def test_the_checksum_of_a_split_is_that_of_parts_and_folds_alone():
    rows = [
        case_row("b", subset=Subset.TRAINING, fold=1),
        case_row("a", subset=Subset.EXTERNAL),
        case_row("c", subset=Subset.UNASSIGNED),
        case_row("d"),
    ]
    assert split_checksum(rows) == hashlib.sha256(b"a,external,\nb,training,1").hexdigest()
    assert split_checksum(reversed(rows)) == split_checksum([replace(row, age_years=7.0) for row in rows[:2]])
    assert split_checksum(rows) != split_checksum([replace(rows[0], fold=0), *rows[1:]])


def test_a_patient_in_two_parts_or_folds_is_refused():
    rows = [case_row("a", patient="p", subset=Subset.TRAINING, fold=0), case_row("b", subset=Subset.INTERNAL)]
    refuse_split_patients([*rows, case_row("c", patient="p", subset=Subset.TRAINING, fold=0)], "D")
    refuse_split_patients([*rows, case_row("c", patient="p", subset=Subset.UNUSED)], "D")
    for other in ({"subset": Subset.TRAINING, "fold": 1}, {"subset": Subset.EXTERNAL}):
        with raises_code(SplitError, "D", "a, c"):
            refuse_split_patients([*rows, case_row("c", patient="p", **other)], "D")
