"""Counts of a dataset, and which cases a person looks at."""

import csv

import pytest

from cspine.study.datasets import overview
from cspine.study.datasets.case_table import Subset
from tests.builders.case_rows import NECK, case_row

ROWS = [
    case_row("a", subset=Subset.TRAINING, fold=0, doubts=("order: C3",)),
    case_row("b", subset=Subset.TRAINING, fold=1, source="MSD colon", partial=("T1",)),
    case_row("c", subset=Subset.EXTERNAL, source="TotalSegmentator", doubts=("gap: C3", "order: C5", "order: C6")),
    case_row("d", excluded="metal", doubts=("order: C5",)),
    case_row("e", levels=(), excluded="no vertebra"),
    case_row("f", subset=Subset.TRAINING, fold=1, levels=NECK[2:]),
    case_row("g", subset=Subset.TRAINING, fold=1),
]


def test_cases_are_counted_by_source_part_and_fold():
    assert overview.counts_by_source(ROWS) == [
        ["MSD colon", "1", "0", "0", "0", "0", "0", "1", "0"],
        ["TotalSegmentator", "0", "0", "1", "0", "0", "0", "1", "1"],
        ["VerSe 2019", "3", "0", "0", "0", "0", "2", "5", "2"],
        ["all", "4", "0", "1", "0", "0", "2", "7", "3"],
    ]
    assert overview.counts_by_fold(ROWS) == [
        ["0", "1", "1", "VerSe 2019 1"],
        ["1", "3", "3", "MSD colon 1, VerSe 2019 2"],
    ]


def test_doubts_and_exclusions_are_counted_by_case():
    assert overview.counts_by_doubt(ROWS) == [["order", "2", "1"], ["gap", "1", "0"]]
    assert overview.counts_by_reason(ROWS) == [["metal", "1"], ["no vertebra", "1"]]


def test_vertebrae_are_counted_by_subset(tmp_path):
    overview.write_levels(tmp_path / "levels.csv", ROWS)
    with (tmp_path / "levels.csv").open(newline="") as lines:
        rows = {row["level"]: row for row in csv.DictReader(lines)}
    assert list(rows) == list(NECK)
    assert (rows["C1"]["training"], rows["C3"]["training"], rows["C1"]["excluded"]) == ("3", "4", "1")
    assert (rows["T1"]["truncated by the edge"], rows["C1"]["truncated by the edge"]) == ("1", "0")


@pytest.mark.parametrize(("count", "shown"), [(10, "cadbgf"), (3, "cad"), (0, "")])
def test_doubtful_cases_come_first_then_one_of_every_source(count, shown):
    found = [row.case for row in overview.to_show(ROWS, count)]
    assert found[:3] == list(shown)[:3]
    assert sorted(found) == sorted(shown)
