"""Extend each vertebra to the edge of its bone, where the network predicts it too small."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import Grid
from cspine.core.norms import VERY_SMALL_ML
from cspine.core.shape import grown_box, occupied_box, value_boxes
from cspine.core.volumes import CtVolume, HuArray, LabelArray

#: How far a vertebra is extended, and how near another bone with a label it is not: joint spaces stay open.
REACH_MM, GAP_MM = 1.0, 2.0
#: Along axes with larger voxels a step might cross a joint.
MAX_STEP_MM = 1.6
#: Muscle, from whose density the edge of bone rises; the share of that rise from which on a voxel is bone; and how far
#: from it the density of the vertebra counts. Why 0.6: docs/guide/experiments.md, section 8.
SOFT_TISSUE_HU, EDGE_SHARE, AROUND_MM = 50.0, 0.6, 2.0
#: Below the first the edge may be muscle or a disc, above the second metal.
MIN_EDGE_HU, MAX_EDGE_HU = 150.0, 2500.0


def extend_to_bone_edge(labels_zyx: LabelArray, ct: CtVolume, other_zyx: NDArray[np.bool_] | None = None) -> None:
    """Add to each vertebra the adjacent voxels that are as dense as its bone, in place.

    A voxel is added if its density lies above `EDGE_SHARE` of the way from muscle to the mean of the vertebra around
    it, if it is continuous with the vertebra, within `REACH_MM` of it, and not within `GAP_MM` of another bone.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; changed.
    ct : CtVolume
        The image, on the same grid.
    other_zyx : ndarray of bool, shape (z, y, x), optional
        Bone without a label of its own, for example vertebrae below the last level.
    """
    steps = _steps(ct.grid)
    gaps = [max(1, round(GAP_MM / step)) for step in reversed(ct.grid.spacing_xyz)]
    margin_z, margin_y, margin_x = (gap + max(step, 1) for gap, step in zip(gaps, steps, strict=True))
    column = occupied_box(labels_zyx, (margin_z, margin_y, margin_x))
    if column is None:
        return
    labels, before, hu_zyx = labels_zyx[column], labels_zyx[column].copy(), ct.hu_zyx[column]
    for label, box in value_boxes(before).items():
        around = grown_box(box, (margin_z, margin_y, margin_x), before.shape)
        inside = before[around] == label
        if np.count_nonzero(inside) * ct.grid.voxel_mm3 < VERY_SMALL_ML * 1000:
            continue  # a piece of a vertebra stays what it is, and is reported
        others = (before[around] != 0) & ~inside
        if other_zyx is not None:
            others |= other_zyx[column][around]
        hu = hu_zyx[around]
        free = (
            (hu > _edge(hu, inside, ct.grid))
            & (hu < MAX_EDGE_HU)
            & ~ndimage.maximum_filter(others, size=[2 * gap + 1 for gap in gaps])
        )
        grown = inside
        for step in range(max(steps)):
            structure = _cross([count > step for count in steps])
            grown = ndimage.binary_dilation(grown, structure, mask=free | inside)
        labels[around][grown & ~inside & (labels[around] == 0)] = label


def _edge(hu: HuArray, inside: NDArray[np.bool_], grid: Grid) -> NDArray[np.float32]:
    """Return the density at which bone begins, for each voxel; infinite where no vertebra is near."""
    size = [2 * max(1, round(AROUND_MM / step)) + 1 for step in reversed(grid.spacing_xyz)]
    share = ndimage.uniform_filter(inside.astype(np.float32), size)
    total = ndimage.uniform_filter(np.where(inside, hu, 0).astype(np.float32), size)
    near = share > 0.5 / np.prod(size)
    mean = np.divide(total, share, out=np.full(share.shape, np.inf, dtype=np.float32), where=near)
    edge = SOFT_TISSUE_HU + EDGE_SHARE * (mean - SOFT_TISSUE_HU)
    return np.asarray(np.maximum(edge, MIN_EDGE_HU), dtype=np.float32)


def _steps(grid: Grid) -> list[int]:
    """Return the number of voxels to grow along z, y and x."""
    return [0 if spacing > MAX_STEP_MM else max(1, round(REACH_MM / spacing)) for spacing in reversed(grid.spacing_xyz)]


def _cross(axes: list[bool]) -> NDArray[np.bool_]:
    """Return the neighbourhood of a voxel: itself, and its neighbours along some axes."""
    cross = np.zeros((3, 3, 3), dtype=np.bool_)
    cross[1, 1, 1] = True
    for axis, wanted in enumerate(axes):
        if wanted:
            cross[tuple(slice(None) if each == axis else 1 for each in range(3))] = True
    return cross
