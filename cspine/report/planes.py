"""Curved planes that follow the spinal column, for pictures."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import vertebra
from cspine.core.shape import occupied_box

#: The vertebral body is within this distance of the centroid; transverse processes are further out.
_BODY_HALF_MM = 9.0


def body_centre(
    labels_zyx: NDArray[np.uint8], label: int, spacing_xyz: tuple[float, float, float]
) -> tuple[float, float, float]:
    """Return the centroid of a vertebra, with y moved into its body, where a coronal plane shows most of it.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels.
    label : int
        Label of the vertebra.
    spacing_xyz : tuple of float
        Voxel spacing along x, y, z, millimetres.

    Returns
    -------
    tuple of float
        Indices z, y, x.
    """
    mask = labels_zyx == label
    box = occupied_box(mask)
    assert box is not None
    index = np.argwhere(mask[box]) + [part.start for part in box]
    z, _, x = index.mean(axis=0)
    near = np.abs(index[:, 2] - x) * spacing_xyz[0] <= _BODY_HALF_MM
    # C1 has no body; its lateral masses are the largest part.
    counted = index[near] if near.any() and vertebra(label).name != "C1" else index
    counts = np.bincount(counted[:, 1], minlength=labels_zyx.shape[1]).astype(np.float64)
    width = max(1, round(6.0 / spacing_xyz[1]))
    fullest = int(np.argmax(np.convolve(counts, np.ones(width), mode="same")))
    return float(z), float(fullest), float(x)


def curve(centres_zyx: NDArray[np.float64], axis: int, shape_zyx: tuple[int, ...]) -> NDArray[np.intp]:
    """Return for each z the index of the column on an axis; it is constant beyond the ends.

    Parameters
    ----------
    centres_zyx : ndarray, shape (levels, 3)
        Centres from `body_centre`.
    axis : int
        1 for y, 2 for x.
    shape_zyx : tuple of int
        Shape of the image.
    """
    order = np.argsort(centres_zyx[:, 0], kind="stable")
    index = np.interp(np.arange(shape_zyx[0]), centres_zyx[order, 0], centres_zyx[order, axis])
    return np.asarray(np.clip(np.rint(index), 0, shape_zyx[axis] - 1), dtype=np.intp)
