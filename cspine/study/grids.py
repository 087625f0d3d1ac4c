"""Labels from elsewhere, turned to the grid that they belong to where both have the same voxels; never resampled."""

from __future__ import annotations

import numpy as np

from cspine.core.errors import CaseGridError
from cspine.core.geometry import Grid, orientation_of, reorientation
from cspine.core.volumes import LabelVolume

#: Corners of the two grids may differ by this share of the smallest step.
SLACK = 0.1


def on_grid(labels: LabelVolume, grid: Grid) -> LabelVolume:
    """Turn labels to the orientation of a grid: other systems write the same voxels in another order of the axes.

    Parameters
    ----------
    labels : LabelVolume
        Labels in any orientation.
    grid : Grid
        Grid of the reference, or of the image.

    Raises
    ------
    CaseGridError
        If they do not lie on the same voxels; the message tells both grids.
    """
    turn = reorientation(labels.affine_lps, orientation_of(grid.affine_lps))
    turned = turn.grid(labels.grid)
    if turned.shape_zyx != grid.shape_zyx or not turned.is_close(grid, SLACK * min(grid.spacing_xyz)):
        raise CaseGridError(
            f"the labels lie on another grid: {_told(turned)} instead of {_told(grid)}",
            advice="Labels are never resampled: let the other system write them on the grid of the image.",
        )
    return LabelVolume(np.ascontiguousarray(turn.apply(labels.labels_zyx)), grid.affine_lps, labels.model)


def _told(grid: Grid) -> str:
    sizes = " x ".join(str(n) for n in grid.shape_zyx[::-1])
    steps = " x ".join(f"{step:.3g}" for step in grid.spacing_xyz)
    first = ", ".join(f"{v:.1f}" for v in grid.affine_lps[:3, 3])
    return f"{sizes} voxels of {steps} mm from ({first})"
