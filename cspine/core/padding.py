"""What an image is padded with beyond what was scanned, and which labels end there.

Padding may be planes, the corners around a circular field of view, or wedges beside oblique slices.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Grid, resample_labels, to_lps
from cspine.core.shape import (
    Box,
    LevelShape,
    any_by_block,
    common_box,
    grown_box,
    labels_cut_within,
    relative_box,
    shapes_of,
    value_boxes,
    vertebrae_only,
)
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume

#: Padding has 0, or at most this many HU.
MAX_PADDING_HU = -900
#: A vertebra within this distance of padding, or a voxel, ends there: resampling blurs the border.
REACH_MM = 2.0
#: Smaller contacts are stray voxels.
MIN_CONTACT_MM2 = 20.0
#: Padding goes on to the border of the array through blocks of this many voxels per side; clipped streaks do not.
_BLOCK = 4


def imaged_box(hu_zyx: NDArray[Any]) -> Box:
    """Return the box of an image without the planes around it that are padding: all 0, or all air.

    Parameters
    ----------
    hu_zyx : ndarray, shape (z, y, x)
        The image, HU; the box of one that is padding throughout is the whole array.
    """
    parts: list[slice] = []
    for axis, count in enumerate(hu_zyx.shape):
        planes = np.moveaxis(hu_zyx, axis, 0)
        first = next((i for i in range(count) if not _is_padding(planes[i])), 0)
        last = next((i for i in reversed(range(count)) if not _is_padding(planes[i])), count - 1)
        parts.append(slice(first, last + 1))
    return parts[0], parts[1], parts[2]


def shapes_in_image(labels: LabelVolume, ct: CtVolume) -> tuple[LevelShape, ...]:
    """Return the size and position of each label in an image; those that end where nothing was scanned are marked.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of the image.
    ct : CtVolume
        The image.
    """
    cut = labels.cut | labels_at_padding(labels.labels_zyx, ct.hu_zyx, labels.grid)
    return shapes_of(labels.labels_zyx, labels.grid, imaged_box(ct.hu_zyx), cut)


def not_scanned(labels_zyx: LabelArray, hu_zyx: NDArray[Any], box: Box) -> NDArray[np.bool_] | None:
    """Return the labelled voxels that lie in padding: a network goes on with a vertebra where the image ends.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape of ``box``
        Labels in a part of the image.
    hu_zyx : ndarray, shape (z, y, x)
        The complete image, HU.
    box : tuple of slice
        That part.

    Returns
    -------
    ndarray of bool, shape of ``box``, or None
        None if there are none.
    """
    values = _padding_values(hu_zyx)
    if not values:
        return None
    padded = (labels_zyx != 0) & np.isin(hu_zyx[box], values)
    if not padded.any():
        return None
    outside = np.ones(labels_zyx.shape, dtype=np.bool_)
    imaged = common_box(imaged_box(hu_zyx), box)
    if imaged is not None:
        outside[relative_box(imaged, box)] = _near_outside_blocks(hu_zyx, values, imaged)
    padded &= outside
    return padded if padded.any() else None


def with_cut_labels(labels: LabelVolume, ct: CtVolume | None, *, ends_with_labels: bool = False) -> LabelVolume:
    """Return labels that know which of them end where the image does, with a border of background.

    Parameters
    ----------
    labels : LabelVolume
        Labels on any grid.
    ct : CtVolume or None
        The image; without it labels are returned as they are.
    ends_with_labels : bool
        True for labels without empty planes, as a segmentation stores them.
    """
    if ct is None:
        return labels
    vertebrae = replace(labels, labels_zyx=vertebrae_only(labels.labels_zyx))
    on_ct = vertebrae
    if labels.labels_zyx.shape != ct.hu_zyx.shape or not labels.grid.is_close(ct.grid):
        on_ct = LabelVolume(resample_labels(vertebrae.labels_zyx, labels.grid, ct.grid), ct.affine_lps)
        cut_within = labels_cut_within(vertebrae, ct.grid, ct.hu_zyx if ends_with_labels else None)
        vertebrae = replace(vertebrae, cut=labels.cut | cut_within)
    at_edge = {shape.vertebra.label for shape in shapes_in_image(on_ct, ct) if shape.touches_edge}
    affine = labels.affine_lps.copy()
    affine[:3, 3] = to_lps(affine, np.array([[-1.0, -1.0, -1.0]]))[0]
    return replace(
        vertebrae, labels_zyx=np.pad(vertebrae.labels_zyx, 1), affine_lps=affine, cut=vertebrae.cut | at_edge
    )


def labels_at_padding(labels_zyx: LabelArray, hu_zyx: NDArray[Any], grid: Grid) -> frozenset[int]:
    """Return the labels that end at padding, of whatever shape: the vertebra goes on where nothing was scanned.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels on the grid of the image.
    hu_zyx : ndarray, shape (z, y, x)
        The image, HU.
    grid : Grid
        Grid of both.
    """
    values = _padding_values(hu_zyx)
    if not values:
        return frozenset()
    outside: NDArray[np.bool_] | None = None
    found = set()
    reach = tuple(max(1, int(REACH_MM / step)) + 1 for step in reversed(grid.spacing_xyz))
    for label, box in value_boxes(labels_zyx).items():
        around = grown_box(box, (by + 1 for by in reach), labels_zyx.shape)
        padding = np.isin(hu_zyx[around], values)
        if not padding.any():
            continue
        contact = (labels_zyx[around] == label) & _near(_inner(padding), reach)
        if _largest_projection_mm2(contact, grid) < MIN_CONTACT_MM2:
            continue
        outside = _outside_blocks(hu_zyx, values) if outside is None else outside
        blocks = tuple(slice(part.start // _BLOCK, -(-part.stop // _BLOCK)) for part in around)
        if outside[blocks].any():
            found.add(label)
    return frozenset(found)


def _is_padding(plane: NDArray[Any]) -> bool:
    """Return whether a plane has one value throughout, and one that images are padded with: air, or 0."""
    value = plane.flat[0]
    return _may_pad(value) and bool((plane == value).all())


def _may_pad(value: Any) -> bool:
    return bool(value == 0 or value <= MAX_PADDING_HU)


def _padding_values(hu_zyx: NDArray[Any]) -> list[Any]:
    """Return the values of the corners with which an image may be padded."""
    corners = {hu_zyx[corner] for corner in itertools.product((0, -1), repeat=3)}
    return sorted(value for value in corners if _may_pad(value))


def _inner(padding_zyx: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the voxels all of whose neighbours are padding: single voxels of that value are none."""
    from scipy import ndimage

    inner: NDArray[np.bool_] = ndimage.binary_erosion(padding_zyx, np.ones((3, 3, 3)), border_value=1)
    return inner


