"""What an evaluation says of a case: right, wrong, missed, and whether a user would have been warned."""

from __future__ import annotations

import numpy as np

from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE, levels_between, vertebra
from cspine.core.findings import MISSING_LEVEL, OFF_COLUMN_REMOVED, TRUNCATED, Finding
from cspine.core.volumes import LabelVolume
from cspine.study.evaluation import evaluation
from tests.builders.spine_phantom import Phantom, draw

AFFINE = Phantom().grid().affine_lps
TRUTH = LabelVolume(draw(Phantom()), AFFINE)


def changed(**to: int) -> LabelVolume:
    """The neck with levels called otherwise: ``C3=4``."""
    labels = TRUTH.labels_zyx.copy()
    for name, label in to.items():
        labels[TRUTH.labels_zyx == int(name[1:])] = label
    return LabelVolume(labels, AFFINE)


#: A reference of T5 alone.
DEEP = LabelVolume(np.full((2, 2, 2), 12, np.uint8), AFFINE)


def result(
    found: LabelVolume, *findings: Finding, without: bool = False, truth: LabelVolume = TRUTH
) -> evaluation.CaseResult:
    return evaluation.compare("a", truth, found, None if without else findings)


def test_a_wrong_level_is_silent_unless_a_finding_about_levels_warns() -> None:
    wrong = changed(C3=4)
    assert result(wrong).silent
    assert result(wrong, TRUNCATED.about("x")).silent
    assert not result(wrong, MISSING_LEVEL.about("x")).silent
    assert not result(changed(C3=0)).silent
    assert result(wrong, without=True).silent is None


def test_figures_of_a_case() -> None:
    good = result(TRUTH, OFF_COLUMN_REMOVED.about("x"))
    assert (good.mean_dice, good.mean_hd95_mm, good.level_accuracy, good.ok) == (1.0, 0.0, 1.0, True)
    assert good.finding_codes == ()
    missed = result(changed(C3=0))
    assert missed.level_accuracy == 7 / 8 and not missed.ok
    assert missed.mean_hd95_mm == 0.0  # over the levels that both have
    order = sorted([good, missed, result(changed(C3=4))], key=lambda r: r.rank)
    assert [len(r.wrong) for r in order] == [1, 0, 0] and order[-1] is good


def test_a_level_that_the_reference_has_not_is_false() -> None:
    found = TRUTH.labels_zyx.copy()
    found[:4, :4, :4] = 11
    finding_codes = result(LabelVolume(found, AFFINE))
    assert finding_codes.false == ("T4",) and finding_codes.ok
    assert finding_codes.mean_dice == 8 / 9 and finding_codes.identification_rate == 1.0
    assert finding_codes.restricted(CERVICAL_LEVELS).false == ()


def test_a_result_is_restricted_to_levels() -> None:
    finding_codes = result(changed(C3=4, C6=0)).restricted([vertebra("C6"), vertebra("C7")])
    assert [score.level for score in finding_codes.scores] == ["C6", "C7"] and finding_codes.mean_dice == 0.5
    assert [match.level for match in finding_codes.missed] == ["C6"] and not finding_codes.wrong


def test_levels_reach_down_to_what_is_predicted_and_annotated_and_no_further() -> None:
    cervical, deeper = result(changed(C3=0)), result(LabelVolume(np.full((2, 2, 2), 10, np.uint8), AFFINE), truth=DEEP)
    below = result(LabelVolume(np.where(TRUTH.labels_zyx, TRUTH.labels_zyx, np.uint8(12)), AFFINE))
    every = [level.name for level in VERTEBRAE]
    compare = evaluation.levels_to_compare
    assert compare([cervical], None, None) == compare([], None, None) == CERVICAL_LEVELS
    assert compare([cervical, deeper], None, None) == levels_between("C1", "T3")
    assert compare([deeper], ["T2", "C4"], None) == (vertebra("C4"), vertebra("T2"))
    assert compare([deeper], every, every) == VERTEBRAE and compare([deeper], every, None) == levels_between("C1", "T5")
    assert compare([below], None, None) == CERVICAL_LEVELS  # a whole spine on references of the neck
    assert compare([below], None, [level.name for level in CERVICAL_LEVELS]) == CERVICAL_LEVELS
