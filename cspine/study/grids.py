"""Labels of other systems, reoriented to the grid of an image where both have the same voxels; never resampled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import CaseGridError
from cspine.core.geometry import SLACK, Grid, orientation_of, reorientation, to_index, to_lps
from cspine.core.volumes import LabelVolume


def on_grid(labels: LabelVolume, grid: Grid, *, partial: bool = False) -> LabelVolume:
    """Reorient labels to a grid: other systems write the same voxels in another order of the axes.

    Parameters
    ----------
    labels : LabelVolume
        Labels in any orientation.
    grid : Grid
        Grid of the reference, or of the image.
    partial : bool
        Labels may cover a part of the grid, as those of a DICOM Segmentation do; the rest is background.

    Raises
    ------
    CaseGridError
        If they do not lie on the same voxels; the message names both grids.
    """
    to_grid = reorientation(labels.affine_lps, orientation_of(grid.affine_lps))
    turned = to_grid.grid(labels.grid)
    if partial:
        return _padded(LabelVolume(to_grid.apply(labels.labels_zyx), turned.affine_lps, labels.model), grid)
    if turned.shape_zyx != grid.shape_zyx or not turned.is_close(grid, SLACK * min(grid.spacing_xyz)):
        raise _other_grid(turned, grid)
    return LabelVolume(np.ascontiguousarray(to_grid.apply(labels.labels_zyx)), grid.affine_lps, labels.model)


def common_grid(first: LabelVolume, second: LabelVolume) -> Grid:
    """Return the smallest grid with the voxels of the first that holds both.

    Parameters
    ----------
    first, second : LabelVolume
        Labels whose voxels coincide, in any orientation.

    Raises
    ------
    CaseGridError
        If their voxels do not coincide.
    """
    to_first = reorientation(second.affine_lps, orientation_of(first.affine_lps))
    offset, shape = _offset(to_first.grid(second.grid), first.grid), np.array(first.grid.shape_zyx)
    low = np.minimum(offset, 0)
    high = np.maximum(offset + np.array(to_first.grid(second.grid).shape_zyx), shape)
    affine = first.affine_lps.copy()
    affine[:3, 3] = to_lps(affine, low[::-1].astype(np.float64)[None])[0]
    z, y, x = (int(n) for n in high - low)
    return Grid((z, y, x), affine)


def _padded(labels: LabelVolume, grid: Grid) -> LabelVolume:
    """Put labels of the same orientation where they lie on a grid that they cover a part of."""
    offset = _offset(labels.grid, grid)
    filled = np.argwhere(labels.labels_zyx) + offset
    if len(filled) and ((filled < 0).any() or (filled >= grid.shape_zyx).any()):
        raise _other_grid(labels.grid, grid)
    result = np.zeros(grid.shape_zyx, dtype=labels.labels_zyx.dtype)
    result[tuple(filled.T)] = labels.labels_zyx[labels.labels_zyx > 0]
    return LabelVolume(result, grid.affine_lps, labels.model)


def _offset(part: Grid, grid: Grid) -> NDArray[np.int64]:
    """Return the index (z, y, x) in a grid of the first voxel of another one with the same axes and steps."""
    first = to_index(grid.affine_lps, part.affine_lps[None, :3, 3])[0]
    steps = np.abs(part.affine_lps[:3, :3] - grid.affine_lps[:3, :3]).max(axis=0) * np.array(part.shape_zyx[::-1])
    if np.abs(first - np.rint(first)).max() > SLACK or steps.max() > SLACK * min(grid.spacing_xyz):
        raise _other_grid(part, grid)
    offset: NDArray[np.int64] = np.rint(first[::-1]).astype(np.int64)
    return offset


def _other_grid(labels: Grid, grid: Grid) -> CaseGridError:
    return CaseGridError(
        f"the labels lie on another grid: {_grid_text(labels)} instead of {_grid_text(grid)}",
        advice="Labels are never resampled: let the other system write them on the grid of the image.",
    )


def _grid_text(grid: Grid) -> str:
    sizes = " x ".join(str(n) for n in grid.shape_zyx[::-1])
    steps = " x ".join(f"{step:.3g}" for step in grid.spacing_xyz)
    first = ", ".join(f"{v:.1f}" for v in grid.affine_lps[:3, 3])
    return f"{sizes} voxels of {steps} mm from ({first})"
