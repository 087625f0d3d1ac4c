"""The surroundings of a spine: skin, fat, muscle, lungs, vessels, the cord, and the bones that are no vertebrae.

It is generic: enough that a network meets air, fat, contrast and other bone where real scans have them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray

from cspine.core.anatomy import SACRUM, rank, vertebra
from cspine.core.geometry import Grid
from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.spine.column import Pose, level_of
from cspine.study.synthesis.spine.dimensions import dimensions

_FAR_MM = 30.0
#: Half width and half depth of the body, and how far its middle lies in front of the vertebrae, at some levels.
_OUTLINE = {
    "C1": (72, 92, 12),
    "C3": (62, 70, 14),
    "C5": (58, 60, 12),
    "C7": (75, 62, 12),
    "T1": (120, 75, 20),
    "T4": (165, 100, 45),
    "T9": (155, 108, 58),
    "L1": (145, 105, 62),
    "L4": (150, 108, 62),
    "S": (170, 110, 50),
}


@dataclass(frozen=True, eq=False)
class _Axis:
    """Smooth lines along the body, one value per slice of the grid."""

    spine_xy: NDArray[np.float64]  # (z, 2)
    canal_xy: NDArray[np.float64]  # (z, 2)
    outline: NDArray[np.float64]  # (z, 3)
    place: NDArray[np.float64]  # (z,): 0 at C1, 1 per level


def draw_tissue(grid: Grid, poses: tuple[Pose, ...], rng: np.random.Generator) -> torch.Tensor:
    """Return the tissue numbers of `cspine.study.synthesis.atlas` on a grid, uint8 of shape (z, y, x)."""
    z_mm, y_mm, x_mm = _coordinates(grid)
    axis = _along(poses, z_mm)
    rng_size = rng.uniform(0.82, 1.2)
    half_width, half_depth, ahead = axis.outline.T * rng_size
    dx = x_mm[None, None, :] - axis.spine_xy[:, 0, None, None]
    dy = y_mm[None, :, None] - axis.spine_xy[:, 1, None, None]
    radius = np.hypot(dx / half_width[:, None, None], (dy + ahead[:, None, None]) / half_depth[:, None, None])
    depth_mm = (1 - radius) * np.minimum(half_width, half_depth)[:, None, None]
    tissue = np.where(depth_mm > 0, tissues.FAT, 0).astype(np.uint8)
    tissue[depth_mm > rng.uniform(4, 22)] = tissues.MUSCLE
    _cavities(tissue, axis, dx, dy, depth_mm, rng)
    _tubes(tissue, axis, dx, dy, rng)
    _canal(tissue, axis, x_mm, y_mm)
    _discs(tissue, grid, poses)
    return torch.from_numpy(tissue)


def _coordinates(grid: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    origin, (x, y, z) = grid.affine_lps[:3, 3], grid.spacing_xyz
    n = grid.shape_zyx
    return origin[2] + z * np.arange(n[0]), origin[1] + y * np.arange(n[1]), origin[0] + x * np.arange(n[2])


def _along(poses: tuple[Pose, ...], z_mm: NDArray[np.float64]) -> _Axis:
    heights = np.array([pose.origin_mm[2] for pose in poses])
    order = np.argsort(heights)

    def interpolate(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.stack([np.interp(z_mm, heights[order], column[order]) for column in values.T], axis=1)

    places = np.arange(len(poses), dtype=np.float64)
    knots = [_place(name, poses) for name in _OUTLINE]
    rows = np.array(list(_OUTLINE.values()), dtype=np.float64)
    outline = np.stack([np.interp(places, knots, column) for column in rows.T], axis=1)
    return _Axis(
        interpolate(np.array([pose.origin_mm[:2] for pose in poses])),
        interpolate(np.array([pose.canal_mm[:2] for pose in poses])),
        interpolate(outline),
        interpolate(places[:, None])[:, 0],
    )


def _place(name: str, poses: tuple[Pose, ...]) -> float:
    """Place in the column of a level, or of the nearest one that is there."""
    wanted = 99 if name == "S" else rank(vertebra(name).label)
    return float(np.argmin([abs((99 if p.label == SACRUM else rank(p.label)) - wanted) for p in poses]))


def _cavities(
    tissue: NDArray[np.uint8],
    axis: _Axis,
    dx: NDArray[np.float64],
    dy: NDArray[np.float64],
    depth_mm: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Lungs, and the organs and fat of the belly, in place."""
    inner = depth_mm > 26
    chest = ((axis.place > 8) & (axis.place < 17.5))[:, None, None]
    beside = (np.abs(dx) > 24) | ((dy < -20) & (np.abs(dx) > rng.uniform(8, 30)))
    tissue[inner & chest & beside & (dy < 30)] = tissues.LUNG
    belly = (axis.place >= 17.5)[:, None, None] & inner & (dy < -26)
    organs = smooth_noise(rng, tissue.shape, 14).numpy()
    tissue[belly] = tissues.FAT
    tissue[belly & (organs > 0.2)] = tissues.GLAND
    tissue[belly & (organs > 1.9)] = 0  # gas
    head = (axis.place < 0.6)[:, None, None] & inner & (dy > -70)
    tissue[head] = tissues.BRAIN


