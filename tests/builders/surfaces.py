"""Distances between the surfaces of two masks on one grid, as an evaluation takes them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cspine.study.evaluation.surfaces import SurfaceDistances, border_points, distances_between

Mask = NDArray[np.bool_]


def surface_distances(reference_zyx: Mask, found_zyx: Mask, spacing_zyx: Sequence[float]) -> SurfaceDistances:
    points = [border_points(mask, (0, 0, 0), spacing_zyx) for mask in (reference_zyx, found_zyx)]
    return distances_between(*points)
