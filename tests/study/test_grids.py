"""Labels of the same voxels in another order of the axes are reoriented; others are refused."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from cspine.core.errors import CaseGridError
from cspine.core.geometry import Grid, reorientation
from cspine.core.volumes import LabelVolume
from cspine.study.grids import on_grid
from tests.builders.raises import raises_code

AFFINE = np.diag([0.5, 0.7, 2.0, 1.0])
AFFINE[:3, 3] = (-20, 30, 100)
LABELS = LabelVolume(np.random.default_rng(0).integers(0, 9, (5, 6, 7), dtype=np.uint8), AFFINE)
ORIENTATIONS = [
    "".join(letters) for axes in itertools.permutations(("LR", "PA", "SI")) for letters in itertools.product(*axes)
]


def reoriented(orientation: str) -> LabelVolume:
    change = reorientation(AFFINE, orientation)
    return LabelVolume(change.apply(LABELS.labels_zyx), change.grid(LABELS.grid).affine_lps)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_comes_back(orientation: str) -> None:
    found = on_grid(reoriented(orientation), LABELS.grid)
    assert np.array_equal(found.labels_zyx, LABELS.labels_zyx)
    assert found.affine_lps is LABELS.grid.affine_lps and found.labels_zyx.flags.c_contiguous


def test_rounding_in_a_header_does_no_harm() -> None:
    rounded = AFFINE.copy()
    rounded[:3, 3] += 0.01
    assert np.array_equal(on_grid(LabelVolume(LABELS.labels_zyx, rounded), LABELS.grid).labels_zyx, LABELS.labels_zyx)


def test_another_grid_is_refused_with_both() -> None:
    moved = AFFINE.copy()
    moved[2, 3] += 1.0
    coarse = Grid((5, 6, 7), np.diag([1.0, 1.0, 2.0, 1.0]))
    for labels, grid in ((LabelVolume(LABELS.labels_zyx, moved), LABELS.grid), (LABELS, coarse)):
        with raises_code(CaseGridError, "7 x 6 x 5", "7 x 6 x 5"):
            on_grid(labels, grid)
    with raises_code(CaseGridError, "7 x 6 x 4", "7 x 6 x 5"):
        on_grid(LabelVolume(LABELS.labels_zyx[1:], AFFINE), LABELS.grid)
