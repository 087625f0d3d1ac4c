"""How many vertebrae a full-spine result has, and what the sacrum says about their numbers."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import FULL_SPINE_LEVELS, VERTEBRAE, vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.shape import shapes_of
from cspine.postprocessing.clean import Scope, postprocess
from cspine.postprocessing.numbering import find_sacrum
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import NORMAL, Trunk, trunk_volumes

T11, T12, T13, L1, L4, L5, L6 = (vertebra(name).label for name in ("T11", "T12", "T13", "L1", "L4", "L5", "L6"))


def found(trunk: Trunk, sees_sacrum: bool = True) -> list[tuple[str, str | None]]:
    labels, ct, sacrum = trunk_volumes(trunk)
    scope = Scope(FULL_SPINE_LEVELS, sacrum if sees_sacrum else None)
    cleaned, findings = postprocess(labels, ct, 50.0, None, scope)
    predicted = {int(i) for i in np.unique(labels.labels_zyx) if i}
    assert {int(i) for i in np.unique(cleaned.labels_zyx) if i} == predicted
    return [(f.code, f.level) for f in findings]


def without(*labels: int) -> tuple[int, ...]:
    return tuple(label for label in NORMAL if label not in labels)


def test_a_complete_spine_has_no_findings() -> None:
    assert found(Trunk()) == []


def test_eleven_thoracic_vertebrae_are_a_variant_and_no_missing_level() -> None:
    assert found(Trunk(without(T12))) == [("CS-FND-020", "L1")]


def test_a_twelfth_thoracic_vertebra_that_left_its_room_is_missing() -> None:
    assert found(Trunk(holes=(T12,))) == [("CS-FND-002", "T12")]


def test_thirteen_thoracic_vertebrae_are_reported() -> None:
    labels = (*NORMAL[:19], T13, *NORMAL[19:])
    assert found(Trunk(labels)) == [("CS-FND-020", "T13")]


def test_a_wide_gap_between_the_last_thoracic_and_the_first_lumbar_vertebra_is_seen() -> None:
    assert found(Trunk((*NORMAL[:19], T13, *NORMAL[19:]), holes=(T13,))) == [("CS-FND-008", "L1")]


def test_four_lumbar_vertebrae_are_a_variant_where_the_fourth_stands_on_the_sacrum() -> None:
    assert found(Trunk(without(L5))) == [("CS-FND-021", "L4")]


def test_a_fifth_lumbar_vertebra_that_left_its_room_is_missing() -> None:
    assert found(Trunk(holes=(L5,))) == [("CS-FND-002", "L5")]
    assert found(Trunk(holes=(L4, L5))) == [("CS-FND-002", "L4"), ("CS-FND-002", "L5")]


def test_six_lumbar_vertebrae_are_reported_with_and_without_the_sacrum() -> None:
    assert found(Trunk((*NORMAL, L6))) == [("CS-FND-021", "L6")]
    assert found(Trunk((*NORMAL, L6), sacrum=False)) == [("CS-FND-021", "L6"), ("CS-FND-022", "L6")]


@pytest.mark.parametrize("sees_sacrum", [True, False])
def test_without_a_sacrum_the_number_of_lumbar_vertebrae_is_not_known(sees_sacrum: bool) -> None:
    assert found(Trunk(sacrum=False), sees_sacrum) == [("CS-FND-022", "L5")]


def test_a_neck_or_chest_says_nothing_of_lumbar_vertebrae() -> None:
    assert found(Trunk(NORMAL[:12], sacrum=False)) == []


def test_the_sacrum_is_an_anchor_from_below() -> None:
    assert found(Trunk(NORMAL[14:])) == [("CS-FND-023", "L5")]


def test_with_both_ends_out_of_view_the_levels_are_uncertain() -> None:
    assert found(Trunk(NORMAL[8:16], sacrum=False)) == [("CS-FND-010", None)]
    assert found(Trunk(NORMAL[14:22], sacrum=False)) == [("CS-FND-010", None), ("CS-FND-022", "L3")]


def test_a_level_that_cannot_stand_on_the_sacrum_contradicts_the_numbering() -> None:
    assert found(Trunk(NORMAL[:21])) == [("CS-FND-024", "L2")]


def test_a_count_of_24_from_c1_is_reported_where_a_variant_above_makes_up_for_one_below() -> None:
    labels, ct, sacrum = trunk_volumes(Trunk((*without(T12), L6)))
    _, findings = postprocess(labels, ct, 50.0, None, Scope(FULL_SPINE_LEVELS, sacrum))
    assert [f.code for f in findings] == ["CS-FND-020", "CS-FND-021"]
    assert "24" in findings[1].sentence


def test_a_speck_or_something_above_is_no_sacrum() -> None:
    trunk = Trunk()
    labels, _, sacrum = trunk_volumes(trunk)
    shapes = shapes_of(labels.labels_zyx, labels.grid)
    speck = np.zeros_like(sacrum)
    speck[:4, :4, :4] = True
    assert find_sacrum(speck, labels.grid, shapes) is None
    assert find_sacrum(sacrum[::-1], labels.grid, shapes) is None
    assert find_sacrum(np.zeros_like(sacrum), labels.grid, shapes) is None
    assert find_sacrum(sacrum, labels.grid, ()) is None
    complete = find_sacrum(sacrum | speck, labels.grid, shapes)
    assert complete is not None and complete.levels_between == 0


def test_any_vertebra_is_a_result_of_a_full_spine_model_and_none_is_an_error() -> None:
    labels, ct, _ = trunk_volumes(Trunk((T11, T12, L1)))
    cleaned, _ = postprocess(labels, ct, None, None, Scope(FULL_SPINE_LEVELS))
    assert set(np.unique(cleaned.labels_zyx)) == {0, T11, T12, L1}
    with raises_code(NoVertebraError, "CS-FND-014", "T11"):
        postprocess(labels, ct, None)
    nothing = trunk_volumes(labels_zyx=np.zeros_like(Trunk().draw()[0]))
    with raises_code(NoVertebraError, "CS-FND-014") as failure:
        postprocess(nothing[0], nothing[1], None, None, Scope(FULL_SPINE_LEVELS))
    assert "spine" in failure.value.advice and "neck" not in failure.value.advice


def test_every_vertebra_of_a_phantom_with_all_26_stays() -> None:
    labels = tuple(level.label for level in VERTEBRAE)
    assert found(Trunk(labels)) == [("CS-FND-020", "T13"), ("CS-FND-021", "L6")]
