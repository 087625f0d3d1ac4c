"""Outlines of a mask as polygons without holes, for planar contours (PS3.3 C.8.8.6.3).

A polygon passes half way between the centres of voxels inside and outside, so that it contains exactly the centres of
the mask. A hole is joined to its outline by a channel without width ("keyhole"), which every reader understands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import find_contours, points_in_poly

#: Vertices (row, column), the last one unequal to the first.
Polygon = NDArray[np.float64]


def outlines(mask_yx: NDArray[np.bool_]) -> list[Polygon]:
    """Return the polygons of a mask, one for each part that is connected by edges.

    Parameters
    ----------
    mask_yx : ndarray of bool, shape (y, x)
        A mask.

    Returns
    -------
    list of ndarray, shape (vertices, 2)
        Rows and columns, in units of voxels; the centre of the first voxel is (0, 0).
    """
    padded = np.pad(mask_yx, 1).astype(np.float64)
    rings = [ring[:-1] - 1 for ring in find_contours(padded, 0.5)]  # type: ignore[no-untyped-call]
    rings = [_without_collinear(ring) for ring in rings]
    outer = [ring for ring in rings if _area(ring) > 0]
    holes = [ring for ring in rings if _area(ring) < 0]
    for hole in sorted(holes, key=lambda ring: -float(ring[:, 0].max())):
        inside = [i for i, ring in enumerate(outer) if _contains(ring, hole[0])]
        nearest = min(inside, key=lambda i: abs(_area(outer[i])))
        outer[nearest] = _join(outer[nearest], hole)
    return outer


def _contains(ring: Polygon, point: NDArray[np.float64]) -> bool:
    return bool(points_in_poly(point[None], ring)[0])  # type: ignore[no-untyped-call]


def _area(ring: Polygon) -> float:
    """Return the signed area: positive for the outline of a part, negative for that of a hole."""
    y, x = ring.T
    return float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y) / 2)


def _without_collinear(ring: Polygon) -> Polygon:
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    bends = np.abs(before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0]) > 1e-9
    return ring[bends] if bends.sum() >= 3 else ring


def _join(ring: Polygon, hole: Polygon) -> Polygon:
    """Return the outline with a channel from its nearest vertex into the hole and back."""
    distance = np.square(ring[:, None] - hole[None]).sum(axis=-1)
    at, start = np.unravel_index(int(distance.argmin()), distance.shape)
    loop = np.roll(hole, -int(start), axis=0)
    return np.concatenate([ring[: at + 1], loop, loop[:1], ring[at:]])