def _tubes(
    tissue: NDArray[np.uint8], axis: _Axis, dx: NDArray[np.float64], dy: NDArray[np.float64], rng: np.random.Generator
) -> None:
    """Airway, aorta, caval vein and carotids, in place."""
    place = axis.place[:, None, None]
    wander = 3 * np.sin(np.linspace(0, 3, len(axis.place)) * 2 + rng.uniform(0, 6))[:, None, None]

    def tube(x: float, y: float, radius: float, first: float, last: float, number: int) -> None:
        inside = np.hypot(dx - x - wander, dy - y) < radius
        tissue[inside & (place >= first) & (place <= last)] = number

    tube(0, -26, rng.uniform(6, 10), -1, 10, tissues.AIRWAY)
    tube(10, -36, rng.uniform(9, 14), 10, 22, tissues.VESSEL)
    tube(-16, -34, rng.uniform(9, 13), 12, 23, tissues.VESSEL)
    for side in (-1, 1):
        tube(side * 26, -16, rng.uniform(3, 5), -1, 7.5, tissues.VESSEL)


def _canal(tissue: NDArray[np.uint8], axis: _Axis, x_mm: NDArray[np.float64], y_mm: NDArray[np.float64]) -> None:
    away = np.hypot(
        (x_mm[None, None, :] - axis.canal_xy[:, 0, None, None]) / 10,
        (y_mm[None, :, None] - axis.canal_xy[:, 1, None, None]) / 7,
    )
    tissue[away < 1] = tissues.CANAL_CONTENT
    tissue[(away < 0.62) & (axis.place < 19.5)[:, None, None]] = tissues.CORD


def _discs(tissue: NDArray[np.uint8], grid: Grid, poses: tuple[Pose, ...]) -> None:
    for upper, lower in pairwise(poses[1:]):
        size = dimensions(vertebra(upper.label))
        middle = (upper.point(0, 0, -size.height / 2) + lower.point(0, 0, _top(lower))) / 2
        box, points = points_in_box(grid, middle, 32.0)
        if points is None:
            continue
        local = (points - middle) @ upper.axes
        radius = np.hypot(local[..., 0] / (size.width / 2), local[..., 1] / (size.depth / 2))
        tissue[box][(radius < 0.95) & (np.abs(local[..., 2]) < size.disc / 2 + 1.5)] = tissues.DISC


def _top(pose: Pose) -> float:
    return 13.0 if pose.label == SACRUM else dimensions(vertebra(pose.label)).height / 2


