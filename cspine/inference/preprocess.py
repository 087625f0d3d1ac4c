"""Preprocess Hounsfield units for the network, in the steps of nnU-Net's DefaultPreprocessor.

The steps are: order of axes, crop to the nonzero box, normalisation, resampling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Shape3
from cspine.core.shape import Box, common_box, composed, occupied_box, relative_box
from cspine.core.volumes import HuArray, LabelArray, labels_present
from cspine.inference.intensity import Intensity, intensity_of
from cspine.inference.resample_image import along_lead, resample_by_matrices, resample_image, shape3
from cspine.inference.resampling import AxisMatrices, Spacing, axis_matrices
from cspine.inference.sliding_window import Window, tiles_of
from cspine.models.plans import NetworkPlan, Resampling

# Breaks ties between labels of equal share.
_TIE = 1e-5


@dataclass(frozen=True, eq=False)
class ImagePart:
    """A part of an image, on the network's grid of the complete image.

    Parameters
    ----------
    network_shape : tuple of int
        Shape of the complete image on the network's grid.
    network_box : tuple of slice
        The part of that grid that the network sees.
    view : tuple of slice
        The voxels of the nonzero part of the image whose labels depend on it.
    tiles : tuple of (tuple of slice)
        Those tiles of the complete image that reach the view, in the part as it is padded.
    """

    network_shape: Shape3
    network_box: Box
    view: Box
    tiles: tuple[Box, ...]


@dataclass(frozen=True, eq=False)
class NetworkImage:
    """The input of the network, and how to map back from it; axes are those of the network's array.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        float32.
    box : tuple of slice
        Box of the nonzero part within the image.
    image_shape : tuple of int
        Shape of the image.
    spacing_mm : tuple of float
        Spacing of the image.
    network_spacing_mm : tuple of float
        Spacing of ``values``.
    part : ImagePart or None
        The part that ``values`` covers; None if it is all of the nonzero part.
    """

    values: NDArray[np.float32]
    box: Box
    image_shape: Shape3
    spacing_mm: Spacing
    network_spacing_mm: Spacing
    part: ImagePart | None = None

    @property
    def network_shape(self) -> Shape3:
        """Shape of the complete nonzero part on the network's grid."""
        return self.part.network_shape if self.part is not None else shape3(self.values.shape)

    @property
    def labelled_box(self) -> Box:
        """Box of the voxels of the image that get labels."""
        return self.box if self.part is None else composed(self.box, self.part.view)

    @property
    def box_shape(self) -> Shape3:
        """Shape of the nonzero part before resampling."""
        z, y, x = (part.stop - part.start for part in self.box)
        return z, y, x


def preprocess(
    hu_zyx: HuArray,
    spacing_zyx: Spacing,
    plan: NetworkPlan,
    view: Box | None = None,
    window: Window | None = None,
) -> NetworkImage:
    """Return the input of the network for an image.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        Hounsfield units in the orientation of the model; they are not modified.
    spacing_zyx : tuple of float
        Voxel spacing along z, y, x, millimetres.
    plan : NetworkPlan
        Plan of the stage.
    view : tuple of slice, optional
        A box of the image: the network sees those tiles of the complete image that reach it, so that its labels are
        those of the complete image. Without effect if the plans resample by other functions than splines and linear
        ones.
    window : Window, optional
        The sliding window; needed with a view.

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
    shape_out = shape3(round(s / t * n) for s, t, n in zip(spacing, target, cropped.shape, strict=True))
    intensity = intensity_of(plan.normalization, cropped)
    complete = NetworkImage(np.empty(shape_out, np.float32), box, shape3(ordered.shape), spacing, target)
    part = None
    if view is not None and window is not None:
        part = _part_of(complete, _transposed(view, plan.transpose_forward), plan, window)
    data = axis_matrices(plan.resample_data, (shape3(cropped.shape), shape_out), (spacing, target))
    if part is None or data is None:
        values = resample_image(cropped, intensity, plan.resample_data, shape_out, (spacing, target))
        return replace(complete, values=values)
    inputs = data.inputs_of(part.network_box)
    if intensity.mask is not None:
        intensity = replace(intensity, mask=intensity.mask[inputs])
    values = resample_by_matrices(cropped[inputs], intensity, data.between(inputs, part.network_box))
    return replace(complete, values=values, part=part)


def _part_of(image: NetworkImage, view: Box, plan: NetworkPlan, window: Window) -> ImagePart | None:
    """Return the tiles of the network's grid that the labels of a box depend on; None if that is not known."""
    seen = common_box(view, image.box)
    spacings = image.network_spacing_mm, image.spacing_mm
    logits = axis_matrices(plan.resample_logits, (image.network_shape, image.box_shape), spacings)
    if seen is None or logits is None or not logits.is_convex:
        return None
    seen = relative_box(seen, image.box)
    patch = shape3((1, *plan.patch_size)[-3:])
    padded = shape3(max(n, side) for n, side in zip(image.network_shape, patch, strict=True))
    # An axis that is shorter than the patch is padded, and seen completely.
    needed = _three_slices(
        part if n >= side else slice(0, side)
        for part, n, side in zip(logits.inputs_of(seen), image.network_shape, patch, strict=True)
    )
    tiles = [tile for tile in tiles_of(padded, window) if common_box(tile, needed) is not None]
    hull = _three_slices(
        slice(min(tile[axis].start for tile in tiles), max(tile[axis].stop for tile in tiles)) for axis in range(3)
    )
    network_box = _three_slices(
        slice(part.start, min(part.stop, n)) for part, n in zip(hull, image.network_shape, strict=True)
    )
    return ImagePart(image.network_shape, network_box, seen, tuple(relative_box(tile, hull) for tile in tiles))


