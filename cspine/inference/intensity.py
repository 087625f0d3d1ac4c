"""The normalisation of an image: the schemes of nnU-Net as clipping, subtraction and division."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from cspine.core.volumes import HuArray
from cspine.models.plans import Normalization

_EPSILON = 1e-8


@dataclass(frozen=True, eq=False)
class Intensity:
    """A normalisation: clip, subtract, divide.

    Parameters
    ----------
    lower, upper : float
        Clipping range.
    shift, scale : float
        Subtrahend, and divisor afterwards.
    mask : ndarray of bool or None
        Voxels to which it applies; all if None.
    """

    lower: float = -np.inf
    upper: float = np.inf
    shift: float = 0.0
    scale: float = 1.0
    mask: NDArray[np.bool_] | None = None

    def apply(self, values: HuArray) -> NDArray[np.float32]:
        """Return a normalised image as a new array.

        Parameters
        ----------
        values : ndarray
            Hounsfield units, any shape; that of the mask if there is one.

        Returns
        -------
        ndarray of float32
            Values of the network.
        """
        if self.mask is None:
            return self.scaled(self.clipped(values))
        result = np.array(values, dtype=np.float32, order="C")
        result[self.mask] = (result[self.mask] - self.shift) / self.scale
        return result

    def clipped(self, values: HuArray) -> NDArray[np.float32]:
        """Return clipped values as a new array.

        Parameters
        ----------
        values : ndarray
            Hounsfield units, any shape.

        Returns
        -------
        ndarray of float32
            Values between the limits of the normalisation, if it has any.
        """
        result = np.array(values, dtype=np.float32, order="C")
        if np.isfinite(self.lower):
            np.clip(result, self.lower, self.upper, out=result)
        return result

    def scaled(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return clipped values after subtraction and division, which happen in place.

        Parameters
        ----------
        values : ndarray of float32
            Clipped values, which are changed.
        """
        if self.shift != 0:
            values -= np.float32(self.shift)
        if self.scale != 1:
            values /= np.float32(self.scale)
        return values


def intensity_of(normalization: Normalization, values: HuArray) -> Intensity:
    """Return the normalisation of an image according to the plans.

    Parameters
    ----------
    normalization : Normalization
        Of the plans.
    values : ndarray, shape (z, y, x)
        The nonzero part of the image, for schemes that depend on it.
    """
    if normalization.scheme == "CTNormalization":
        stated = normalization.intensities
        limits = stated["percentile_00_5"], stated["percentile_99_5"]
        return Intensity(*limits, stated["mean"], max(stated["std"], _EPSILON))
    if normalization.scheme == "RescaleTo01Normalization":
        low, high = float(values.min()), float(values.max())
        return Intensity(shift=low, scale=max(high - low, _EPSILON))
    if normalization.scheme == "ZScoreNormalization":
        mask: NDArray[np.bool_] | None = binary_fill_holes(values != 0) if normalization.masked else None
        counted = values if mask is None else values[mask]
        mean, deviation = counted.mean(dtype=np.float64), counted.std(dtype=np.float64)
        return Intensity(shift=float(mean), scale=max(float(deviation), _EPSILON), mask=mask)
    return Intensity()
