"""From Hounsfield units to the network's image, in the steps of nnU-Net's DefaultPreprocessor.

Order of axes, crop to the nonzero box, normalisation, resampling.
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
# Decides between labels of equal share.
_TIE = 1e-5
# Voxels that are worked on at a time.
_SLAB = 2**23


@dataclass(frozen=True, eq=False)
class Intensity:
    """A normalisation: clip, subtract, divide.

    Parameters
    ----------
    lower, upper : float
        Clipping range.
    shift, scale : float
        What is subtracted and what divided by afterwards.
    mask : ndarray of bool or None
        Where it applies; everywhere if None.
    """

    lower: float = -np.inf
    upper: float = np.inf
    shift: float = 0.0
    scale: float = 1.0
    mask: NDArray[np.bool_] | None = None

    def apply(self, values: HuArray, first: int) -> NDArray[np.float32]:
        """Return slices of the image normalised, as a new array; ``first`` is the index of the first of them."""
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
    """What the network sees, and how to come back from it; axes are those of the network's array.

    Parameters
    ----------
    values : torch.Tensor, shape (z, y, x)
        float32, on the CPU.
    box : tuple of slice
        Where the nonzero part lies in the whole image.
    whole_shape : tuple of int
        Shape of the whole image.
    spacing_mm : tuple of float
        Of the whole image.
    network_spacing_mm : tuple of float
        Of ``values``.
    """

    values: torch.Tensor
    box: Box
    whole_shape: Shape3
    spacing_mm: Spacing
    network_spacing_mm: Spacing

    @property
    def box_shape(self) -> Shape3:
        """Shape of the nonzero part before resampling."""
        z, y, x = (part.stop - part.start for part in self.box)
        return z, y, x


def preprocess(hu_zyx: HuArray, spacing_zyx: Spacing, plan: NetworkPlan) -> NetworkImage:
    """Make the network's image.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        Hounsfield units in the orientation that the model's reader gave; left as it is.
    spacing_zyx : tuple of float
        Millimetres along z, y, x.
    plan : NetworkPlan
        Of the stage.

    Returns
    -------
    NetworkImage
    """
    ordered = hu_zyx.transpose(plan.transpose_forward)
    spacing = _three([spacing_zyx[axis] for axis in plan.transpose_forward])
    box = nonzero_box(ordered)
    cropped = ordered[box]
    # A network that sees one slice at a time leaves the distance of slices as it is.
    target = _three([*spacing[: 3 - len(plan.spacing_mm)], *plan.spacing_mm])
    shape_out = _shape(compute_new_shape(cropped.shape, spacing, target))
    intensity = intensity_of(plan.normalization, cropped)
    values = resample_image(cropped, intensity, plan.resample_data, shape_out, (spacing, target))
    return NetworkImage(values, box, _shape(ordered.shape), spacing, target)


def preprocess_previous(labels_zyx: LabelArray, image: NetworkImage, plan: NetworkPlan) -> torch.Tensor:
    """Make the channels that a cascade's second stage is given: a mask for each label of the stage before.

    Labels are resampled as nnU-Net does: one mask at a time, the largest share wins, and of equals the nearest voxel's.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Network labels of the stage before on the grid that `preprocess` took.
    image : NetworkImage
        What `preprocess` made.
    plan : NetworkPlan
        Of a cascade.

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
    """Return the box of the voxels that are not 0: nnU-Net's crop; the whole array where all are 0.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Any numbers.
    """
    z, y, x = values.shape
    return occupied_box(values) or (slice(0, z), slice(0, y), slice(0, x))


def intensity_of(normalization: Normalization, values: HuArray) -> Intensity:
    """Return a normalisation of the plans for an image.

    Parameters
    ----------
    normalization : Normalization
        Of the plans.
    values : ndarray, shape (z, y, x)
        The nonzero part of the image, for schemes that look at it.
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
    """Normalise an image and bring it to another grid, as the plans' resampling function does.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Before normalisation.
    intensity : Intensity
        Applied first.
    resampling : Resampling
        Function and arguments.
    shape_out : tuple of int
        Shape of the result.
    spacings : pair of tuple
        Before and after, millimetres.

    Returns
    -------
    torch.Tensor, shape ``shape_out``, float32
    """
    matrices = axis_matrices(resampling, (_shape(values.shape), shape_out), spacings)
    if matrices is None:
        whole = intensity.apply(values, 0)[None]
        return torch.as_tensor(resampling.function(whole, shape_out, *spacings, **resampling.arguments))[0]
    if matrices.is_identity:
        return torch.from_numpy(intensity.apply(values, 0))
    lead = matrices.separate_axis or 0
    return _along_lead(values, intensity, matrices, lead)


def _along_lead(values: HuArray, intensity: Intensity, matrices: AxisMatrices, lead: int) -> torch.Tensor:
    """Resample slices across the leading axis a slab at a time, then along it."""
    order = (lead, *(axis for axis in range(3) if axis != lead))
    mask = None if intensity.mask is None else intensity.mask.transpose(order)
    turned = Intensity(intensity.lower, intensity.upper, intensity.shift, intensity.scale, mask)
    source = values.transpose(order)
    along, rows, columns = (matrices.matrices[axis] for axis in order)
    out = [matrices.shape_out[axis] for axis in order]
    result = torch.empty((len(source), out[1], out[2]))
    low, high = torch.inf, -torch.inf
    step = max(1, _SLAB // (source.shape[1] * source.shape[2]))
    for first in range(0, len(source), step):
        slab = torch.from_numpy(turned.apply(source[first : first + step], first))
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
