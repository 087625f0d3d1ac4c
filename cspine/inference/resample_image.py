"""The resampling of an image, normalised, to the grid of a network: by matrices where it is linear."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Shape3
from cspine.core.volumes import HuArray
from cspine.inference.intensity import Intensity
from cspine.inference.resampling import AxisMatrices, Matrix, Spacing, axis_matrices
from cspine.inference.threads import each
from cspine.models.plans import Resampling

_UNBOUNDED = np.full((1, 1, 1), -np.inf, np.float32), np.full((1, 1, 1), np.inf, np.float32)
# Number of voxels that are processed at a time.
_SLAB = 2**22


def resample_image(
    values: HuArray,
    intensity: Intensity,
    resampling: Resampling,
    shape_out: Shape3,
    spacings: tuple[Spacing, Spacing],
) -> NDArray[np.float32]:
    """Return an image normalised and resampled to another grid, as the resampling function of the plans does.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Image before normalisation.
    intensity : Intensity
        Applied first.
    resampling : Resampling
        Function and arguments.
    shape_out : tuple of int
        Shape of the result.
    spacings : pair of tuple
        Spacing before and after, millimetres.

    Returns
    -------
    ndarray, shape ``shape_out``, float32
    """
    matrices = axis_matrices(resampling, (shape3(values.shape), shape_out), spacings)
    if matrices is None:
        normalised = intensity.apply(values)[None]
        resampled = resampling.function(normalised, shape_out, *spacings, **resampling.arguments)
        return np.asarray(resampled[0], dtype=np.float32)
    return resample_by_matrices(values, intensity, matrices)


def resample_by_matrices(values: HuArray, intensity: Intensity, matrices: AxisMatrices) -> NDArray[np.float32]:
    """Return an image normalised and resampled by matrices.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Image before normalisation.
    intensity : Intensity
        Its normalisation.
    matrices : AxisMatrices
        Resampling along each axis.

    Returns
    -------
    ndarray of float32
        The resampled image.
    """
    if matrices.is_identity:
        return intensity.apply(values)
    if intensity.mask is not None:
        return along_lead(intensity.apply(values), Intensity(), matrices)
    # Resampling is linear and its weights add up to 1: the smaller image is scaled, after the clipping.
    return intensity.scaled(along_lead(values, intensity, matrices))


def along_lead(values: HuArray, intensity: Intensity, matrices: AxisMatrices) -> NDArray[np.float32]:
    """Return a clipped image resampled within the slices of the leading axis, then along it.

    Slices, rows and columns that no output voxel depends on are not read.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Image before normalisation.
    intensity : Intensity
        Its limits are applied; its subtraction and division are not.
    matrices : AxisMatrices
        Resampling along each axis.

    Returns
    -------
    ndarray of float32
        The resampled image.
    """
    lead = matrices.separate_axis or 0
    order = (lead, *(axis for axis in range(3) if axis != lead))
    source = values.transpose(order)
    along, rows, columns = (matrices.matrices[axis] for axis in order)
    # Without negative weights nothing leaves the range of the input, so its range need not be known.
    bounded = matrices.clipped and not matrices.is_convex
    slices, lines = (slice(None), slice(None)) if bounded else (_used(along), _used(rows))
    source = source[slices]
    step = max(1, _SLAB // (source.shape[1] * source.shape[2]))
    result = np.empty((len(source), *(matrices.shape_out[axis] for axis in order[1:])), dtype=np.float32)

    def resample(first: int) -> tuple[float, float]:
        slab = intensity.clipped(source[first : first + step, lines])
        lows, highs = _ranges(slab) if bounded else _UNBOUNDED
        if columns is not None:
            slab = slab @ columns.T
        if rows is not None:
            slab = rows[:, lines] @ slab
        if bounded and matrices.separate_axis is not None:
            np.clip(slab, lows, highs, out=slab)
        result[first : first + step] = slab
        return float(lows.min()), float(highs.max())

    ranges = each(resample, range(0, len(source), step))
    if along is not None:
        shape = (matrices.shape_out[lead], *result.shape[1:])
        result = (along[:, slices] @ result.reshape(len(source), -1)).reshape(shape)
    if bounded and matrices.separate_axis is None:
        np.clip(result, min(low for low, _ in ranges), max(high for _, high in ranges), out=result)
    return np.ascontiguousarray(result.transpose(tuple(int(axis) for axis in np.argsort(order))))


def _ranges(slab: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the smallest and the largest value of each slice."""
    return slab.min(axis=(1, 2), keepdims=True), slab.max(axis=(1, 2), keepdims=True)


def _used(matrix: Matrix | None) -> slice | NDArray[np.intp]:
    """Return the inputs that a matrix has weights for: a slice where all are."""
    if matrix is None:
        return slice(None)
    used = np.flatnonzero((matrix != 0).any(0))
    return slice(None) if len(used) == matrix.shape[1] else used


def shape3(values: Iterable[int]) -> Shape3:
    """Return three integers as a shape."""
    z, y, x = (int(n) for n in values)
    return z, y, x
