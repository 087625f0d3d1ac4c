"""Cases of the evaluation sets on a field of view and a grid that take a moment."""

from __future__ import annotations

from dataclasses import replace

from cspine.study.synthesis import evaluation_sets
from cspine.study.synthesis.evaluation_sets import SetCase

_set_case = evaluation_sets.set_case


def small_case(set_name: str, number: int) -> SetCase:
    """Return a case of a set on the tiny atlas's size, with wide voxels."""
    case = _set_case(set_name, number)
    return replace(case, spacing_xyz=(1.5, 1.5, 2.5), extent_xyz_mm=(54.0, 60.0, 90.0), offset_xyz_mm=(0.0, 0.0, 0.0))
