"""Affines that a caller gives."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.ct_limits import checked_affine
from cspine.core.errors import ImpossibleGeometryError


def test_an_affine_may_be_a_list_and_sheared_and_is_not_copied() -> None:
    affine = np.array([[0.5, 0, 0.2, 1], [0, -0.5, 0, 2], [0, 0, 2, 3], [0, 0, 0, 1]])
    assert checked_affine(affine, "x") is affine
    assert (checked_affine(affine.tolist(), "x") == affine).all()


@pytest.mark.parametrize(
    "affine",
    [np.eye(3), np.zeros((4, 4)), np.full((4, 4), np.nan), np.diag([1, 1, 0, 1]), np.ones((4, 4)), 2 * np.eye(4),
     None, "LPS", [[1], 2]],
)  # fmt: skip
def test_what_is_no_affine_is_refused(affine: object) -> None:
    with pytest.raises(ImpossibleGeometryError):
        checked_affine(affine, "x")