def _near(mask_zyx: NDArray[np.bool_], reach: tuple[int, ...]) -> NDArray[np.bool_]:
    from scipy import ndimage

    near: NDArray[np.bool_] = ndimage.maximum_filter(mask_zyx, [2 * by + 1 for by in reach], mode="constant")
    return near


def _largest_projection_mm2(mask_zyx: NDArray[np.bool_], grid: Grid) -> float:
    spacing = np.array(grid.spacing_xyz[::-1])
    return max(
        np.count_nonzero(mask_zyx.any(axis=axis)) * float(np.prod(np.delete(spacing, axis))) for axis in range(3)
    )


def _near_outside_blocks(hu_zyx: NDArray[Any], values: list[Any], box: Box) -> NDArray[np.bool_]:
    """Return the voxels of a box that lie in a block of padding joined to the border of the array, or beside one."""
    from scipy import ndimage

    near: NDArray[np.bool_] = ndimage.binary_dilation(_outside_blocks(hu_zyx, values), np.ones((3, 3, 3)))
    z, y, x = (np.arange(part.start, part.stop) // _BLOCK for part in box)
    return near[np.ix_(z, y, x)]


def _outside_blocks(hu_zyx: NDArray[Any], values: list[Any]) -> NDArray[np.bool_]:
    """Return the blocks of padding alone that are joined to the border of the array."""
    from scipy import ndimage

    steps = (_BLOCK, _BLOCK, _BLOCK)
    blocks = ~any_by_block(~np.isin(hu_zyx, values), steps)
    numbers, _ = ndimage.label(blocks)
    at_border = np.unique(np.concatenate([np.moveaxis(numbers, axis, 0)[[0, -1]].ravel() for axis in range(3)]))
    outside: NDArray[np.bool_] = np.isin(numbers, at_border[at_border > 0])
    return outside
