"""Preprocess Hounsfield units for the network, in the steps of nnU-Net's DefaultPreprocessor.

The steps are: order of axes, crop to the nonzero box, normalisation, resampling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import torch
from nnunetv2.preprocessing.resampling.default_resampling import compute_new_shape
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from cspine.core.geometry import Shape3
from cspine.core.shape import occupied_box
from cspine.core.volumes import HuArray, LabelArray
from cspine.inference.resampling import AxisMatrices, Spacing, axis_matrices
from cspine.models.plans import NetworkPlan, Normalization, Resampling

Box = tuple[slice, slice, slice]

_EPSILON = 1e-8
# Breaks ties between labels of equal share.
_TIE = 1e-5
# Number of voxels that are processed at a time.
_SLAB = 2**23


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

    def apply(self, values: HuArray, first: int) -> NDArray[np.float32]:
        """Return normalised slices as a new array; ``first`` is the index of the first of them."""
        result = np.array(values, dtype=np.float32, order="C")
        if self.mask is not None:
            inside = self.mask[first : first + len(result)]
            result[inside] = (result[inside] - self.shift) / self.scale
            return result
        if np.isfinite(self.lower):
            np.clip(result, self.lower, self.upper, out=result)
        result -= np.float32(self.shift)
        result /= np.float32(self.scale)
        return result


@dataclass(frozen=True, eq=False)
class NetworkImage:
    """The input of the network, and how to map back from it; axes are those of the network's array.

    Parameters
    ----------
    values : torch.Tensor, shape (z, y, x)
        float32, on the CPU.
    box : tuple of slice
        Box of the nonzero part within the image.
    image_shape : tuple of int
        Shape of the image.
    spacing_mm : tuple of float
        Spacing of the image.
    network_spacing_mm : tuple of float
        Spacing of ``values``.
    """

    values: torch.Tensor
    box: Box
    image_shape: Shape3
    spacing_mm: Spacing
    network_spacing_mm: Spacing

    @property
    def box_shape(self) -> Shape3:
        """Shape of the nonzero part before resampling."""
        z, y, x = (part.stop - part.start for part in self.box)
        return z, y, x


def preprocess(hu_zyx: HuArray, spacing_zyx: Spacing, plan: NetworkPlan) -> NetworkImage:
    """Return the input of the network for an image.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        Hounsfield units in the orientation of the model; they are not modified.
    spacing_zyx : tuple of float
        Voxel spacing along z, y, x, millimetres.
    plan : NetworkPlan
        Plan of the stage.

    Returns
    -------
    NetworkImage
    """
    ordered = hu_zyx.transpose(plan.transpose_forward)
    spacing = _three([spacing_zyx[axis] for axis in plan.transpose_forward])
    box = nonzero_box(ordered)
    cropped = ordered[box]
    # A 2D network keeps the distance between slices.
    target = _three([*spacing[: 3 - len(plan.spacing_mm)], *plan.spacing_mm])
    shape_out = _shape(compute_new_shape(cropped.shape, spacing, target))
    intensity = intensity_of(plan.normalization, cropped)
    values = resample_image(cropped, intensity, plan.resample_data, shape_out, (spacing, target))
    return NetworkImage(values, box, _shape(ordered.shape), spacing, target)


def preprocess_previous(labels_zyx: LabelArray, image: NetworkImage, plan: NetworkPlan) -> torch.Tensor:
    """Return the additional channels of the second stage of a cascade: a mask for each label of the first.

    Labels are resampled as in nnU-Net: one mask at a time; the largest share wins, or the nearest voxel in a tie.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Network labels of the first stage on the grid of the input of `preprocess`.
    image : NetworkImage
        Result of `preprocess`.
    plan : NetworkPlan
        Plan of the second stage.

    Returns
    -------
    torch.Tensor, shape (labels, z, y, x)
        float32, on the network's grid.
    """
    assert plan.resample_previous is not None
    cropped = labels_zyx.transpose(plan.transpose_forward)[image.box]
    shape_out = _shape(image.values.shape)
    spacings = image.spacing_mm, image.network_spacing_mm
    nearest_of = replace(plan.resample_previous, arguments={**plan.resample_previous.arguments, "order": 0})
    nearest = resample_image(cropped.astype(np.float32), Intensity(), nearest_of, shape_out, spacings)
    resampled = torch.zeros(shape_out, dtype=torch.uint8)
    best = torch.full(shape_out, -torch.inf)
    for label in (int(value) for value in np.unique(cropped)):
        mask = (cropped == label).astype(np.float32)
        share = resample_image(mask, Intensity(), plan.resample_previous, shape_out, spacings)
        share += _TIE * (nearest == label)
        resampled[share > best] = label
        best = torch.maximum(best, share)
    return torch.stack([resampled == label for label in plan.label_names]).float()


def nonzero_box(values: HuArray) -> Box:
    """Return the bounding box of the nonzero voxels, as nnU-Net crops; the whole array if all are 0.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Any numbers.
    """
    z, y, x = values.shape
    return occupied_box(values) or (slice(0, z), slice(0, y), slice(0, x))


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


def resample_image(
    values: HuArray,
    intensity: Intensity,
    resampling: Resampling,
    shape_out: Shape3,
    spacings: tuple[Spacing, Spacing],
) -> torch.Tensor:
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
    torch.Tensor, shape ``shape_out``, float32
    """
    matrices = axis_matrices(resampling, (_shape(values.shape), shape_out), spacings)
    if matrices is None:
        normalised = intensity.apply(values, 0)[None]
        return torch.as_tensor(resampling.function(normalised, shape_out, *spacings, **resampling.arguments))[0]
    if matrices.is_identity:
        return torch.from_numpy(intensity.apply(values, 0))
    lead = matrices.separate_axis or 0
    return _along_lead(values, intensity, matrices, lead)


def _along_lead(values: HuArray, intensity: Intensity, matrices: AxisMatrices, lead: int) -> torch.Tensor:
    """Return an image resampled within the slices of the leading axis slab by slab, then along it."""
    order = (lead, *(axis for axis in range(3) if axis != lead))
    mask = None if intensity.mask is None else intensity.mask.transpose(order)
    reordered = Intensity(intensity.lower, intensity.upper, intensity.shift, intensity.scale, mask)
    source = values.transpose(order)
    along, rows, columns = (matrices.matrices[axis] for axis in order)
    out = [matrices.shape_out[axis] for axis in order]
    result = torch.empty((len(source), out[1], out[2]))
    low, high = torch.inf, -torch.inf
    step = max(1, _SLAB // (source.shape[1] * source.shape[2]))
    for first in range(0, len(source), step):
        slab = torch.from_numpy(reordered.apply(source[first : first + step], first))
        if matrices.clipped:
            lows, highs = slab.amin((1, 2), keepdim=True), slab.amax((1, 2), keepdim=True)
            low, high = min(low, float(lows.min())), max(high, float(highs.max()))
        if columns is not None:
            slab = slab @ columns.T
        if rows is not None:
            slab = rows @ slab
        if matrices.clipped and matrices.separate_axis is not None:
            slab = slab.clamp(lows, highs)
        result[first : first + step] = slab
    if along is not None:
        result = (along @ result.reshape(len(source), -1)).reshape(out)
    if matrices.clipped and matrices.separate_axis is None:
        result.clamp_(low, high)
    return result.permute(tuple(int(axis) for axis in np.argsort(order))).contiguous()


def _three(values: list[float]) -> Spacing:
    z, y, x = values
    return z, y, x


def _shape(values: Iterable[int]) -> Shape3:
    z, y, x = (int(n) for n in values)
    return z, y, x
