import numpy as np
import pytest

from cspine.core.shape import shapes_of
from cspine.postprocessing.order import head_axis, order_findings
from tests.builders.spine_phantom import Phantom, draw


def codes(phantom: Phantom, labels: np.ndarray | None = None) -> list[tuple[str, str | None]]:
    predicted = draw(phantom) if labels is None else labels
    return [(f.code, f.level) for f in order_findings(shapes_of(predicted, phantom.grid()))]


def test_a_complete_neck_has_no_findings() -> None:
    assert codes(Phantom()) == []


@pytest.mark.parametrize("shear_mm", [-9.0, 9.0])
def test_a_flexed_or_extended_neck_keeps_its_order(shear_mm: float) -> None:
    assert codes(Phantom(shape_zyx=(170, 210, 80), step_mm=14.0, shear_mm=shear_mm)) == []


def test_missing_levels_between_two_are_named() -> None:
    assert codes(Phantom(labels=(1, 2, 5, 6))) == [("CS-FND-002", "C3"), ("CS-FND-002", "C4")]


def test_swapped_levels_break_the_order() -> None:
    assert ("CS-FND-003", "C5") in codes(Phantom(labels=(1, 2, 3, 5, 4, 6)))


def test_without_an_anchor_the_numbering_is_uncertain() -> None:
    assert codes(Phantom(labels=(3, 4, 5, 6))) == [("CS-FND-010", None)]
    assert codes(Phantom(labels=(5, 6, 7))) == [("CS-FND-010", None)]
    assert codes(Phantom(labels=(6, 7, 8))) == [("CS-FND-010", None)]  # T1 alone is no sure anchor
    assert codes(Phantom(labels=(2, 3, 4))) == []


def test_two_labels_on_one_vertebra_lie_too_close() -> None:
    phantom = Phantom()
    upper = draw(Phantom(labels=(1, 2, 3)))
    both = upper.copy()
    both[(upper == 3) & (np.arange(upper.shape[2]) % 2 == 0)] = 4
    assert ("CS-FND-007", "C4") in codes(phantom, both)


def test_a_vertebra_passed_over_shows_as_a_wide_gap() -> None:
    labels = draw(Phantom(labels=(1, 2, 28, 3, 4)))
    labels[labels == 28] = 0
    assert codes(Phantom(), labels) == [("CS-FND-008", "C3")]


def test_the_head_axis_points_up_whatever_the_order_of_centroids() -> None:
    points = np.array([[0.0, 0, 0], [0, 3, 10], [0, 6, 20], [0, 9, 30]])
    for ordered in (points, points[::-1]):
        assert head_axis(ordered)[2] > 0.9
