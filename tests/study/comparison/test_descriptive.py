"""Means, spreads and ranges by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.study.comparison.alignment import align
from cspine.study.comparison.descriptive import Description, describe
from cspine.study.comparison.measures import DICE, HD95, MEASURES, VOLUME_ERROR, Measure
from cspine.study.comparison.reading import read_evaluation
from tests.builders.evaluation_folders import Line, missed, write_folder


def described(root: Path, lines: list[Line], measure: Measure) -> dict[tuple[str, str], Description]:
    cohort = align([read_evaluation(write_folder(root / "m", lines))])
    return {(d.subset, d.group): d for d in describe(cohort, [measure])}


LINES = [
    Line("a", "C1", 0.90, 1.0, "training", 0), Line("b", "C1", 0.80, 2.0, "training", 0),
    Line("c", "C1", 0.70, 4.0, "training", 1), missed(Line("c", "C2", subset="training", fold=1)),
    Line("d", "C1", 0.95, 1.5, "external"),
    Line("d", "C2", 0.0, None, "external", reference_ml=0.0, predicted_ml=2.0),
]  # fmt: skip


def test_mean_sd_and_folds_are_those_computed_by_hand(tmp_path: Path) -> None:
    found = described(tmp_path, LINES, DICE)
    c1 = found["training", "C1"]
    assert (c1.cases, c1.values, c1.folds, c1.missed) == (3, 3, 2, 0)
    assert (c1.mean, c1.median, c1.sd) == (pytest.approx(0.8), pytest.approx(0.8), pytest.approx(0.1))
    assert c1.fold_range == (pytest.approx(0.70), pytest.approx(0.85))
    pooled = found["training", "[C1,T1]"]
    assert (pooled.cases, pooled.values, pooled.missed) == (3, 4, 1)
    assert pooled.mean == pytest.approx((0.9 + 0.8 + 0.7 + 0) / 4)
    assert pooled.fold_range == (pytest.approx(0.35), pytest.approx(0.85))


def test_what_was_missed_has_no_distance_and_a_volume(tmp_path: Path) -> None:
    found = described(tmp_path, LINES, HD95)
    assert found["training", "C2"].mean is None and found["training", "C2"].reason == "not defined in any case"
    assert (found["training", "[C1,T1]"].values, found["training", "[C1,T1]"].missed) == (3, 1)
    assert (
        described(tmp_path, LINES, VOLUME_ERROR)["training", "C2"].mean == 10.0
    )  # the complete vertebra, without sign


def test_false_levels_count_with_dice_0(tmp_path: Path) -> None:
    c2 = described(tmp_path, LINES, DICE)["external", "C2"]
    assert (c2.mean, c2.missed, c2.false, c2.sd, c2.reason) == (0.0, 0, 1, None, "one value: no SD")
    assert c2.fold_range is None


def test_a_level_that_no_case_of_a_part_has_says_so(tmp_path: Path) -> None:
    found = described(tmp_path, [*LINES, Line("e", "C5", subset="internal")], DICE)
    assert found["external", "C5"].reason == "no case has it"


def test_every_measure_has_its_value() -> None:
    cohort_keys = [measure.key for measure in MEASURES]
    assert cohort_keys == ["dice", "hd95_mm", "assd_mm", "volume_error_ml"]
