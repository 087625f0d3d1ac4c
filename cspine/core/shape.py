"""Bounding box, volume and centroid of each label, and whether it touches the edge of the scan."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Vertebra, rank, vertebra
from cspine.core.geometry import Grid, to_index, to_lps
from cspine.core.volumes import HuArray, LabelArray, LabelVolume, relabelled

Box = tuple[slice, slice, slice]

#: The last plane of a complete vertebra has at most this share of its largest one: 0.05 in planes 1 mm apart, 0.35 at
#: 3 mm and 0.7 at 5 mm, over the C1..T1 of an atlas. By the distance of planes, millimetres.
_END_SHARE = ((1.0, 3.0, 5.0), (0.2, 0.5, 0.8))
#: Beyond a vertebra that ends lie discs and muscle, which have less.
_BONE_BEYOND_HU = 100.0


@dataclass(frozen=True, eq=False)
class LevelShape:
    """Size and position of a vertebra.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    box_zyx : tuple of slice
        Bounding box in the array.
    voxels : int
        Number of voxels.
    volume_mm3 : float
        Volume.
    centroid_lps : ndarray, shape (3,)
        Millimetres (LPS).
    touches_edge : bool
        True if a voxel lies in an outermost plane of the array, or of its part that shows anything, or the label is cut
        otherwise: by another grid, or by padding whose border is no plane.
    """

    vertebra: Vertebra
    box_zyx: Box
    voxels: int
    volume_mm3: float
    centroid_lps: NDArray[np.float64]
    touches_edge: bool


def vertebrae_only(labels_zyx: LabelArray) -> LabelArray:
    """Return labels with the numbers that no level has set to background.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels of any source: a data set may also number the sacrum or an implant.
    """
    return relabelled(labels_zyx, {level.label: level.label for level in VERTEBRAE})


def occupied_box(array_zyx: NDArray[Any], margin_zyx: tuple[int, int, int] = (0, 0, 0)) -> Box | None:
    """Return the smallest box of the voxels that are not 0, grown within the array; None where all are 0.

    Parameters
    ----------
    array_zyx : ndarray, shape (z, y, x)
        Labels, or a mask.
    margin_zyx : tuple of int
        By how many voxels the box grows on both sides of each axis.
    """
    z = _first_to_last(array_zyx)
    if z is None:
        return None
    part = array_zyx[z]
    projection = np.bitwise_or.reduce(part, axis=0) if part.dtype.kind in "biu" else (part != 0).any(axis=0)
    y, x = _first_to_last(projection), _first_to_last(projection.T)
    assert y is not None and x is not None
    return grown_box((z, y, x), margin_zyx, array_zyx.shape)


def _first_to_last(planes: NDArray[Any]) -> slice | None:
    """Return the first to the last plane along the first axis that have a value other than 0; None without any."""
    first = next((index for index in range(len(planes)) if planes[index].any()), None)
    if first is None:
        return None
    last = next(index for index in reversed(range(len(planes))) if planes[index].any())
    return slice(first, last + 1)


def grown_box(box: Box, margin_zyx: Iterable[int], shape_zyx: tuple[int, ...]) -> Box:
    """Return a box grown by so many voxels on both sides of each axis, within an array of a shape.

    Parameters
    ----------
    box : tuple of slice
        Slices along z, y and x.
    margin_zyx : iterable of int
        Voxels to add on both sides of each axis.
    shape_zyx : tuple of int
        Shape of the array, beyond which the box does not grow.

    Examples
    --------
    >>> grown_box((slice(1, 3), slice(0, 2), slice(4, 5)), (1, 1, 2), (4, 4, 6))
    (slice(0, 4, None), slice(0, 3, None), slice(2, 6, None))
    """
    z, y, x = (
        slice(max(part.start - margin, 0), min(part.stop + margin, n))
        for part, margin, n in zip(box, margin_zyx, shape_zyx, strict=True)
    )
    return z, y, x


def composed(outer: Box, inner: Box) -> Box:
    """Return a box within another box as a box of the array.

    Parameters
    ----------
    outer : tuple of slice
        Box of the array.
    inner : tuple of slice
        Box relative to the start of the outer one.
    """
    z, y, x = (slice(o.start + i.start, o.start + i.stop) for o, i in zip(outer, inner, strict=True))
    return z, y, x


def common_box(one: Box, other: Box) -> Box | None:
    """Return the box that two boxes share, or None if they share no voxel.

    Parameters
    ----------
    one, other : tuple of slice
        Boxes of the same array.
    """
    parts = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(one, other, strict=True)]
    if any(part.start >= part.stop for part in parts):
        return None
    return parts[0], parts[1], parts[2]


def relative_box(inner: Box, outer: Box) -> Box:
    """Return a box of the array as a box within another box that contains it.

    Parameters
    ----------
    inner, outer : tuple of slice
        Boxes of the same array; the outer one contains the inner one.
    """
    z, y, x = (slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True))
    return z, y, x


def margin_zyx(margin_mm: float, grid: Grid) -> tuple[int, int, int]:
    """Return how many voxels of a grid a margin takes, rounded up.

    Parameters
    ----------
    margin_mm : float
        Margin in millimetres.
    grid : Grid
        The grid whose voxels are counted.

    Returns
    -------
    tuple of int
        Voxels along z, y and x.
    """
    z, y, x = (int(np.ceil(margin_mm / step)) for step in reversed(grid.spacing_xyz))
    return z, y, x


def label_boxes(labels_zyx: LabelArray) -> dict[int, Box]:
    """Return the bounding box of each label that is present, from head to foot.

    Parameters
    ----------
    labels_zyx : ndarray, shape (z, y, x)
        Labels with the numbers of VerSe, 0 for background.

    Returns
    -------
    dict of int to tuple of slice
        Slices along z, y and x by label.

    Raises
    ------
    KeyError
        If a value is not a label of `cspine.core.anatomy`.
    """
    boxes = value_boxes(labels_zyx)
    return {label: boxes[label] for label in sorted(boxes, key=rank)}


def value_boxes(numbers_zyx: NDArray[Any]) -> dict[int, Box]:
    """Return the bounding box of each number above 0 that is present, in ascending order.

    Parameters
    ----------
    numbers_zyx : ndarray of int, shape (z, y, x)
        Labels, or numbers of components.
    """
    from scipy import ndimage

    occupied = occupied_box(numbers_zyx)
    if occupied is None:
        return {}
    found = ndimage.find_objects(numbers_zyx[occupied])
    return {number: composed(occupied, box) for number, box in enumerate(found, start=1) if box is not None}


def any_by_block(mask_zyx: NDArray[np.bool_], steps_zyx: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Return which blocks of voxels contain a voxel of a mask.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (z, y, x)
        The mask.
    steps_zyx : tuple of int
        Voxels of a block along z, y and x; blocks at the end of an axis may be smaller.

    Returns
    -------
    ndarray of bool
        One value for each block, shape ceil(shape / steps).
    """
    for axis, step in enumerate(steps_zyx):
        mask_zyx = np.logical_or.reduceat(mask_zyx, np.arange(0, mask_zyx.shape[axis], step), axis=axis)
    return mask_zyx


