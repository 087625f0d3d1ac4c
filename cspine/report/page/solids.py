"""Surfaces of the vertebrae for the page's 3-D view: small, for looking at; `cspine.surfaces` is for computing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes

from cspine.core.anatomy import Vertebra
from cspine.core.geometry import to_lps
from cspine.core.shape import Box, label_boxes
from cspine.report.scene import Scene

#: Distance of the points at which surfaces are sampled, for a neck and for longer columns, millimetres.
STEP_MM, LONG_STEP_MM = 1.5, 2.4
_NECK_LEVELS = 10
#: Coordinates are stored as multiples of this, in int16.
UNIT_MM = 0.05
_MAX_VERTICES = 65535


@dataclass(frozen=True, eq=False)
class Solid:
    """The surface of a vertebra.

    Parameters
    ----------
    level : Vertebra
        The level.
    points_lps : ndarray of int16, shape (n, 3)
        Positions in units of `UNIT_MM`, from the middle of all vertebrae.
    normals_lps : ndarray of int8, shape (n, 3)
        Unit normals times 127.
    triangles : ndarray of uint16, shape (m, 3)
        Indices of points.
    """

    level: Vertebra
    points_lps: NDArray[np.int16]
    normals_lps: NDArray[np.int8]
    triangles: NDArray[np.uint16]


def solids_of(scene: Scene) -> tuple[Solid, ...]:
    """Return the surface of every vertebra, from head to foot; none for one that is thinner than the sampling.

    Parameters
    ----------
    scene : Scene
        Labels of at least one vertebra, in LPS.
    """
    step = STEP_MM if len(scene.levels) <= _NECK_LEVELS else LONG_STEP_MM
    boxes = label_boxes(scene.labels_zyx)
    sides = np.array([[[side.start, side.stop] for side in box] for box in boxes.values()])
    middle_zyx = (sides[..., 0].min(axis=0) + sides[..., 1].max(axis=0)) / 2
    centre = to_lps(scene.grid.affine_lps, middle_zyx[None, ::-1])[0]
    found = (_solid(scene, level, boxes[level.label], step, centre) for level in scene.levels)
    return tuple(solid for solid in found if solid is not None)


def _solid(scene: Scene, level: Vertebra, box: Box, step_mm: float, centre_lps: NDArray[np.float64]) -> Solid | None:
    spacing_zyx = np.array(scene.spacing_xyz[::-1])
    # A sample takes at least one voxel, and an empty one stays around the vertebra.
    scale = np.maximum(step_mm / spacing_zyx, 1.0)
    share = ndimage.gaussian_filter(_padded(scene, level, box, scale), 0.45 * scale)
    shape = np.ceil(np.array(share.shape) / scale).astype(int)
    sampled = ndimage.affine_transform(share, scale, output_shape=tuple(shape), order=1)
    if sampled.max() <= 0.5 or min(sampled.shape) < 2:
        return None
    points, triangles, normals, _ = marching_cubes(sampled, 0.5)  # type: ignore[no-untyped-call]
    if len(points) > _MAX_VERTICES:
        return _solid(scene, level, box, 1.5 * step_mm, centre_lps)
    first = np.array([side.start for side in box]) - _padding(scale)
    index_xyz = (points * scale + first)[:, ::-1]
    axes = scene.grid.affine_lps[:3, :3] / np.array(scene.spacing_xyz)
    directions = (normals / (scale * spacing_zyx))[:, ::-1] @ axes.T
    directions /= np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-9)
    positions = to_lps(scene.grid.affine_lps, index_xyz) - centre_lps
    return Solid(
        level,
        np.round(positions / UNIT_MM).astype(np.int16),
        np.round(directions * 127).astype(np.int8),
        triangles.astype(np.uint16),
    )


def _padding(scale: NDArray[np.float64]) -> NDArray[np.int_]:
    return np.ceil(2 * scale).astype(int)


def _padded(scene: Scene, level: Vertebra, box: Box, scale: NDArray[np.float64]) -> NDArray[Any]:
    mask = scene.labels_zyx[box] == level.label
    return np.pad(mask, [(int(n), int(n)) for n in _padding(scale)]).astype(np.float32)
