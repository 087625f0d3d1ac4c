"""Affines and axis order: no other module of cspine flips, transposes or deshears an array.

Arrays are (z, y, x). An affine maps an index (x, y, z) to millimetres in DICOM patient coordinates (LPS).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from cspine.core.errors import UnsupportedOrientationError

Affine = NDArray[np.float64]
Shape3 = tuple[int, int, int]
Voxels = TypeVar("Voxels", bound=np.generic)

#: Corners of two grids of the same voxels may differ by this share of the smallest step.
SLACK = 0.1

_AXIS_OF_LETTER = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}
_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))


@dataclass(frozen=True, eq=False)
class Grid:
    """A grid of voxels in patient coordinates.

    Parameters
    ----------
    shape_zyx : tuple of int
        Number of voxels along z, y, x.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS). It may be sheared (gantry tilt).
    """

    shape_zyx: Shape3
    affine_lps: Affine

    @property
    def spacing_xyz(self) -> tuple[float, float, float]:
        """Voxel spacing along x, y, z in millimetres."""
        x, y, z = np.linalg.norm(self.affine_lps[:3, :3], axis=0)
        return float(x), float(y), float(z)

    @property
    def voxel_mm3(self) -> float:
        """Volume of a voxel in cubic millimetres."""
        return float(abs(np.linalg.det(self.affine_lps[:3, :3])))

    def is_close(self, other: Grid, tolerance_mm: float = 1e-3) -> bool:
        """Return whether both grids have the same shape and all their corners agree within the tolerance.

        Parameters
        ----------
        other : Grid
            The grid to compare with.
        tolerance_mm : float
            Largest difference of a coordinate of a corner, millimetres.
        """
        if self.shape_zyx != other.shape_zyx:
            return False
        return bool(np.abs(self.corners_lps() - other.corners_lps()).max() <= tolerance_mm)

    def part(self, box_zyx: tuple[slice, slice, slice]) -> Grid:
        """Return the grid of a box of the array, whose slices have a start and a stop.

        Parameters
        ----------
        box_zyx : tuple of slice
            Slices along z, y and x with a start and a stop, without a step.
        """
        start_xyz = np.array([[float(part.start) for part in reversed(box_zyx)]])
        affine = self.affine_lps.copy()
        affine[:3, 3] = to_lps(self.affine_lps, start_xyz)[0]
        z, y, x = (part.stop - part.start for part in box_zyx)
        return Grid((z, y, x), affine)

    def corners_lps(self) -> NDArray[np.float64]:
        """Return the centres of the eight corner voxels, shape (8, 3), millimetres (LPS)."""
        z, y, x = (n - 1 for n in self.shape_zyx)
        index = np.array([[i, j, k] for i in (0, x) for j in (0, y) for k in (0, z)], dtype=np.float64)
        return to_lps(self.affine_lps, index)


def make_affine(
    axes_lps: NDArray[np.float64], spacing_xyz: tuple[float, float, float], origin_lps: NDArray[np.float64]
) -> Affine:
    """Return the affine with these unit axes, this spacing and this position of voxel (0, 0, 0).

    Parameters
    ----------
    axes_lps : ndarray, shape (3, 3)
        Unit vectors of the x, y and z axes as columns.
    spacing_xyz : tuple of float
        Voxel spacing, millimetres.
    origin_lps : ndarray, shape (3,)
        Centre of the first voxel.

    Returns
    -------
    ndarray, shape (4, 4)
    """
    affine = np.eye(4)
    affine[:3, :3] = np.asarray(axes_lps, dtype=np.float64) * np.asarray(spacing_xyz, dtype=np.float64)
    affine[:3, 3] = origin_lps
    return affine


def to_lps(affine_lps: Affine, index_xyz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the positions of indices in the patient.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS.
    index_xyz : ndarray, shape (n, 3)
        Indices; fractions are positions between voxel centres.

    Returns
    -------
    ndarray, shape (n, 3)
        Positions in millimetres, LPS, float64.
    """
    return np.asarray(index_xyz @ affine_lps[:3, :3].T + affine_lps[:3, 3], dtype=np.float64)


