"""nnU-Net's resampling as one matrix for each axis.

Its functions are linear and separable: a cubic spline over a volume is a spline along each axis in turn. The matrix of
an axis is the result of the function that nnU-Net calls for the unit vectors. Results are equal except for rounding, in
float32 and slab by slab, where nnU-Net needs several copies of the volume in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates, zoom

from cspine.core.geometry import Shape3
from cspine.core.shape import Box
from cspine.models.plans import Resampling

Spacing = tuple[float, float, float]
Item = TypeVar("Item")
Matrix = NDArray[np.float32]
# nnU-Net's ANISO_THRESHOLD: the ratio of spacings from which an axis is resampled separately.
_ANISOTROPY = 3.0
# Smaller entries are rounding errors of the spline filter.
_NEGLIGIBLE = 1e-9
_KINDS = {"linear", "nearest", "nearest-exact", *(f"{name} {n}" for name in ("spline", "sampled") for n in range(6))}


@dataclass(frozen=True, eq=False)
class AxisMatrices:
    """A resampling of volumes of a given shape.

    Parameters
    ----------
    shape_in, shape_out : tuple of int
        Shapes, with the axes of the network's array.
    matrices : tuple of (ndarray or None)
        For each axis (n_out, n_in), float32; None if the axis does not change.
    separate_axis : int or None
        The axis that is resampled separately, after the slices.
    clipped : bool
        True if the result is clipped to the range of the input (of a slice if an axis is separate, else of the volume).
    """

    shape_in: Shape3
    shape_out: Shape3
    matrices: tuple[Matrix | None, Matrix | None, Matrix | None]
    separate_axis: int | None
    clipped: bool

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return all(matrix is None for matrix in self.matrices)

    @property
    def is_convex(self) -> bool:
        """Whether each output voxel is a weighted mean of input voxels, without negative weights."""
        return all(matrix is None or bool((matrix >= 0).all()) for matrix in self.matrices)

    @property
    def is_selection(self) -> bool:
        """Whether each output voxel is one of the input voxels."""
        return all(matrix is None or bool(((matrix != 0).sum(1) == 1).all()) for matrix in self.matrices)

    def selected(self, values: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the voxels that a selection takes from an array of shape `shape_in`.

        Parameters
        ----------
        values : ndarray of uint8, shape (z, y, x)
            Labels on the grid of the input.
        """
        for axis, matrix in enumerate(self.matrices):
            if matrix is not None:
                values = values.take(matrix.argmax(1), axis=axis)
        return values

    def inputs_of(self, box: Box) -> Box:
        """Return the box of the input on which a box of the output depends.

        Parameters
        ----------
        box : tuple of slice
            Box of the output.
        """
        inputs = []
        for matrix, rows in zip(self.matrices, box, strict=True):
            used = None if matrix is None else np.flatnonzero((matrix[rows] != 0).any(0))
            inputs.append(rows if used is None else slice(int(used[0]), int(used[-1]) + 1))
        return _three(inputs)

    def between(self, inputs: Box, outputs: Box) -> AxisMatrices:
        """Return the resampling of a box of the input to a box of the output that depends on no other voxel.

        Parameters
        ----------
        inputs : tuple of slice
            Box of the input, at least that of `inputs_of`.
        outputs : tuple of slice
            Box of the output.
        """
        made: list[Matrix | None] = []
        for matrix, columns, rows, n in zip(self.matrices, inputs, outputs, self.shape_in, strict=True):
            if matrix is None and columns == rows:
                made.append(None)
                continue
            complete = np.eye(n, dtype=np.float32) if matrix is None else matrix
            made.append(np.ascontiguousarray(complete[rows, columns]))
        shape_in, shape_out = (_three([part.stop - part.start for part in box]) for box in (inputs, outputs))
        return AxisMatrices(shape_in, shape_out, _three(made), self.separate_axis, self.clipped)

    def restricted(self, box: Box) -> tuple[AxisMatrices, Box, Box] | None:
        """Return the part of the resampling that a box of the input affects.

        Parameters
        ----------
        box : tuple of slice
            Box of the input.

        Returns
        -------
        tuple or None
            The resampling of a part, the box of that part in the input, and that of its result; None if the box
            affects no output voxel.
        """
        made: list[Matrix | None] = []
        inner: list[slice] = []
        outer: list[slice] = []
        for matrix, part in zip(self.matrices, box, strict=True):
            if matrix is None:
                rows = columns = part
            else:
                affected = np.flatnonzero((matrix[:, part] != 0).any(1))
                if not affected.size:
                    return None
                rows = slice(int(affected[0]), int(affected[-1]) + 1)
                used = np.flatnonzero((matrix[rows] != 0).any(0))
                columns = slice(int(used[0]), int(used[-1]) + 1)
            made.append(None if matrix is None else np.ascontiguousarray(matrix[rows, columns]))
            inner.append(columns)
            outer.append(rows)
        shape_in, shape_out = (tuple(part.stop - part.start for part in parts) for parts in (inner, outer))
        part_of = AxisMatrices(_three(shape_in), _three(shape_out), _three(made), self.separate_axis, self.clipped)
        return part_of, _three(inner), _three(outer)


