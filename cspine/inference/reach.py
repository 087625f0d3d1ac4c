"""Vertebrae that reach the end of what a network saw, where the image goes on: they are cut, or others lie beyond."""

from __future__ import annotations

import numpy as np

from cspine.core.geometry import Grid, reorientation
from cspine.core.shape import Box, margin_zyx, relative_box
from cspine.core.volumes import LabelArray

#: Labels that reach a face with less than this are stray voxels, not a vertebra that goes on.
MIN_CONTACT_MM2 = 10.0

#: A face of a box: axis, and 0 for its start or 1 for its end.
Face = tuple[int, int]


def faces_reached(
    labels_zyx: LabelArray, box: Box, seen: Box, grid: Grid, *, sideways: bool = False
) -> tuple[Face, ...]:
    """Return the upper and lower faces of a box within the image that vertebrae reach.

    Sideways a column is no wider than what an earlier look at all of the image's width found of it, and what reaches
    that far lies beside it.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Levels in a part of the image; 0 for background and auxiliary classes.
    box : tuple of slice
        That part of the image.
    seen : tuple of slice
        What the network saw of it, as a box of the image within ``box``.
    grid : Grid
        Grid of the image.
    sideways : bool
        Return the faces at the sides, in front and behind as well.
    """
    axes = reorientation(grid.affine_lps, "LPS").axes_zyx
    shown = labels_zyx[relative_box(seen, box)]
    return tuple(face for axis in axes[: 3 if sideways else 1] for face in _faces_along(axis, shown, seen, grid))


def _faces_along(axis: int, shown_zyx: LabelArray, seen: Box, grid: Grid) -> tuple[Face, ...]:
    """Return the reached ones of the two faces across an axis."""
    pixel_mm2 = float(np.prod(np.delete(np.array(grid.spacing_xyz[::-1]), axis)))
    planes, side = np.moveaxis(shown_zyx, axis, 0), seen[axis]
    inside = (side.start > 0, side.stop < grid.shape_zyx[axis])
    return tuple(
        (axis, end)
        for end, is_inside in enumerate(inside)
        if is_inside and np.count_nonzero(planes[-end]) * pixel_mm2 >= MIN_CONTACT_MM2
    )


def enlarged(box: Box, faces: tuple[Face, ...], margin_mm: float, grid: Grid) -> Box:
    """Return a box that extends further by a margin at some of its faces, within the image.

    Parameters
    ----------
    box : tuple of slice
        The box.
    faces : tuple of (int, int)
        As `faces_reached` returns them.
    margin_mm : float
        How far.
    grid : Grid
        Grid of the image.
    """
    limits = [[part.start, part.stop] for part in box]
    for axis, end in faces:
        step = margin_zyx(margin_mm, grid)[axis]
        limits[axis][end] = min(limits[axis][1] + step, grid.shape_zyx[axis]) if end else max(limits[axis][0] - step, 0)
    z, y, x = (slice(start, stop) for start, stop in limits)
    return z, y, x