def labels_cut_within(labels: LabelVolume, image: Grid, hu_zyx: HuArray | None = None) -> frozenset[int]:
    """Return the labels that reach an outermost plane of their grid where an image goes on beyond it.

    Parameters
    ----------
    labels : LabelVolume
        Labels on a grid of their own.
    image : Grid
        Grid of the image.
    hu_zyx : ndarray, shape (z, y, x), optional
        The image, for labels without empty planes, as a segmentation stores them: there a label also reaches the
        outermost plane where the vertebra ends, but with a small part of its section, or with no bone beyond.
    """
    found: set[int] = set()
    for axis, count in enumerate(labels.labels_zyx.shape):
        for end, beyond in ((0, -1), (count - 1, count)) if count > 1 else ():
            plane = np.moveaxis(labels.labels_zyx, axis, 0)[end]
            beyond_zyx = np.insert(np.argwhere(plane), axis, beyond, axis=1)
            index = to_index(image.affine_lps, to_lps(labels.affine_lps, beyond_zyx[:, ::-1].astype(np.float64)))
            is_imaged = (np.abs(index - (np.array(image.shape_zyx[::-1]) - 1) / 2) < _half(image)).all(axis=1)
            reaching, beyond_xyz = plane[plane > 0][is_imaged], np.rint(index[is_imaged]).astype(int)
            for label in set(reaching.tolist()) - found:
                at_end = beyond_xyz[reaching == label]
                if hu_zyx is None or (
                    len(at_end) > _end_share(labels, axis) * _largest_section(labels, label, axis)
                    and float(hu_zyx[tuple(at_end.T[::-1])].mean()) > _BONE_BEYOND_HU
                ):
                    found.add(label)
    return frozenset(found)


