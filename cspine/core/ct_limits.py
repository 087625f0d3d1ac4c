"""What the grid of a CT of a patient can be: sizes of voxels and of images, with a margin.

Whether slices are regular is decided in `cspine.dicom`.
"""

from __future__ import annotations

import numpy as np

from cspine.core.errors import ImpossibleGeometryError, SingleSliceError
from cspine.core.geometry import Affine, Grid

#: What CT scanners of patients produce, with a margin: millimetres, and pixels per side.
PIXEL_SPACING_MM = (0.02, 10.0)
SLICE_DISTANCE_MM = (0.02, 20.0)
MAX_POSITION_MM = 20_000.0
MAX_EXTENT_MM = 3_000.0
MAX_MATRIX = 8192
MIN_SLICES = 3
#: Axes of unit length whose determinant is less lie in a plane.
_MIN_DETERMINANT = 1e-6


def checked_affine(affine: object, name: str) -> Affine:
    """Return an affine that a caller gives as 4 x 4 numbers that can be inverted.

    Parameters
    ----------
    affine : array-like, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    name : str
        The image, as the message names it.

    Raises
    ------
    ImpossibleGeometryError
        If it has another shape, or cannot be inverted.
    """
    try:
        found = np.asarray(affine, dtype=np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape == (4, 4) and np.isfinite(found).all() and (found[3] == (0, 0, 0, 1)).all():
        steps = np.linalg.norm(found[:3, :3], axis=0)
        if steps.all() and abs(np.linalg.det(found[:3, :3] / steps)) >= _MIN_DETERMINANT:
            return found
    raise ImpossibleGeometryError(
        f"the affine of {name} is not one of 4 x 4 numbers that can be inverted",
        advice="Give a matrix from index (x, y, z) to millimetres (LPS), whose last row is 0 0 0 1.",
    )


def require_possible_grid(grid: Grid, name: str, unit: str = "millimetre") -> None:
    """Refuse a grid that is not that of a CT of a patient, whichever of its axes is that of the slices.

    Parameters
    ----------
    grid : Grid
        The grid.
    name : str
        The image, as the message names it.
    unit : str
        The unit in which its header states positions.

    Raises
    ------
    ImpossibleGeometryError
        If a spacing or an extent is impossible.
    SingleSliceError
        If there are fewer than three slices along the shortest axis.
    """
    spacing = grid.spacing_xyz
    (low, high), furthest = PIXEL_SPACING_MM, SLICE_DISTANCE_MM[1]
    _, between_pixels, between_slices = sorted(spacing)
    extent = max(n * step for n, step in zip(reversed(grid.shape_zyx), spacing, strict=True))
    impossible = ""
    if min(spacing) < low or between_pixels > high or between_slices > furthest:
        x, y, z = spacing
        impossible = f"voxels of {x:g} x {y:g} x {z:g} mm; CT has {low:g} to {high:g} mm, {furthest:g} between slices"
    elif extent > MAX_EXTENT_MM:
        impossible = f"an extent of {extent:.0f} mm; CT has {MAX_EXTENT_MM:.0f} at most"
    if impossible:
        raise ImpossibleGeometryError(
            f"{name}, whose unit is the {unit}, has {impossible}",
            advice="Correct the spacing, or the unit, in the header, or convert the image again.",
        )
    if min(grid.shape_zyx) < MIN_SLICES:
        raise SingleSliceError(
            f"{name} has {min(grid.shape_zyx)} slices along an axis; at least {MIN_SLICES} are needed"
        )
