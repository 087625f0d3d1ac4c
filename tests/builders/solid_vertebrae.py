"""Simple solids as labels: spheres, a plate with a hole, and a column of vertebrae made of boxes and a ring."""

from __future__ import annotations

import numpy as np

from cspine.core.anatomy import vertebra
from cspine.core.geometry import to_lps
from cspine.core.volumes import CtVolume, LabelVolume

#: Distance from one vertebra of the column to the next, and the height of a body.
STEP_MM, BODY_MM = 17.0, 13.0


def sphere_mask(radius_mm: float, spacing_zyx: tuple[float, float, float]) -> tuple[np.ndarray, np.ndarray]:
    """A ball around (0, 0, 0) with a margin, and its affine."""
    shape = [2 * int(radius_mm / step + 6) + 1 for step in spacing_zyx]
    affine = np.diag([*reversed(spacing_zyx), 1.0])
    affine[:3, 3] = [-(n // 2) * step for n, step in zip(reversed(shape), reversed(spacing_zyx), strict=True)]
    return np.linalg.norm(_positions(tuple(shape), affine), axis=-1) <= radius_mm, affine


def plate_with_hole() -> tuple[np.ndarray, np.ndarray]:
    """A plate of 30 x 20 x 4 mm with a hole of 8 x 6 mm, 1 mm voxels with a margin of 4."""
    mask = np.zeros((12, 28, 38), dtype=bool)
    mask[4:8, 4:24, 4:34] = True
    mask[4:8, 11:17, 15:23] = False
    return mask, np.eye(4)


def two_balls(distance_mm: float, radius_mm: float = 8.0) -> LabelVolume:
    """C3 above C4, as balls in 1 mm voxels; where they overlap, the voxels belong to the nearer one."""
    shape = (60, 30, 30)
    affine = np.eye(4)
    affine[:3, 3] = -15, -15, -30
    where = _positions(shape, affine)
    away = [np.linalg.norm(where - (0, 0, sign * distance_mm / 2), axis=-1) for sign in (1, -1)]
    labels = np.zeros(shape, dtype=np.uint8)
    labels[(away[0] <= radius_mm) & (away[0] <= away[1])] = vertebra("C3").label
    labels[(away[1] <= radius_mm) & (away[1] < away[0])] = vertebra("C4").label
    return LabelVolume(labels, affine)


def column(levels: tuple[str, ...] = ("C3", "C4", "C5"), turn_deg: float = 0.0) -> LabelVolume:
    """Vertebrae with a body, an arch around a canal of 20 x 14 mm, lateral masses and a spinous process, 1 mm voxels.

    Parameters
    ----------
    levels : tuple of str
        From head to foot.
    turn_deg : float
        How far the neck is turned to the left about the axis of the column.
    """
    shape = (int(STEP_MM * len(levels)) + 24, 72, 72)
    affine = np.eye(4)
    affine[:3, 3] = -36, -30, -shape[0] + 16
    where = _positions(shape, affine)
    angle = np.radians(turn_deg)
    x = np.cos(angle) * where[..., 0] + np.sin(angle) * where[..., 1]
    y = -np.sin(angle) * where[..., 0] + np.cos(angle) * where[..., 1]
    labels = np.zeros(shape, dtype=np.uint8)
    for i, name in enumerate(levels):
        z = where[..., 2] + i * STEP_MM
        labels[_vertebra(x, y, z)] = vertebra(name).label
    return LabelVolume(labels, affine)


def uniform_ct(labels: LabelVolume, hu: float) -> CtVolume:
    """An image of one value on the grid of labels."""
    return CtVolume(np.full(labels.labels_zyx.shape, hu, dtype=np.float32), labels.affine_lps)


def _vertebra(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """One vertebra whose canal is around the axis z; y runs to the back, the body lies before y = -7."""
    half = BODY_MM / 2
    body = (np.hypot(x / 9, (y + 14) / 7.5) <= 1) & (np.abs(z) <= half)
    inside = np.hypot(x / 10, y / 7) <= 1
    ring = (np.hypot(x / 14, y / 11) <= 1) & ~inside & (np.abs(z) <= 4)
    masses = (np.abs(np.abs(x) - 15) <= 4) & (np.abs(y) <= 5) & (np.abs(z + y / 1.2) <= 6)
    spinous = (np.abs(x) <= 2.5) & (y > 9) & (y <= 30) & (np.abs(z) <= 4)
    return (body | ring | masses | spinous) & ~inside


def _positions(shape_zyx: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape_zyx), indexing="ij"), axis=-1)[..., ::-1]
    return to_lps(affine, index.reshape(-1, 3).astype(np.float64)).reshape(*shape_zyx, 3)
