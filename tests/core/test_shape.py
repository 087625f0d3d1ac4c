"""The box of what is not 0."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.geometry import Grid
from cspine.core.shape import margin_zyx, occupied_box


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.bool_])
def test_the_box_contains_all_that_is_not_0_and_no_more(kind: type) -> None:
    array = np.zeros((6, 5, 4), dtype=kind)
    assert occupied_box(array) is None
    array[2, 1, 3] = array[4, 3, 3] = 1
    assert occupied_box(array) == (slice(2, 5), slice(1, 4), slice(3, 4))


def test_a_margin_ends_at_the_border() -> None:
    array = np.zeros((6, 5, 4))
    array[2, 1, 3] = -1
    assert occupied_box(array, (1, 2, 3)) == (slice(1, 4), slice(0, 4), slice(0, 4))


def test_a_margin_in_millimetres_is_rounded_up() -> None:
    assert margin_zyx(3.0, Grid((5, 5, 5), np.diag([1.0, 2.0, 4.0, 1.0]))) == (1, 2, 3)
