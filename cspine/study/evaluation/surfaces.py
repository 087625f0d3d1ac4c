"""Distances between the surfaces of two masks: the border voxels of each, and the distance of each to the other's.

A border voxel is a voxel of the mask with one of its six neighbours outside the mask or outside the array: MONAI's and
MedPy's surface. Distances are between voxel centres, in millimetres.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Mask = NDArray[np.bool_]
Distances = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """The two directed sets of distances between two surfaces.

    Parameters
    ----------
    from_reference_mm : ndarray, shape (n,)
        From each border voxel of the reference to the nearest one of the other mask.
    from_found_mm : ndarray, shape (m,)
        From each border voxel of the other mask to the nearest one of the reference.
    """

    from_reference_mm: Distances
    from_found_mm: Distances

    @property
    def hd95_mm(self) -> float:
        """Return the larger of the two directed 95th percentiles (MONAI's definition)."""
        return float(max(np.percentile(d, 95) for d in (self.from_reference_mm, self.from_found_mm)))

    @property
    def assd_mm(self) -> float:
        """Return the mean of all distances of both directions (MONAI's and MedPy's definition)."""
        return float(np.concatenate([self.from_reference_mm, self.from_found_mm]).mean())


def border(mask_zyx: Mask) -> Mask:
    """Return the border voxels of a mask: those with a neighbour across a face that is not in the mask.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (z, y, x)
        The mask; what lies outside of the array is not in it.

    Returns
    -------
    ndarray of bool, shape (z, y, x)
        The border.
    """
    padded = np.pad(mask_zyx, 1)
    inner = mask_zyx.copy()
    for axis in range(3):
        for neighbours in (slice(0, -2), slice(2, None)):
            inner &= padded[tuple(neighbours if i == axis else slice(1, -1) for i in range(3))]
    return mask_zyx & ~inner


def border_points(mask_zyx: Mask, corner_zyx: Sequence[int], spacing_zyx: Sequence[float]) -> Distances:
    """Return where the border voxels of a mask lie.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (z, y, x)
        A box around the mask; what lies outside the box is outside the mask.
    corner_zyx : sequence of int
        Index of the box's first voxel in the image.
    spacing_zyx : sequence of float
        Millimetres a step.

    Returns
    -------
    ndarray, shape (n, 3)
        Millimetres along z, y, x from the image's first voxel.
    """
    index = np.argwhere(border(mask_zyx)) + np.asarray(corner_zyx)
    return np.asarray(index * np.asarray(spacing_zyx, dtype=np.float64))


def distances_between(reference_mm: Distances, found_mm: Distances) -> SurfaceDistances:
    """Return the distances between two sets of border voxels, neither of them empty, as `border_points` gives them.

    A k-d tree answers exactly what a distance transform of the whole box would, for the border voxels alone.

    Parameters
    ----------
    reference_mm, found_mm : ndarray, shape (n, 3)
        Positions of the border voxels, millimetres.
    """
    # Points come in the order of the array: splitting at the middle of a cell is good enough, and fast to build.
    trees = [cKDTree(points, balanced_tree=False, compact_nodes=False) for points in (reference_mm, found_mm)]
    return SurfaceDistances(trees[1].query(reference_mm)[0], trees[0].query(found_mm)[0])