def points_in_box(
    grid: Grid, middle_mm: NDArray[np.float64], reach_mm: float | NDArray[np.float64]
) -> tuple[tuple[slice, slice, slice], NDArray[np.float32] | None]:
    """Return the voxels within a distance of a point along each axis, and their coordinates (x, y, z).

    Parameters
    ----------
    grid : Grid
        Without rotation.
    middle_mm : ndarray, shape (3,)
        The point.
    reach_mm : float or ndarray, shape (3,)
        Half the size of the box along x, y, z.

    Returns
    -------
    box_zyx : tuple of slice
    points : ndarray of float32, shape (z, y, x, 3), or None where no voxel lies in it
    """
    origin, spacing = grid.affine_lps[:3, 3], np.array(grid.spacing_xyz)
    count = np.array(grid.shape_zyx[::-1])
    low = np.clip(np.ceil((middle_mm - reach_mm - origin) / spacing), 0, count).astype(int)
    high = np.clip(np.floor((middle_mm + reach_mm - origin) / spacing) + 1, 0, count).astype(int)
    box = (slice(low[2], high[2]), slice(low[1], high[1]), slice(low[0], high[0]))
    if (high <= low).any():
        return box, None
    axes = [(origin[i] + spacing[i] * np.arange(low[i], high[i])).astype(np.float32) for i in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return box, np.stack([x, y, z], axis=-1)


def other_bones(grid: Grid, poses: tuple[Pose, ...], rng: np.random.Generator) -> torch.Tensor:
    """Return the signed distance to ribs, skull and pelvis, float32 of shape (z, y, x), millimetres."""
    field = np.full(grid.shape_zyx, -_FAR_MM, dtype=np.float32)
    slope = rng.uniform(0.25, 0.55)
    for pose in poses:
        name = level_of(pose)
        if name[0] == "T" and (name != "T13" or rng.random() < 0.4):
            _ribs(field, grid, pose, name, slope)
    _skull(field, grid, poses[0])
    if poses[-1].label == SACRUM:
        _pelvis(field, grid, poses[-1])
    return torch.from_numpy(field)


def _ribs(field: NDArray[np.float32], grid: Grid, pose: Pose, name: str, slope: float) -> None:
    number = int(name[1:])
    reach = {1: 45, 2: 65, 11: 70, 12: 45, 13: 25}.get(number, 95)
    size = dimensions(vertebra(pose.label))
    for side in (-1, 1):
        start = pose.point(side * (size.width / 2 + 2), size.depth / 2 - 2, 4)
        track = [start]
        for share in np.linspace(0.2, 1, 6):
            angle = np.pi * (0.62 - 0.95 * share)
            out = reach * np.sin(np.pi * min(share * 0.75 + 0.12, 0.9))
            behind = 26 * np.sin(np.pi * min(share * 1.6, 1)) - reach * max(share - 0.45, 0) * 1.3
            track.append(start + np.array([side * out * (0.35 + 0.65 * share), behind + 4 * angle, -slope * out]))
        for a, b in pairwise(track):
            _stick(field, grid, a, b, 4.2)


def _stick(
    field: NDArray[np.float32], grid: Grid, start: NDArray[np.float64], stop: NDArray[np.float64], radius: float
) -> None:
    middle, direction = (start + stop) / 2, stop - start
    box, points = points_in_box(grid, middle, np.abs(direction) / 2 + radius + 8)
    if points is None:
        return
    along = np.clip(((points - start) @ direction) / max(float(direction @ direction), 1e-6), 0, 1)
    distance = radius - np.linalg.norm(points - start - along[..., None] * direction, axis=-1)
    np.maximum(field[box], distance.astype(np.float32), out=field[box])


def _skull(field: NDArray[np.float32], grid: Grid, first: Pose) -> None:
    """Draw a shell with the great foramen in it, and the lower jaw, in place."""
    centre = first.point(0, -18, 92)
    box, points = points_in_box(grid, centre, np.array([90.0, 110.0, 100.0]))
    if points is not None:
        local = (points - centre) @ first.axes
        radius = np.linalg.norm(local / np.array([72.0, 92.0, 82.0]), axis=-1)
        shell = 3.2 - np.abs(1 - radius) * 80
        hole = np.hypot(local[..., 0], local[..., 1] - 22) < 17
        shell[hole & (local[..., 2] < 0)] = -6
        np.maximum(field[box], np.maximum(shell, -_FAR_MM).astype(np.float32), out=field[box])
    for side in (-1, 1):
        ramus, corner, chin = (
            first.point(*p) for p in ((side * 48, -26, 22), (side * 44, -36, -38), (side * 12, -96, -48))
        )
        _stick(field, grid, ramus, corner, 5.5)
        _stick(field, grid, corner, chin, 6.0)


def _pelvis(field: NDArray[np.float32], grid: Grid, sacrum: Pose) -> None:
    """Two iliac wings, as a row of sticks each."""
    for side in (-1, 1):
        for step in np.linspace(0, 1, 6):
            low = sacrum.point(side * (46 + 8 * step), 8 - 30 * step, -50)
            high = sacrum.point(side * (62 + 55 * step), 20 - 75 * step, 22 + 18 * np.sin(np.pi * step))
            _stick(field, grid, low, high, 7.0)