def axis_matrices(
    resampling: Resampling, shapes: tuple[Shape3, Shape3], spacings: tuple[Spacing, Spacing]
) -> AxisMatrices | None:
    """Return a resampling of the plans as matrices, or None if its arguments do not allow that.

    Parameters
    ----------
    resampling : Resampling
        Function and arguments of the plans.
    shapes : pair of tuple
        Shapes before and after.
    spacings : pair of tuple
        Spacings before and after, millimetres; they decide whether an axis is separate.
    """
    (shape_in, shape_out), arguments = shapes, resampling.arguments
    if shape_in == shape_out:
        return AxisMatrices(shape_in, shape_out, (None, None, None), None, False)
    of_torch = resampling.name == "resample_torch_fornnunet"
    force = arguments.get("force_separate_z", None if of_torch else False)
    apart = separate_axis(force, spacings, float(arguments.get("separate_z_anisotropy_threshold", _ANISOTROPY)))
    if of_torch:
        if apart is not None and (arguments.get("mode", "linear") != "linear"):
            return None
        kinds = ["linear"] * 3
        if apart is not None:
            kinds[apart] = str(arguments.get("aniso_axis_mode", "nearest-exact"))
    else:
        kinds = [f"spline {int(arguments.get('order', 3))}"] * 3
        if apart is not None:
            kinds[apart] = f"sampled {int(arguments.get('order_z', 0))}"
    if not set(kinds) <= _KINDS:
        return None
    made = [
        None if n_in == n_out else _matrix(n_in, n_out, kind)
        for n_in, n_out, kind in zip(shape_in, shape_out, kinds, strict=True)
    ]
    return AxisMatrices(shape_in, shape_out, (made[0], made[1], made[2]), apart, clipped=not of_torch)


def separate_axis(force: bool | None, spacings: tuple[Spacing, Spacing], threshold: float) -> int | None:
    """Return the axis that nnU-Net resamples separately, or None: the one of thick slices, before or else after.

    Parameters
    ----------
    force : bool or None
        nnU-Net's ``force_separate_z``; None lets the spacings decide.
    spacings : pair of tuple
        Spacings before and after, millimetres.
    threshold : float
        Ratio of the largest to the smallest spacing above which slices are thick.
    """
    if force is False:
        return None
    thick = [spacing for spacing in spacings if force or max(spacing) / min(spacing) > threshold]
    if not thick:
        return None
    axes = [axis for axis, step in enumerate(thick[0]) if max(thick[0]) / step == 1]
    return axes[0] if len(axes) == 1 else None


def _three(values: Sequence[Item]) -> tuple[Item, Item, Item]:
    z, y, x = values
    return z, y, x


@lru_cache(maxsize=64)
def _matrix(n_in: int, n_out: int, kind: str) -> Matrix:
    name, _, order = kind.partition(" ")
    if name == "spline":
        # What skimage's resize calls, along the first axis only.
        factors = (n_out / n_in, 1)
        dense: NDArray[np.float64] = zoom(np.eye(n_in), factors, order=int(order), mode="nearest", grid_mode=True)
    elif name == "sampled":
        along = n_in / n_out * (np.arange(n_out) + 0.5) - 0.5
        grid = np.broadcast_arrays(along[:, None], np.arange(n_in)[None, :])
        dense = map_coordinates(np.eye(n_in), np.stack(grid), order=int(order), mode="nearest")
    else:
        return _matrix_of_torch(n_in, n_out, name)
    assert dense.shape == (n_out, n_in)
    dense[np.abs(dense) < _NEGLIGIBLE] = 0
    return dense.astype(np.float32)


def _matrix_of_torch(n_in: int, n_out: int, mode: str) -> Matrix:
    """Return the matrix of torch's interpolation, which plans with torch's resampling use."""
    import torch

    return np.asarray(torch.nn.functional.interpolate(torch.eye(n_in)[None], size=n_out, mode=mode)[0].T.contiguous())