def _end_share(labels: LabelVolume, axis: int) -> float:
    return float(np.interp(labels.grid.spacing_xyz[2 - axis], *_END_SHARE))


def _largest_section(labels: LabelVolume, label: int, axis: int) -> int:
    """Return the number of voxels of a label in the plane that has most of them."""
    return int((labels.labels_zyx == label).sum(axis=tuple(other for other in range(3) if other != axis)).max())


def _half(image: Grid) -> NDArray[np.float64]:
    """Return half the extent of an image along x, y and z in voxels, but for rounding."""
    return np.array(image.shape_zyx[::-1]) / 2 - 1e-3


def shapes_of(
    labels_zyx: LabelArray, grid: Grid, imaged: Box | None = None, cut: Collection[int] = ()
) -> tuple[LevelShape, ...]:
    """Return the size and position of each label that is present, from head to foot.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels of `cspine.core.anatomy`.
    grid : Grid
        Grid of the array.
    imaged : tuple of slice, optional
        Part of the array that shows anything, from `padding.imaged_box`; all of it if omitted.
    cut : collection of int
        Labels that are truncated wherever they lie.

    Returns
    -------
    tuple of LevelShape
    """
    view = imaged or tuple(slice(0, n) for n in labels_zyx.shape)
    shapes = (_shape(labels_zyx, grid, label, box, view) for label, box in label_boxes(labels_zyx).items())
    return tuple(replace(each, touches_edge=True) if each.vertebra.label in cut else each for each in shapes)


def _shape(labels_zyx: LabelArray, grid: Grid, label: int, box: Box, view: tuple[slice, ...]) -> LevelShape:
    index_zyx = np.argwhere(labels_zyx[box] == label)
    start_zyx = np.array([s.start for s in box])
    centre_xyz = (index_zyx.mean(axis=0) + start_zyx)[::-1]
    touches = any(
        part.start <= edge.start or part.stop >= edge.stop
        for part, edge, n in zip(box, view, grid.shape_zyx, strict=True)
        if n > 1
    )
    return LevelShape(
        vertebra=vertebra(label),
        box_zyx=box,
        voxels=len(index_zyx),
        volume_mm3=len(index_zyx) * grid.voxel_mm3,
        centroid_lps=to_lps(grid.affine_lps, centre_xyz[None])[0],
        touches_edge=touches,
    )


def complete_shapes(shapes: Iterable[LevelShape]) -> tuple[LevelShape, ...]:
    """Return the vertebrae that are not truncated by an edge of the image.

    Parameters
    ----------
    shapes : iterable of LevelShape
        Shapes of the levels.
    """
    return tuple(shape for shape in shapes if not shape.touches_edge)
