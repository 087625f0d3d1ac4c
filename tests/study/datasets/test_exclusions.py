"""The exclusion file decides; a case without a vertebra of the label set is out by itself."""

import pytest

from cspine.core.errors import DatasetError
from cspine.study.datasets.exclusions import NOTHING_IN_VIEW, excluded, propose, read_exclusions
from tests.builders.case_rows import case_row
from tests.builders.raises import raises_code


def written(tmp_path, text):
    path = tmp_path / "exclude.csv"
    path.write_text(text, encoding="utf-8-sig")
    return path


def test_a_case_or_all_cases_of_a_patient_are_excluded_with_the_reason(tmp_path):
    reasons = read_exclusions(written(tmp_path, "case,reason,who\na,fractured,me\np2,metal,me\n,,\n"))
    rows = [case_row("a"), case_row("b", patient="p2"), case_row("c", patient="p2"), case_row("d", excluded="before")]
    marked, unknown = excluded(rows, reasons)
    assert [row.excluded for row in marked] == ["fractured", "metal", "metal", ""]
    assert not unknown


def test_a_case_without_a_vertebra_is_out_by_itself():
    marked, _ = excluded([case_row("a", levels=()), case_row("b", levels=())], {"b": "metal"})
    assert [row.excluded for row in marked] == [NOTHING_IN_VIEW, "metal"]


def test_a_misspelt_case_is_reported_with_the_one_that_was_meant():
    _, unknown = excluded([case_row("verse2019_sub-verse004")], {"verse2019_sub-verse04": "metal"})
    assert unknown == [
        "the exclusion file names verse2019_sub-verse04, which is not a case; verse2019_sub-verse004 is one"
    ]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("case,why\na,metal\n", ("case", "reason")),
        ("case,reason\na,\n", ("a",)),
        ("case,reason,reason\na,metal,\n", ("exclude.csv", 2, 3)),
    ],
)
def test_a_file_without_reasons_is_refused(tmp_path, text, values):
    with raises_code(DatasetError, *values):
        read_exclusions(written(tmp_path, text))


def test_the_proposal_is_a_file_that_can_be_given_back(tmp_path):
    rows = [case_row("a"), case_row("b", doubts=("order: C3", "gap: C5")), case_row("c", levels=(), doubts=("series",))]
    assert propose(tmp_path / "proposal.csv", rows) == 1
    assert read_exclusions(tmp_path / "proposal.csv") == {"b": "order: C3; gap: C5"}
