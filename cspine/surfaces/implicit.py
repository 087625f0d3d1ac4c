"""A smooth field whose zero level is the surface of a vertebra, made from its binary mask.

The mask is interpolated on a finer grid and smoothed by a low-pass filter that keeps its volume. What is certain stays
so: the surface runs between the centres of inside and outside voxels, and structures of one voxel keep their core.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import Affine

Mask = NDArray[np.bool_]
Field = NDArray[np.float32]

#: The finer grid has samples this close, as a share of the smallest voxel spacing, but not closer than the minimum.
_SAMPLE_SHARE = 0.5
_MIN_SAMPLE_MM = 0.4
#: Standard deviation of the filter: a share of the smallest spacing, and at least a share of that of each axis.
_SIGMA_SHARE, _SIGMA_OF_AXIS = 0.8, 0.55
SMOOTHINGS = 2
#: How far the surface may pass the centre of a voxel, as a share of the way to its neighbour.
_SLACK = 0.2
#: Indicator at the centre of a voxel without an inside neighbour on either side: it keeps a core of this strength.
_THIN_CORE = 0.75


@dataclass(frozen=True, eq=False)
class ImplicitSurface:
    """A field on a grid of samples; its zero level is a closed surface.

    Parameters
    ----------
    field_zyx : ndarray of float32, shape (z, y, x)
        Positive inside, negative outside and on the outermost samples.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) of a sample to millimetres (LPS).
    factors_zyx : ndarray of int, shape (3,)
        Samples a voxel.
    """

    field_zyx: Field
    affine_lps: Affine
    factors_zyx: NDArray[np.int_]


def smooth_surface(mask_zyx: Mask, affine_lps: Affine, smoothings: int = SMOOTHINGS) -> ImplicitSurface:
    """Return the smoothed surface of a mask.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (z, y, x)
        One object with at least one voxel of background on every side.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    smoothings : int
        How often the filter is applied; 0 for the interpolated mask.

    Returns
    -------
    ImplicitSurface
        On samples that include the centres of the voxels.
    """
    spacing_zyx = np.linalg.norm(affine_lps[:3, :3], axis=0)[::-1]
    step = max(_SAMPLE_SHARE * float(spacing_zyx.min()), _MIN_SAMPLE_MM)
    factors = np.maximum(1, np.rint(spacing_zyx / step)).astype(int)
    indicator = refined(mask_zyx.astype(np.float32), factors)
    low, high = _bounds(mask_zyx, indicator, factors)
    sigma = np.maximum(_SIGMA_SHARE * spacing_zyx.min(), _SIGMA_OF_AXIS * spacing_zyx) * factors / spacing_zyx
    samples = int(mask_zyx.sum() * factors.prod())
    for _ in range(smoothings):
        passed = _low_pass(indicator, sigma)
        level = np.partition(passed, passed.size - samples, axis=None)[passed.size - samples]
        indicator = np.clip(passed - (level - np.float32(0.5)), low, high)
    affine = affine_lps.copy()
    affine[:3, :3] = affine_lps[:3, :3] / factors[::-1]
    return ImplicitSurface(without_zeros(indicator - np.float32(0.5)), affine, factors)


def refined(array_zyx: Field, factors_zyx: NDArray[np.int_]) -> Field:
    """Return an array interpolated linearly on a grid with so many steps per voxel; voxel centres stay samples.

    Parameters
    ----------
    array_zyx : ndarray of float32, shape (z, y, x)
        The samples.
    factors_zyx : ndarray of int, shape (3,)
        Steps for each voxel along z, y and x.

    Returns
    -------
    ndarray of float32
        Samples, ``(n - 1) * factor + 1`` along each axis.
    """
    for axis, factor in enumerate(factors_zyx):
        last = array_zyx.shape[axis] - 1
        steps = np.arange(last * factor + 1)
        shape = [-1 if other == axis else 1 for other in range(3)]
        share = ((steps % factor) / np.float32(factor)).astype(np.float32).reshape(shape)
        before = np.take(array_zyx, steps // factor, axis)
        after = np.take(array_zyx, np.minimum(steps // factor + 1, last), axis)
        array_zyx = before + share * (after - before)
    return array_zyx


def _bounds(mask_zyx: Mask, indicator: Field, factors: NDArray[np.int_]) -> tuple[Field, Field]:
    """Return the smallest and the largest indicator of each sample."""
    thick = ndimage.binary_opening(mask_zyx, ndimage.generate_binary_structure(3, 1))
    core = refined((mask_zyx & ~thick).astype(np.float32), factors) * np.float32(_THIN_CORE)
    certain = np.float32(0.5 - _SLACK)
    low = np.maximum(np.where(indicator >= 1 - 1e-6, certain, np.float32(-1)), core)
    high = np.where(indicator <= 1e-6, 1 - certain, np.float32(2))
    return low, np.maximum(high, low)


def _low_pass(field: Field, sigma_zyx: NDArray[np.float64]) -> Field:
    """Return a field without its fine detail: 2 G - G G, which shrinks what it keeps less than a Gaussian G."""
    once = ndimage.gaussian_filter(field, sigma_zyx, truncate=3)
    return np.asarray(2 * once - ndimage.gaussian_filter(once, sigma_zyx, truncate=3), dtype=np.float32)


def without_zeros(field: Field) -> Field:
    """Return a field with no value on the level of the surface: a sample there gives triangles without area.

    Parameters
    ----------
    field : ndarray of float32, shape (z, y, x)
        Values of which 0 is the surface.
    """
    near = np.float32(1e-4)
    return np.where(np.abs(field) < near, np.where(field < 0, -near, near), field)
