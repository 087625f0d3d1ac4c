"""Figures of a model on a set, from the tables of an evaluation, and the page that puts models side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from cspine.core.errors import InputError
from cspine.core.findings import NUMBERING_CODES
from cspine.io.tables import write_csv
from cspine.study.evaluation.evaluation_tables import CASE_COLUMNS
from cspine.study.evaluation.judgement import Expectations, Figures, figures, markdown, read_expectations
from cspine.study.evaluation.table_columns import SCORE_COLUMNS
from tests.builders.raises import raises_code

_CODE = sorted(NUMBERING_CODES)[0]


def _score(case: str, level: str, dice: str = "0.9", given: str = "0.01", **more: str) -> list[str]:
    row = dict.fromkeys(SCORE_COLUMNS, "") | {
        "case": case, "level": level, "dice": dice, "hd95_mm": "1.0", "reference_ml": "9.0", "predicted_ml": "9.0",
        "given_to_neighbour": given,
    }  # fmt: skip
    return list((row | more).values())


def _case(case: str, **more: str) -> list[str]:
    row = dict.fromkeys(CASE_COLUMNS, "") | {"case": case, "findings": "", "ok": "yes"}
    return list((row | more).values())


def _figures(
    folder: Path,
    cases: Sequence[Sequence[str]],
    scores: Sequence[Sequence[str]] = (),
    expectations: Expectations | None = None,
) -> Figures:
    write_csv(folder / "cases.csv", CASE_COLUMNS, cases)
    write_csv(folder / "scores.csv", SCORE_COLUMNS, scores or [_score("a", "C3")])
    return figures(folder, "hard", "new 1", expectations or Expectations())


def test_levels_have_means_and_the_spread_of_what_neighbours_got(tmp_path: Path) -> None:
    scores = [_score(f"{n}", "C4", dice=f"{n / 10}", given=f"{n / 100}") for n in range(1, 10)]
    scores += [_score("1", "C3", dice="1.0", given="0", hd95_mm="")]
    found = _figures(tmp_path, [_case("1")], scores)
    c4 = found.levels["C4"]
    assert list(found.levels) == ["C3", "C4", "all"]
    assert (c4.dice, c4.lowest_dice, c4.hd95_mm) == (pytest.approx(0.5), 0.1, 1.0)
    assert (c4.neighbour_median, c4.neighbour_p95) == (pytest.approx(0.05), pytest.approx(0.086))
    assert found.levels["C3"].hd95_mm is None
    assert found.levels["all"].dice == pytest.approx(0.55)


def test_a_subject_is_correct_where_all_its_cases_are(tmp_path: Path) -> None:
    cases = [_case("a"), _case("b"), _case("c", wrong_levels="C7:C6"), _case("d", error="[CS-IN-001] x"), _case("e")]
    apart = _figures(tmp_path, cases)
    assert (apart.cases, apart.failed, apart.subjects, apart.subjects_right) == (5, 1, 5, 0.6)
    subjects = Expectations({"b": "p", "c": "p", "d": "q", "e": "r"})
    together = _figures(tmp_path, cases, expectations=subjects)
    assert (together.subjects, together.subjects_right) == (4, 0.5)


def test_levels_that_are_not_expected_may_be_missed_and_none_may_be_invented(tmp_path: Path) -> None:
    cases = [_case("a", missed_levels="C6"), _case("b", missed_levels="C5"), _case("c"), _case("d")]
    scores = [
        _score("c", "T1", reference_ml="0.0", predicted_ml="0.6"),
        _score("d", "T1", reference_ml="0.0", predicted_ml="0.4"),
    ]
    five = frozenset({"C4", "C5"})
    found = _figures(tmp_path, cases, scores, Expectations(expected=dict.fromkeys("abcd", five)))
    assert found.subjects_right == 0.5  # a and d
    assert _figures(tmp_path, cases, scores).subjects_right == 0.25


def test_a_wrong_level_is_silent_where_no_finding_speaks_of_levels(tmp_path: Path) -> None:
    cases = [
        _case("a", wrong_levels="C7:C6"),
        _case("b", wrong_levels="C7:C6", findings=f"CS-FND-001 {_CODE}"),
        _case("c"),
        _case("d", findings="CS-FND-001"),
    ]
    assert _figures(tmp_path, cases).silent == 1
    invented = [_score("d", "T1", reference_ml="0.0", predicted_ml="2.0")]
    assert _figures(tmp_path, cases, invented).silent == 2
    assert _figures(tmp_path, [_case("a", findings="n/a")]).silent is None


def test_expectations_come_from_the_table_of_the_set(tmp_path: Path) -> None:
    assert read_expectations(tmp_path / "cases.csv") == Expectations()
    (tmp_path / "cases.csv").write_text("case,subject,expected\na-above-C3,a,C1 C2 C3\n")
    expectations = read_expectations(tmp_path / "cases.csv")
    assert (expectations.subject, expectations.expected) == ({"a-above-C3": "a"}, {"a-above-C3": {"C1", "C2", "C3"}})
    (tmp_path / "cases.csv").write_text("case,set\nhard_1,hard\n")
    assert read_expectations(tmp_path / "cases.csv") == Expectations()


def test_tables_that_are_absent_or_older_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        figures(tmp_path, "hard", "new", Expectations())
    write_csv(tmp_path / "cases.csv", CASE_COLUMNS, [_case("a")])
    write_csv(tmp_path / "scores.csv", SCORE_COLUMNS[:5], [["a", "C3", "", "", "0.9"]])
    with raises_code(InputError, tmp_path.name):
        figures(tmp_path, "hard", "new", Expectations())


def test_models_stand_side_by_side_set_by_set(tmp_path: Path) -> None:
    old, new = (
        Figures("hard", name, found.cases, 0, 1, found.subjects_right, found.silent, found.levels)
        for name, found in (
            ("old", _figures(tmp_path / "1", [_case("a")], [_score("a", "C3", dice="0.8", given="0.2")])),
            ("new", _figures(tmp_path / "2", [_case("a")])),
        )
    )
    other = Figures("angio", "new", 1, 0, 1, 1.0, None, new.levels)
    text = markdown([old, new, other])
    assert [line for line in text.splitlines() if line.startswith("##")] == ["## hard", "## angio"]
    assert "| mean Dice | 0.800 | 0.900 |" in text
    assert "| C3 | 0.800 | 1.00 | 20.0 / 20.0 | 0.900 | 1.00 | 1.0 / 1.0 |" in text
    assert "| wrong levels without a finding | n/a |" in text
    assert new.as_json()["levels"]["C3"]["dice"] == 0.9
