"""Measurements of each vertebra: volume, density, position and extent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import to_lps
from cspine.core.padding import shapes_in_image
from cspine.core.shape import LevelShape
from cspine.core.volumes import CtVolume, LabelVolume


@dataclass(frozen=True)
class VertebraMeasurement:
    """The measurements of a vertebra.

    Parameters
    ----------
    level : str
        For example ``"C3"``.
    label : int
        Label of `cspine.core.anatomy`.
    volume_ml : float
        Volume.
    mean_hu, std_hu : float
        Mean and standard deviation of the density over all voxels, Hounsfield units.
    centroid_lps_mm : tuple of float
        Centroid in DICOM patient coordinates.
    extent_mm : tuple of float
        Extent from right to left, front to back and foot to head.
    touches_edge : bool
        True if it reaches an outermost plane of the scan, or of a smaller grid that its label had, so that it is
        incomplete.
    values : mapping of str to float
        Values of `quantities` by name, rounded; empty for an incomplete vertebra, or where they were not measured.
    """

    level: str
    label: int
    volume_ml: float
    mean_hu: float
    std_hu: float
    centroid_lps_mm: tuple[float, float, float]
    extent_mm: tuple[float, float, float]
    touches_edge: bool
    values: Mapping[str, float] = field(default_factory=dict)


def measure_vertebrae(
    labels: LabelVolume, ct: CtVolume, shapes: Sequence[LevelShape] | None = None
) -> tuple[VertebraMeasurement, ...]:
    """Return the measurements of every vertebra, from head to foot.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of ``ct``.
    ct : CtVolume
        The image.
    shapes : sequence of LevelShape, optional
        Shapes of the labels in the image; found if omitted.

    Returns
    -------
    tuple of VertebraMeasurement

    Raises
    ------
    ValueError
        If labels and image have different shapes.
    """
    if labels.labels_zyx.shape != ct.hu_zyx.shape:
        raise ValueError(f"labels {labels.labels_zyx.shape} and image {ct.hu_zyx.shape} differ in shape")
    shapes = shapes_in_image(labels, ct) if shapes is None else shapes
    return tuple(_measure(labels, ct, shape) for shape in shapes)


def _measure(labels: LabelVolume, ct: CtVolume, shape: LevelShape) -> VertebraMeasurement:
    inside = labels.labels_zyx[shape.box_zyx] == shape.vertebra.label
    hu = ct.hu_zyx[shape.box_zyx][inside].astype(np.float64)
    index_xyz = np.argwhere(inside)[:, ::-1]
    points = to_lps(labels.affine_lps, index_xyz.astype(np.float64))
    # A voxel extends beyond its centre by half its size along each patient axis.
    voxel = np.abs(labels.affine_lps[:3, :3]).sum(axis=1)
    extent = points.max(axis=0) - points.min(axis=0) + voxel
    return VertebraMeasurement(
        level=shape.vertebra.name,
        label=shape.vertebra.label,
        volume_ml=shape.volume_mm3 / 1000,
        mean_hu=float(hu.mean()),
        std_hu=float(hu.std()),
        centroid_lps_mm=_triple(shape.centroid_lps),
        extent_mm=_triple(extent),
        touches_edge=shape.touches_edge,
    )


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
