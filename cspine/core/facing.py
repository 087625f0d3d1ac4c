"""Which way a column faces: bodies are thicker than arches, and lie in front of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import to_lps
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelVolume

#: A neck whose arches point further away from the back than this is not stored as its header says, degrees.
MAX_TURN_DEG = 65.0
#: Fewer vertebrae say nothing: in voxels of 4 mm an articular process is as thick as a body.
MIN_VERTEBRAE = 3
#: Nearer to the thickest part than this the centre gives no direction: labels of bodies alone, millimetres.
_MIN_DISTANCE_MM = 2.0
#: Part of the greatest thickness from which on a voxel belongs to the thickest part of the bone.
_THICK = 0.7
#: Voxels are left out where they are closer than this, millimetres: a direction needs no more.
_SAMPLE_MM = 1.0


def column_turn_deg(labels: LabelVolume, shapes: Sequence[LevelShape]) -> float | None:
    """Return by how much a column is turned about the long axis of the patient.

    Parameters
    ----------
    labels : LabelVolume
        The labels.
    shapes : sequence of LevelShape
        Their levels; those that touch the edge and C1, which has no body, are not considered.

    Returns
    -------
    float or None
        Degrees from -180 to 180: 0 if the arches lie behind the bodies as the axes of the patient say, positive if they
        lie to the left; None if there are too few vertebrae, or if they have no arches.
    """
    complete = [shape for shape in shapes if not shape.touches_edge and shape.vertebra.name != "C1"]
    if len(complete) < MIN_VERTEBRAE:
        return None
    left, posterior = np.mean([_to_arch(labels, shape) for shape in complete], axis=0)
    if np.hypot(left, posterior) < _MIN_DISTANCE_MM:
        return None
    return float(np.degrees(np.arctan2(left, posterior)))


def impossible_turn_deg(labels: LabelVolume, shapes: Sequence[LevelShape]) -> float | None:
    """Return the turn of a column that is turned further than a neck can be, or None.

    Parameters
    ----------
    labels : LabelVolume
        Labels of the vertebrae.
    shapes : sequence of LevelShape
        Their shapes, as `column_turn_deg` takes them.

    Returns
    -------
    float or None
        The angle of `column_turn_deg` in degrees if its magnitude exceeds `MAX_TURN_DEG`; None for any other column.
    """
    turn = column_turn_deg(labels, shapes)
    return turn if turn is not None and abs(turn) > MAX_TURN_DEG else None


def _to_arch(labels: LabelVolume, shape: LevelShape) -> NDArray[np.float64]:
    """Return how far left and behind the thickest part of a vertebra its centre lies, millimetres."""
    grid = labels.grid.part(shape.box_zyx)
    steps_zyx = [max(1, int(_SAMPLE_MM / spacing)) for spacing in reversed(grid.spacing_xyz)]
    mask = labels.labels_zyx[shape.box_zyx] == shape.vertebra.label
    sampled = mask[tuple(slice(None, None, n) for n in steps_zyx)]
    if not sampled.any():  # a few stray voxels
        sampled, steps_zyx = mask, [1, 1, 1]
    sampling_zyx = [n * spacing for n, spacing in zip(steps_zyx, reversed(grid.spacing_xyz), strict=True)]
    bone, thickest = (
        to_lps(grid.affine_lps, (np.argwhere(part).mean(axis=0) * steps_zyx)[None, ::-1])[0]
        for part in (sampled, _thickest(sampled, sampling_zyx))
    )
    return np.asarray((bone - thickest)[:2])


def _thickest(mask_zyx: NDArray[np.bool_], sampling_zyx: Sequence[float]) -> NDArray[np.bool_]:
    from scipy import ndimage

    depth = ndimage.distance_transform_edt(np.pad(mask_zyx, 1), sampling=sampling_zyx)[1:-1, 1:-1, 1:-1]
    thickest: NDArray[np.bool_] = depth >= _THICK * depth.max()
    return thickest
