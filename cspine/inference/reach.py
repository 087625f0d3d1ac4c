"""Vertebrae that reach the end of what a network saw, where the image goes on: they are cut, or others lie beyond."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Grid
from cspine.core.shape import Box, margin_zyx
from cspine.core.volumes import LabelArray

#: Labels that reach a face with less than this are stray voxels, not a vertebra that goes on.
MIN_CONTACT_MM2 = 10.0

#: A face of a box: axis, and 0 for its start or 1 for its end.
Face = tuple[int, int]


def faces_reached(
    labels_zyx: LabelArray, levels: NDArray[np.uint8], box: Box, seen: Box, grid: Grid
) -> tuple[Face, ...]:
    """Return the faces of a box within the image that vertebrae reach.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Network labels of a part of the image.
    levels : ndarray of uint8, shape (256,)
        Label of the level of each network label; 0 for background and auxiliary classes.
    box : tuple of slice
        That part of the image.
    seen : tuple of slice
        What the network saw of it, as a box of the image within ``box``.
    grid : Grid
        Grid of the image.
    """
    spacing = np.array(grid.spacing_xyz[::-1])
    within = tuple(slice(s.start - b.start, s.stop - b.start) for s, b in zip(seen, box, strict=True))
    part, found = labels_zyx[within], []
    for axis, (side, count) in enumerate(zip(seen, grid.shape_zyx, strict=True)):
        pixel_mm2 = float(np.prod(np.delete(spacing, axis)))
        for end, is_inside in ((0, side.start > 0), (1, side.stop < count)):
            plane = np.moveaxis(part, axis, 0)[-end]
            if is_inside and np.count_nonzero(levels[plane]) * pixel_mm2 >= MIN_CONTACT_MM2:
                found.append((axis, end))
    return tuple(found)


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