def to_index(affine_lps: Affine, points_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the indices of positions in the patient: the inverse of `to_lps`.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS; it must be invertible.
    points_lps : ndarray, shape (n, 3)
        Positions in millimetres, LPS.

    Returns
    -------
    ndarray, shape (n, 3)
        Indices (x, y, z), not rounded, float64.
    """
    inverse: Affine = np.linalg.inv(affine_lps).astype(np.float64)
    return to_lps(inverse, points_lps)


def ras_to_lps(affine_ras: Affine) -> Affine:
    """Return the affine of a NIfTI file (RAS) in DICOM coordinates (LPS), or the reverse: it is its own inverse.

    Parameters
    ----------
    affine_ras : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in RAS, or in LPS for the reverse.

    Returns
    -------
    ndarray, shape (4, 4)
        The affine in the other frame, float64.
    """
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ np.asarray(affine_ras, dtype=np.float64)


def zyx_from_xyz(array_xyz: NDArray[Voxels]) -> NDArray[Voxels]:
    """Return an array of shape (x, y, z), as nibabel gives it, as one of shape (z, y, x).

    Parameters
    ----------
    array_xyz : ndarray, shape (x, y, z)
        Voxels of any dtype.

    Returns
    -------
    ndarray, shape (z, y, x)
        The same voxels, contiguous in memory.
    """
    return np.ascontiguousarray(array_xyz.transpose(2, 1, 0))


def is_orthogonal(affine_lps: Affine, tolerance: float = 1e-4) -> bool:
    """Return whether the axes of a grid are perpendicular.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres.
    tolerance : float
        Largest magnitude of the cosine between two axes.
    """
    axes = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() <= tolerance)


# --- orientation ------------------------------------------------------------------------------------------------------


def orientation_of(affine_lps: Affine) -> str:
    """Return the directions of the x, y and z axes as three letters: ``"LPS"`` for an axial CT from feet to head.

    Each axis of an oblique scan gets the nearest direction of the patient, the best match first.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS.

    Examples
    --------
    >>> orientation_of(np.diag([0.5, 0.5, 1.0, 1.0])), orientation_of(np.diag([-0.5, -0.5, 1.0, 1.0]))
    ('LPS', 'RAS')
    """
    cosines = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    letters = ["", "", ""]
    left = np.abs(cosines)
    for _ in range(3):
        patient, array = np.unravel_index(int(np.argmax(left)), (3, 3))
        letters[int(array)] = _LETTERS[int(patient)][0 if cosines[patient, array] > 0 else 1]
        left[patient, :] = -1
        left[:, array] = -1
    return "".join(letters)


@dataclass(frozen=True)
class Reorientation:
    """A permutation and flips of axes that bring an array to another orientation, and back.

    Parameters
    ----------
    axes_zyx : tuple of int
        For each axis of the result, the axis of the array that it comes from.
    flips_zyx : tuple of bool
        Which axes of the result are reversed.
    """

    axes_zyx: tuple[int, int, int]
    flips_zyx: tuple[bool, bool, bool]

    def apply(self, array_zyx: NDArray[Voxels]) -> NDArray[Voxels]:
        """Return a view of the array in the new orientation.

        Parameters
        ----------
        array_zyx : ndarray, shape (z, y, x)
            Array in the original orientation.
        """
        permuted = array_zyx.transpose(self.axes_zyx)
        return permuted[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips_zyx)]

    def undo(self, array_zyx: NDArray[Voxels]) -> NDArray[Voxels]:
        """Return a view of the array in the original orientation: the inverse of `apply`.

        Parameters
        ----------
        array_zyx : ndarray, shape (z, y, x)
            Array in the new orientation.
        """
        flipped = array_zyx[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips_zyx)]
        return flipped.transpose(tuple(int(i) for i in np.argsort(self.axes_zyx)))

    def box(self, box_zyx: tuple[slice, slice, slice], shape_zyx: Shape3) -> tuple[slice, slice, slice]:
        """Return where a box of an array of this shape lies in the reoriented array.

        Parameters
        ----------
        box_zyx : tuple of slice
            Box of the array in the original orientation; each slice has a start and a stop.
        shape_zyx : tuple of int
            Shape of the array in the original orientation.
        """
        moved = []
        for axis, flip in zip(self.axes_zyx, self.flips_zyx, strict=True):
            part, n = box_zyx[axis], shape_zyx[axis]
            moved.append(slice(n - part.stop, n - part.start) if flip else part)
        return moved[0], moved[1], moved[2]

    def undo_box(self, box_zyx: tuple[slice, slice, slice], shape_zyx: Shape3) -> tuple[slice, slice, slice]:
        """Return where a box of the reoriented array lies in the original array of this shape: the inverse of `box`."""
        original = list(box_zyx)
        for part, axis, flip in zip(box_zyx, self.axes_zyx, self.flips_zyx, strict=True):
            n = shape_zyx[axis]
            original[axis] = slice(n - part.stop, n - part.start) if flip else part
        return original[0], original[1], original[2]

    def grid(self, grid: Grid) -> Grid:
        """Return the grid of the reoriented array.

        Parameters
        ----------
        grid : Grid
            Grid of the array in the original orientation.
        """
        columns, origin = grid.affine_lps[:3, :3], grid.affine_lps[:3, 3].copy()
        reoriented = np.empty((3, 3))
        for target in range(3):
            source = self.axes_zyx[target]
            column = columns[:, 2 - source]
            if self.flips_zyx[target]:
                origin += column * (grid.shape_zyx[source] - 1)
                column = -column
            reoriented[:, 2 - target] = column
        affine = np.eye(4)
        affine[:3, :3], affine[:3, 3] = reoriented, origin
        z, y, x = (grid.shape_zyx[i] for i in self.axes_zyx)
        return Grid((z, y, x), affine)


def reorientation(affine_lps: Affine, target: str) -> Reorientation:
    """Return the reorientation that makes the x, y, z axes of an array point to ``target``.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine of the array.
    target : str
        Three letters in x, y, z order, for example ``"LPS"`` or ``"RAS"``.

    Raises
    ------
    UnsupportedOrientationError
        If the letters do not name three different axes.

    Examples
    --------
    >>> to_ras = reorientation(np.eye(4), "RAS")
    >>> to_ras.apply(np.array([[[1, 2], [3, 4]]])).tolist()
    [[[4, 3], [2, 1]]]
    """
    letters = target.upper()
    if sorted(_AXIS_OF_LETTER[c][0] for c in letters if c in _AXIS_OF_LETTER) != [0, 1, 2] or len(letters) != 3:
        raise UnsupportedOrientationError(f"{target!r} is not an orientation")
    present = orientation_of(affine_lps)
    by_patient = {_AXIS_OF_LETTER[c][0]: (i, _AXIS_OF_LETTER[c][1]) for i, c in enumerate(present)}
    axes, flips = [], []
    for letter in reversed(letters):
        patient, sign = _AXIS_OF_LETTER[letter]
        array_axis_xyz, present_sign = by_patient[patient]
        axes.append(2 - array_axis_xyz)
        flips.append(sign != present_sign)
    return Reorientation((axes[0], axes[1], axes[2]), (flips[0], flips[1], flips[2]))


# --- gantry tilt ------------------------------------------------------------------------------------------------------


def shear_mm(affine_lps: Affine) -> tuple[float, float]:
    """Return the in-plane shift of each slice against the previous one, along x and y, millimetres.

    It is zero for an orthogonal grid; a tilted gantry causes a shift along y.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS.
    """
    x, y, step = affine_lps[:3, 0], affine_lps[:3, 1], affine_lps[:3, 2]
    return float(step @ x / np.linalg.norm(x)), float(step @ y / np.linalg.norm(y))


def orthogonal_grid(grid: Grid) -> Grid:
    """Return the orthogonal grid with the same slice planes that covers a sheared one.

    In-plane axes, spacing and slice planes are kept; rows and columns are added so that no voxel centre is lost.

    Parameters
    ----------
    grid : Grid
        A grid whose rows and columns are perpendicular; its slices may be offset against each other.
    """
    shear = np.array(shear_mm(grid.affine_lps))
    spacing = np.array(grid.spacing_xyz[:2])
    slices = grid.shape_zyx[0]
    shift = shear * (slices - 1) / spacing
    low = np.floor(np.minimum(shift, 0) - 1e-6).astype(int)
    high = np.ceil(np.maximum(shift, 0) + 1e-6).astype(int)
    low[np.abs(shift) < 1e-6], high[np.abs(shift) < 1e-6] = 0, 0
    axes = grid.affine_lps[:3, :2] / spacing
    affine = grid.affine_lps.copy()
    affine[:3, 2] -= axes @ shear
    affine[:3, 3] += axes @ (low * spacing)
    _, rows, columns = grid.shape_zyx
    return Grid((slices, rows + int(high[1] - low[1]), columns + int(high[0] - low[0])), affine)


def _slice_offsets(source: Grid, target: Grid) -> NDArray[np.float64]:
    """Return the index (y, x) in each source slice of voxel (0, 0) of the target slice in the same plane."""
    slices = np.arange(target.shape_zyx[0], dtype=np.float64)
    first_voxels = np.zeros((len(slices), 3))
    first_voxels[:, 2] = slices
    return to_index(source.affine_lps, to_lps(target.affine_lps, first_voxels))[:, 1::-1]


def _beyond(index: NDArray[np.float64], count: int) -> NDArray[np.bool_]:
    """Return which indices are outside an axis, whose voxels extend half a step beyond the first and last centre."""
    return np.asarray((index < -0.5 - 1e-6) | (index > count - 0.5 + 1e-6))


def deshear(hu_zyx: NDArray[Voxels], source: Grid, target: Grid, fill: float) -> NDArray[Voxels]:
    """Return a sheared stack resampled to its `orthogonal_grid`, each slice within its own plane (linear).

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        Voxels on ``source``.
    source, target : Grid
        The sheared grid and its orthogonal grid.
    fill : float
        Value outside the source slices (air).

    Returns
    -------
    ndarray, shape ``target.shape_zyx``, the input's dtype
    """
    from scipy import ndimage  # a scan without a tilted gantry needs none of it

    result = np.empty(target.shape_zyx, dtype=hu_zyx.dtype)
    for k, offset in enumerate(_slice_offsets(source, target)):
        plane = ndimage.affine_transform(
            hu_zyx[k].astype(np.float32),
            np.ones(2),
            offset=offset,
            output_shape=target.shape_zyx[1:],
            order=1,
            mode="nearest",
        )
        for axis in (0, 1):
            beyond = _beyond(offset[axis] + np.arange(plane.shape[axis]), hu_zyx.shape[1 + axis])
            plane[beyond if axis == 0 else (slice(None), beyond)] = fill
        result[k] = np.rint(plane) if np.issubdtype(hu_zyx.dtype, np.integer) else plane
    return result


def resample_labels(labels_zyx: NDArray[Voxels], source: Grid, target: Grid) -> NDArray[Voxels]:
    """Return labels resampled to another grid by nearest neighbour; background outside the source.

    Parameters
    ----------
    labels_zyx : ndarray, shape (z, y, x)
        Labels on ``source``.
    source, target : Grid
        Any two grids.

    Returns
    -------
    ndarray, shape ``target.shape_zyx``, the input's dtype
    """
    if source.is_close(target):
        return labels_zyx
    from scipy import ndimage

    matrix_xyz = np.linalg.inv(source.affine_lps) @ target.affine_lps
    matrix = matrix_xyz[:3, :3][::-1, ::-1]
    offset = matrix_xyz[:3, 3][::-1]
    result = np.empty(target.shape_zyx, dtype=labels_zyx.dtype)
    slab = max(1, 2**22 // (target.shape_zyx[1] * target.shape_zyx[2]))
    for start in range(0, target.shape_zyx[0], slab):
        stop = min(start + slab, target.shape_zyx[0])
        result[start:stop] = ndimage.affine_transform(
            labels_zyx,
            matrix,
            offset=offset + matrix[:, 0] * start,
            output_shape=(stop - start, *target.shape_zyx[1:]),
            order=0,
            mode="grid-constant",  # "constant" drops the outer half of border voxels, and all of them at rounding
            cval=0,
        )
    return result


def resample_linear(array_zyx: NDArray[np.float32], source: Grid, target: Grid) -> NDArray[np.float32]:
    """Return an array resampled to another grid by linear interpolation; 0 outside the source.

    A mask of zeros and ones becomes the share of bone at each point, and its surface lies at 0.5.

    Parameters
    ----------
    array_zyx : ndarray of float32, shape (z, y, x)
        Values on ``source``.
    source, target : Grid
        Any two grids, rotated against each other or sheared.

    Returns
    -------
    ndarray of float32, shape ``target.shape_zyx``
    """
    from scipy import ndimage

    matrix_xyz = np.linalg.inv(source.affine_lps) @ target.affine_lps
    return np.asarray(
        ndimage.affine_transform(
            array_zyx,
            matrix_xyz[:3, :3][::-1, ::-1],
            offset=matrix_xyz[:3, 3][::-1],
            output_shape=target.shape_zyx,
            order=1,
            mode="constant",
            cval=0.0,
        ),
        dtype=np.float32,
    )
