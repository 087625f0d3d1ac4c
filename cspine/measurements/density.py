"""Hounsfield units of a vertebra: the distribution over all of it, and trabecular bone of the body."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import to_index, to_lps
from cspine.core.shape import Box, LevelShape, common_box
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.measurements.body import Body, BodyBox
from cspine.measurements.frame import Frame, Vector
from cspine.measurements.section import STEP_MM

#: Percentiles of the distribution.
PERCENTILES = (10, 50, 90)
#: The trabecular region is an elliptical cylinder about the centre of the body, along its superior axis, with these
#: shares of its width, depth and middle height: cortical bone and end plates lie outside it.
TRABECULAR_WIDTH, TRABECULAR_DEPTH, TRABECULAR_HEIGHT = 0.6, 0.6, 0.5
#: Fewer voxels give no mean.
MIN_VOXELS = 20
#: How far TotalSegmentator's spine report (2.18) erodes the body before it takes the density, millimetres.
_ERODED_MM = 4.0


@dataclass(frozen=True)
class Density:
    """Hounsfield units of a region.

    Parameters
    ----------
    mean, std : float
        Mean and standard deviation.
    voxels : int
        Number of voxels.
    """

    mean: float
    std: float
    voxels: int


def percentiles(labels: LabelVolume, ct: CtVolume, shape: LevelShape) -> tuple[float, ...]:
    """Return the `PERCENTILES` of Hounsfield units over the voxels of a vertebra.

    Parameters
    ----------
    labels : LabelVolume
        The labels, on the grid of the image.
    ct : CtVolume
        The image.
    shape : LevelShape
        The vertebra.
    """
    inside = labels.labels_zyx[shape.box_zyx] == shape.vertebra.label
    return tuple(float(value) for value in np.percentile(ct.hu_zyx[shape.box_zyx][inside], PERCENTILES))


def trabecular(ct: CtVolume, shape: LevelShape, body: Body, box: BodyBox, height: float) -> Density | None:
    """Return the density of trabecular bone: of the voxels whose centres lie in the elliptical cylinder.

    Parameters
    ----------
    ct : CtVolume
        The image.
    shape : LevelShape
        The vertebra, for its box in the array.
    body, box : Body, BodyBox
        Its body.
    height : float
        Middle height of the body, millimetres.
    """
    centre = np.array([(box.left + box.right) / 2, body.centre_y, body.middle])
    half = np.array([TRABECULAR_WIDTH * box.width, TRABECULAR_DEPTH * body.depth, TRABECULAR_HEIGHT * height]) / 2
    part = _part_about(ct, shape, body.frame, (centre - half, centre + half))
    if part is None:
        return None
    x, y, z = ((body.frame.from_lps(_centres(ct, part)) - centre) / half).T
    return _density(ct.hu_zyx[part], (x**2 + y**2 <= 1) & (np.abs(z) <= 1))


def eroded(ct: CtVolume, shape: LevelShape, body: Body, box: BodyBox) -> Density | None:
    """Return the density of the body eroded by 4 mm, as TotalSegmentator's spine report takes it; see `trabecular`.

    Parameters
    ----------
    ct : CtVolume
        The image.
    shape : LevelShape
        The vertebra.
    body : Body
        Its body.
    box : BodyBox
        Samples of the body in its frame.

    Returns
    -------
    Density or None
        As in `trabecular`.
    """
    mask = np.pad(box.mask(), 1)
    depth = ndimage.distance_transform_edt(mask, sampling=STEP_MM)[1:-1, 1:-1, 1:-1]
    low, high = (np.array([axis[end] for axis in (box.x, box.y, box.z)]) for end in (0, -1))
    part = _part_about(ct, shape, body.frame, (low, high))
    if part is None:
        return None
    points = body.frame.from_lps(_centres(ct, part))
    index_zyx = ((points - low) / STEP_MM)[:, ::-1].T
    inside = ndimage.map_coordinates(depth, index_zyx, order=1) >= _ERODED_MM
    return _density(ct.hu_zyx[part], inside)


def _part_about(ct: CtVolume, shape: LevelShape, frame: Frame, corners: tuple[Vector, Vector]) -> Box | None:
    """Return the part of a vertebra's box in the array that contains a box in a frame; None if there is none."""
    points = np.array(list(itertools.product(*zip(*corners, strict=True))))
    index_zyx = to_index(ct.affine_lps, frame.to_lps(points))[:, ::-1]
    first, last = np.floor(index_zyx.min(axis=0)).astype(int), np.ceil(index_zyx.max(axis=0)).astype(int)
    z, y, x = (slice(max(0, a), max(0, b + 1)) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    return common_box(shape.box_zyx, (z, y, x))


def _centres(ct: CtVolume, box: Box) -> NDArray[np.float64]:
    """Return the centres of the voxels of a box in the order of its array, in patient coordinates."""
    z, y, x = np.meshgrid(*(np.arange(part.start, part.stop, dtype=np.float64) for part in box), indexing="ij")
    return to_lps(ct.affine_lps, np.stack([x.ravel(), y.ravel(), z.ravel()], axis=1))


def _density(hu_zyx: HuArray, inside: NDArray[np.bool_]) -> Density | None:
    values = hu_zyx.ravel()[inside].astype(np.float64)
    if values.size < MIN_VOXELS:
        return None
    return Density(float(values.mean()), float(values.std()), int(values.size))
