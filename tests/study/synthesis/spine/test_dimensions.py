"""Sizes of the levels."""

from __future__ import annotations

from itertools import pairwise

from cspine.core.anatomy import VERTEBRAE, levels_between
from cspine.study.synthesis.spine.dimensions import dimensions


def test_every_level_has_sizes() -> None:
    for level in VERTEBRAE:
        size = dimensions(level)
        assert size.disc > 0 and size.height > 0 and size.span > 2 * size.canal[0] * 0.9, level.name
        assert level.name == "C1" or (size.width > 10 and size.depth > 10)


def test_bodies_grow_from_the_neck_to_the_loins() -> None:
    for upper, lower in pairwise(levels_between("C3", "L5")):
        if "T13" not in (upper.name, lower.name):
            assert dimensions(lower).depth >= dimensions(upper).depth
            assert dimensions(lower).height >= dimensions(upper).height
