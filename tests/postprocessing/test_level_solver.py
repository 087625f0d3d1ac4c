"""Levels that follow each other, where a network lost count."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cspine.core.anatomy import FULL_SPINE_LEVELS, VERTEBRAE, rank, vertebra
from cspine.postprocessing.clean import Scope, postprocess
from cspine.postprocessing.level_solver import solve_levels
from tests.builders.spine_phantom import NORMAL, Trunk, trunk_volumes

TRUNK = Trunk()
TRUE = TRUNK.draw()[0]


def label(name: str) -> int:
    return vertebra(name).label


def moved(names: list[str], by: int) -> np.ndarray:
    """The phantom, some of its vertebrae labelled so many levels lower."""
    predicted = TRUE.copy()
    for name in names:
        predicted[label(name) == TRUE] = VERTEBRAE[rank(label(name)) + by].label
    return predicted


def half(name: str, taken_by: str, axis: int) -> np.ndarray:
    """The phantom, half of one vertebra labelled as another."""
    predicted, index = TRUE.copy(), np.argwhere(label(name) == TRUE)
    part = index[index[:, axis] < np.median(index[:, axis])]
    predicted[tuple(part.T)] = label(taken_by)
    return predicted


def share_right(labels_zyx: np.ndarray) -> float:
    predicted = labels_zyx > 0
    return float((labels_zyx == TRUE)[predicted].mean())


@pytest.mark.parametrize(
    "labels",
    [
        NORMAL,
        tuple(level.label for level in VERTEBRAE),
        tuple(i for i in NORMAL if i not in (label("T12"), label("L5"))),
        NORMAL[10:20],
        NORMAL[:8],
    ],
)
def test_what_is_consistent_stays_as_it_is(labels: tuple[int, ...]) -> None:
    trunk = Trunk(labels)
    predicted = trunk.draw()[0]
    solved, findings = solve_levels(predicted, trunk.grid())
    assert solved is predicted
    assert findings == ()


@pytest.mark.parametrize(
    ("names", "by"), [(["T6", "T7", "T8"], 1), (["T8", "T9", "T10"], -1), (["L2", "L3"], 1), (["T5"], 1)]
)
def test_a_run_that_is_one_off_gets_its_levels(names: list[str], by: int) -> None:
    predicted = moved(names, by)
    solved, findings = solve_levels(predicted, TRUNK.grid())
    assert share_right(predicted) < 0.99 < share_right(solved)
    (reported,) = findings
    assert reported.code == "CS-FND-026"
    wrong = VERTEBRAE[rank(label(names[0])) + by].name
    assert re.search(rf"\b{wrong}\b.*\b{names[0]}\b", reported.sentence)


@pytest.mark.parametrize(("name", "other"), [("T7", "T8"), ("T7", "T6"), ("L2", "L3")])
def test_a_vertebra_split_into_left_and_right_halves_becomes_one(name: str, other: str) -> None:
    predicted = half(name, other, axis=2)
    solved, findings = solve_levels(predicted, TRUNK.grid())
    assert share_right(predicted) < 0.998 < share_right(solved)
    assert {f.code for f in findings} <= {"CS-FND-025", "CS-FND-026"} and findings


@pytest.mark.parametrize(("name", "other"), [("T10", "T11"), ("L2", "L3")])
def test_a_vertebra_split_into_upper_and_lower_halves_becomes_one(name: str, other: str) -> None:
    predicted = half(name, other, axis=0)
    solved, findings = solve_levels(predicted, TRUNK.grid())
    assert share_right(predicted) < 0.99 < share_right(solved)
    assert findings


def test_a_missing_vertebra_stays_missing() -> None:
    predicted = TRUE.copy()
    predicted[label("T7") == TRUE] = 0
    solved, findings = solve_levels(predicted, TRUNK.grid())
    assert solved is predicted and findings == ()


def test_what_cannot_be_decided_is_unchanged() -> None:
    """All levels below T6 are one lower: the labels do not show which half is wrong."""
    predicted = moved([level.name for level in VERTEBRAE[13:19]], 1)
    predicted[label("L1") <= TRUE] = 0
    solved, findings = solve_levels(predicted, TRUNK.grid())
    assert solved is predicted and findings == ()


def test_the_first_two_vertebrae_keep_their_names() -> None:
    predicted = moved(["C3", "C4"], -1)
    solved, _ = solve_levels(predicted, TRUNK.grid())
    kept = {label("C1"), label("C2")}
    assert all((solved[i == TRUE] == i).all() for i in kept)


def test_few_or_no_vertebrae_remain_unchanged() -> None:
    nothing = np.zeros_like(TRUE)
    assert solve_levels(nothing, TRUNK.grid())[0] is nothing
    two = np.where(np.isin(TRUE, [label("T3"), label("T5")]), TRUE, np.uint8(0))
    assert solve_levels(two, TRUNK.grid())[0] is two


def test_only_full_spine_results_and_only_on_request() -> None:
    labels, ct, sacrum = trunk_volumes(labels_zyx=moved(["T6", "T7", "T8"], 1))
    codes = {
        requested: [f.code for f in postprocess(labels, ct, 50.0, None, Scope(FULL_SPINE_LEVELS, sacrum, requested))[1]]
        for requested in (False, True)
    }
    assert codes[True] == ["CS-FND-026"]
    assert "CS-FND-002" in codes[False] and "CS-FND-026" not in codes[False]
    neck = postprocess(labels, ct, 50.0, None, Scope())[1]
    assert "CS-FND-026" not in [f.code for f in neck]
