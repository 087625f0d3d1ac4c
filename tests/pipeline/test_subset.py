"""Levels as users write them, and which findings stay with a part of a result."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.anatomy import VERTEBRAE, is_full_spine, levels_text, parse_levels, steps_between, vertebra
from cspine.core.errors import NoVertebraError, UsageError
from cspine.core.findings import FRAGMENTED, MISSING_LEVEL, OUT_OF_ORDER, TRUNCATED, UNDER_AGE
from cspine.core.volumes import LabelVolume
from cspine.measurements.confidence import Confidence
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.subset import check_wanted, keep_levels
from tests.builders.raises import raises_code


def names(text: str) -> list[str]:
    return [level.name for level in parse_levels(text)]


def test_levels_and_ranges_are_understood() -> None:
    assert names("C1-T1") == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert names(" l1 - L3 , c2") == ["C2", "L1", "L2", "L3"]
    assert names("T12-L1") == ["T12", "T13", "L1"]
    assert names("C3,C3-C4") == ["C3", "C4"]


@pytest.mark.parametrize("text", ["", "C8", "C1-", "C1-C2-C3", "C1;C2", "C1-C3,", "sacrum"])
def test_what_is_no_level_is_named(text: str) -> None:
    with raises_code(UsageError, repr(text)) as failure:
        parse_levels(text)
    assert "C1-T1" in failure.value.advice


def test_a_range_from_foot_to_head_is_refused() -> None:
    with raises_code(UsageError, "'T1-C1'", "C1", "T1"):
        parse_levels("T1-C1")


@pytest.mark.parametrize("text", ["C1-T1", "C3-C7,L1-L5", "C2", "T12,L1", "C1-L6"])
def test_levels_and_their_text_convert_in_both_directions(text: str) -> None:
    assert levels_text(parse_levels(text)) == text


def test_a_full_spine_goes_on_below_t1() -> None:
    assert not is_full_spine(parse_levels("C1-T1"))
    assert is_full_spine(parse_levels("T1-T2"))


def test_steps_allow_for_the_levels_that_not_every_patient_has() -> None:
    def steps(upper: str, lower: str) -> tuple[int, int]:
        return steps_between(vertebra(upper).label, vertebra(lower).label)

    assert steps("C1", "C2") == (1, 1)
    assert steps("T12", "L1") == (1, 2)
    assert steps("T11", "L1") == (1, 3)
    assert steps("L4", "L6") == (2, 2)


def result(predicted: str, *findings: object) -> Vertebrae:
    labels = np.zeros((len(VERTEBRAE), 2, 2), dtype=np.uint8)
    for index, level in enumerate(parse_levels(predicted)):
        labels[index] = level.label
    return Vertebrae(LabelVolume(labels, np.eye(4)), findings)  # type: ignore[arg-type]


def test_only_requested_levels_stay() -> None:
    kept = keep_levels(result("C1-T3"), parse_levels("C7-T1,L1"))
    assert set(np.unique(kept.labels.labels_zyx)) == {0, 7, 8}


def test_findings_of_other_levels_go_and_those_of_the_study_stay() -> None:
    findings = [UNDER_AGE.about("a"), TRUNCATED.about("b", "L5"), FRAGMENTED.about("c", "C2")]
    assert keep_levels(result("C1-L5", *findings), parse_levels("C1-C3")).findings == (findings[0], findings[2])


def test_doubts_about_numbers_count_above_a_level_and_next_to_it() -> None:
    above, next_to, below = (OUT_OF_ORDER.about("x", name) for name in ("C4", "T2", "T9"))
    kept = keep_levels(result("C1-L5", above, next_to, below), parse_levels("C7-T1"))
    assert kept.findings == (above, next_to)


def test_without_an_anchor_above_every_doubt_counts() -> None:
    below = MISSING_LEVEL.about("x", "L3")
    assert keep_levels(result("T3-L5", below), parse_levels("T3")).findings == (below,)


def test_no_requested_level_was_predicted_or_can_be() -> None:
    with raises_code(NoVertebraError, "C1-C3"):
        keep_levels(result("C1-C3"), parse_levels("L1"))
    check_wanted(None, parse_levels("C1-T1"))
    check_wanted(parse_levels("T1-L5"), parse_levels("C1-T1"))
    with pytest.raises(UsageError):
        check_wanted(parse_levels("T2"), parse_levels("C1-T1"))


def test_the_confidence_in_other_levels_is_left_out() -> None:
    sure = Confidence(0.9, 0.9)
    whole = replace(result("C1-T1"), confidence={"C3": sure, "C4": sure, "T1": sure})
    assert keep_levels(whole, parse_levels("C3-C5")).confidence == {"C3": sure, "C4": sure}
