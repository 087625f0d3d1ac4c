"""The table of patients, with the numbers that a paper prints."""

import csv

from cspine.study.datasets.case_table import Subset
from cspine.study.datasets.demographics import as_table, demographics, write_demographics
from tests.builders.case_rows import NECK, case_row

ROWS = [
    case_row("a1", patient="a", age_years=50.0, sex="M", subset=Subset.TRAINING, fold=0),
    case_row("a2", patient="a", age_years=50.0, sex="M", subset=Subset.TRAINING, fold=0, levels=NECK[2:]),
    case_row("b", age_years=60.0, subset=Subset.TRAINING, spacing_mm=(2.0, 0.7, 0.4), orientation="SAR"),
    case_row("c", age_years=None, sex="", subset=Subset.TRAINING, source="HNSCC-3DCT-RT", partial=("T1",)),
    case_row("d", age_years=40.0, subset=Subset.EXTERNAL, source="TotalSegmentator"),
    case_row("e", subset=Subset.UNASSIGNED),
    case_row("f", excluded="metal", subset=Subset.UNUSED),
]


def test_each_part_has_a_column_and_patients_count_once():
    training, external, left, used = demographics(ROWS)
    assert [c.title for c in (training, external, left, used)] == [
        "Training", "External test", "Unassigned", "All in use",
    ]  # fmt: skip
    assert (training.patients, training.cases, used.patients, used.cases) == (3, 4, 4, 5)
    assert training.age_text == "55 ± 7 y (of 2 known)"
    assert training.sex_text == "50% (of 2 known)"
    assert (external.age_text, external.sex_text) == ("40 y", "0%")
    assert training.sources == {"VerSe 2019": 2, "HNSCC-3DCT-RT": 1}
    assert training.spacing_text("head-foot") == "1.00 [1.00, 2.00] mm"
    assert training.spacing_text("left-right") == "0.50 [0.40, 0.50] mm"
    assert training.complete_necks == 2
    assert training.levels_text == "C1-C2 3, C3-T1 4"


def test_the_tables_are_written_for_people_and_programs(tmp_path):
    write_demographics(tmp_path, ROWS)
    with (tmp_path / "demographics.csv").open(newline="") as lines:
        first = next(csv.DictReader(lines))
    assert (first["subset"], first["age_mean"], first["age_sd"], first["male_share"]) == (
        "Training", "55.0", "7.1", "0.500",
    )  # fmt: skip
    assert first["sources"] == "HNSCC-3DCT-RT 1; VerSe 2019 2"
    lines = (tmp_path / "demographics.md").read_text().splitlines()
    assert lines[0] == "|  | Training | External test | Unassigned | All in use |"
    assert "| Male | 50% (of 2 known) | 0% | 0% | 33% (of 3 known) |" in lines
    assert len({line.count("|") for line in lines}) == 1


def test_a_dataset_before_its_split_has_one_column():
    rows = [case_row("a"), case_row("b", age_years=None)]
    (column,) = demographics(rows)
    assert (column.title, column.patients) == ("Not split", 2)
    assert as_table([column])[1] == ["Patients", "2"]
    assert demographics([]) == []