def _three_slices(parts: Iterable[slice]) -> Box:
    z, y, x = parts
    return z, y, x


def _transposed(box: Box, order: tuple[int, int, int]) -> Box:
    z, y, x = (box[axis] for axis in order)
    return z, y, x


def preprocess_previous(labels_zyx: LabelArray, image: NetworkImage, plan: NetworkPlan) -> NDArray[np.float32]:
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
    ndarray, shape (labels, z, y, x)
        float32, on the network's grid.
    """
    assert plan.resample_previous is not None
    cropped = labels_zyx.transpose(plan.transpose_forward)[image.box]
    resampled = _resample_labels(cropped, plan.resample_previous, image)
    masks = np.empty((len(plan.label_names), *resampled.shape), dtype=np.float32)
    for mask, label in zip(masks, plan.label_names, strict=True):
        np.equal(resampled, label, out=mask, casting="unsafe")
    return masks


def _resample_labels(labels: LabelArray, resampling: Resampling, image: NetworkImage) -> LabelArray:
    """Return labels on the network's grid; only the box that labels affect is resampled."""
    shapes = shape3(labels.shape), shape3(image.values.shape)
    spacings = image.spacing_mm, image.network_spacing_mm
    nearest_of = replace(resampling, arguments={**resampling.arguments, "order": 0})
    shares_by, nearest_by = (axis_matrices(kind, shapes, spacings) for kind in (resampling, nearest_of))
    assert shares_by is not None and nearest_by is not None  # every spline has matrices
    resampled = np.zeros(shapes[1], dtype=np.uint8)
    occupied = occupied_box(labels)
    part = None if occupied is None else shares_by.restricted(occupied)
    if part is None:
        return resampled
    shares, inside, affected = part
    if nearest_by.is_selection:
        nearest: NDArray[np.uint8] | NDArray[np.float32] = nearest_by.selected(labels)
    else:
        nearest = along_lead(labels.astype(np.float32), Intensity(), nearest_by)
    resampled[affected] = _largest_shares(np.ascontiguousarray(labels[inside]), shares, nearest[affected])
    return resampled


def _largest_shares(labels: LabelArray, matrices: AxisMatrices, nearest: NDArray[Any]) -> LabelArray:
    """Return the label with the largest share of each output voxel; in a tie, that of the nearest voxel."""
    winners = np.zeros(matrices.shape_out, dtype=np.uint8)
    best = np.full(matrices.shape_out, -np.inf, dtype=np.float32)
    for label in labels_present(labels, background=True):
        mask = labels == label
        occupied = occupied_box(mask)
        part = None if occupied is None else matrices.restricted(occupied)
        if part is None:
            continue
        shares, inside, here = part
        share = mask[inside].astype(np.float32)
        if not shares.is_identity:
            share = along_lead(share, Intensity(), shares)
        share += _TIE * (nearest[here] == label).astype(np.float32)
        np.copyto(winners[here], label, where=share > best[here])
        np.maximum(best[here], share, out=best[here])
    return winners


def nonzero_box(values: HuArray) -> Box:
    """Return the bounding box of the nonzero voxels, as nnU-Net crops; the whole array if all are 0.

    Parameters
    ----------
    values : ndarray, shape (z, y, x)
        Any numbers.
    """
    z, y, x = values.shape
    return occupied_box(values) or (slice(0, z), slice(0, y), slice(0, x))


def _three(values: list[float]) -> Spacing:
    z, y, x = values
    return z, y, x
