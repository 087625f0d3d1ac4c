"""Bounds of normal anatomy agree with each other, whatever they are used for."""

from __future__ import annotations

import pytest

from cspine.core import norms
from cspine.core.anatomy import VERTEBRAE, Region, vertebra


def test_every_level_has_a_plausible_volume() -> None:
    for level in VERTEBRAE:
        smallest, largest = norms.plausible_ml(level)
        assert norms.VERY_SMALL_ML < smallest < largest
        assert norms.MIN_PIECE_MM3[level.region] / 1000 < smallest
    assert norms.plausible_ml(vertebra("C2")) == (6.0, 28.0)
    assert norms.plausible_ml(vertebra("L3")) == (18.0, 130.0)


@pytest.mark.parametrize("region", Region)
def test_bounds_of_a_distance_widen_with_what_hangs_on_them(region: Region) -> None:
    smallest, largest = norms.AUDITED_DISTANCE_MM[region]
    assert norms.MIN_DISTANCE_MM[region] < smallest < largest < norms.MAX_DISTANCE_MM[region]
    low, high = norms.COLUMN_STEP_MM[region]
    assert norms.MIN_DISTANCE_MM[region] < low and largest < high <= norms.MAX_DISTANCE_MM[region]
    assert largest < norms.MAX_LEVEL_MM[region]


def test_typical_steps_are_plausible() -> None:
    for name, step in norms.TYPICAL_STEPS_MM.items():
        low, high = (
            norms.AUDITED_ATLAS_DISTANCE_MM if name == "C1" else norms.AUDITED_DISTANCE_MM[vertebra(name).region]
        )
        assert low < step < high
