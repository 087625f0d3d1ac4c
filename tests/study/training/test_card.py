"""What a model card says of the data."""

from dataclasses import replace

import pytest

from cspine.study.training.card import card_sections, data_sentence, data_table, levels_table, licence_of
from cspine.study.training.cases import ALL, read_cases_of
from cspine.study.training.settings import TrainingSettings
from cspine.study.training.validation import FoldScores
from tests.builders.case_rows import case_row
from tests.builders.tiny_dataset import tiny_dataset


@pytest.mark.parametrize(
    ("source", "licence"),
    [
        ("VerSe 2020", "CC BY-SA 4.0"),
        ("TotalSegmentator", "CC BY 4.0"),
        ("COLONOG", "not established (masks of CTSpine1K)"),
        ("somebody's own", "not established"),
    ],
)
def test_a_licence_is_named_or_stated_as_unknown(source, licence):
    assert licence_of(source) == licence


def test_the_data_table_counts_patients_once_and_reports_how_many_ages_are_known():
    rows = [
        case_row("a", patient="p", age_years=60.0, sex="F"),
        case_row("b", patient="p", age_years=60.0, sex="F", spacing_mm=(0.4, 0.5, 2.0)),
        case_row("c", age_years=70.0, sex="M"),
        case_row("d", source="TotalSegmentator", age_years=None, sex=""),
    ]
    lines = data_table(rows).splitlines()
    licence, spacing = "CC BY-SA 4.0", "0.50 (0.40..0.50), 0.50 (0.50..0.50), 1.00 (1.00..2.00)"
    assert lines[3] == f"| VerSe 2019 | 2 | 3 | 65 +- 7 (n = 2) | 50% (n = 2) | {spacing} | {licence} |"
    assert lines[2].startswith("| TotalSegmentator | 1 | 1 | not known | not known |")
    assert lines[4].startswith("| all | 3 | 4 |")
    assert len(data_table(rows[:3]).splitlines()) == 3  # one source: no row of all


def test_levels_are_counted_complete_and_truncated(tmp_path):
    cases = read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny").root, None)
    rows = (*cases.rows[:3], replace(cases.rows[3], levels=("C7", "T1"), partial=("T1",)))
    lines = levels_table(replace(cases, rows=rows)).splitlines()
    assert lines[0] == "| level | C1 | C2 | C3 | C4 | C5 | C6 | C7 | T1 |"
    assert lines[2] == "| cases | 3 | 3 | 3 | 3 | 3 | 3 | 4 | 4 |"
    assert lines[3] == "| truncated by the edge | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1 |"
    assert data_sentence(cases) == "4 CT images of 4 patients (4 of VerSe 2019) of Dataset501_Tiny."


def test_a_model_of_all_cases_says_that_its_numbers_are_of_cases_that_it_knows(tmp_path):
    cases = read_cases_of(tiny_dataset(tmp_path / "Dataset501_Tiny", folds=0).root, (ALL,))
    sections = card_sections(cases, TrainingSettings(), "plans", [FoldScores("all", 6, {"C1": 0.5})], "cspine train")
    assert "its numbers say nothing about others" in sections
    assert "the dataset is not split" in sections and "1000 epochs of 250 iterations" in sections
