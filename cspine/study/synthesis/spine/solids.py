"""Simple solids as signed distances, positive inside, millimetres; and how they grow together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
Points = NDArray[np.float32]
Point = tuple[float, float, float]


def lattice(low_xyz: Point, high_xyz: Point, step_mm: float = 1.0) -> Points:
    """Return the points of a lattice, shape (z, y, x, 3), coordinates x, y, z in millimetres."""
    axes = [np.arange(a, b + step_mm / 2, step_mm, dtype=np.float32) for a, b in zip(low_xyz, high_xyz, strict=True)]
    z, y, x = np.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return np.stack([x, y, z], axis=-1)


def capsule(points: Points, start: Point, stop: Point, radius: float, end_radius: float | None = None) -> Field:
    """Return the distance to a stick with round ends, whose radius may change along it."""
    a, b = np.array(start, np.float32), np.array(stop, np.float32)
    direction = b - a
    from_start = points - a
    along = np.clip((from_start @ direction) / max(float(direction @ direction), 1e-6), 0, 1)
    away = _length(*(from_start[..., axis] - along * direction[axis] for axis in range(3)))
    radii = radius + along * ((radius if end_radius is None else end_radius) - radius)
    return np.asarray(radii - away, dtype=np.float32)


def _length(x: Field, y: Field, z: Field) -> Field:
    """Return what `numpy.linalg.norm` returns of these components, to the bit: it is slow along an axis of three."""
    return np.asarray(np.sqrt(x * x + y * y + z * z), dtype=np.float32)


def ellipsoid(points: Points, centre: Point, radii: Point) -> Field:
    """Return about the distance to an ellipsoid: exact in sign, scaled by its smallest radius."""
    scaled = _length(*((points[..., axis] - np.float32(centre[axis])) / np.float32(radii[axis]) for axis in range(3)))
    return np.asarray((1 - scaled) * min(radii), dtype=np.float32)


def body(points: Points, width: float, depth: float, height: float, waist: float = 0.08) -> Field:
    """Return about the distance to a vertebral body at the origin: an elliptic cylinder, flat behind, with a waist."""
    x, y, z = np.moveaxis(points, -1, 0)
    level = np.clip(np.abs(z) / (height / 2), 0, 1)
    slim = 1 - waist * (1 - level**2)
    behind = np.where(y > 0, 0.85 * depth / 2, depth / 2)
    power = np.where(y > 0, 2.8, 2.1)
    round_mm = (np.abs(x) / (width / 2 * slim)) ** power + (np.abs(y) / (behind * slim)) ** power
    side = (1 - round_mm ** (1 / power)) * min(width, depth) / 2
    return np.asarray(np.minimum(side, height / 2 - np.abs(z)), dtype=np.float32)


def union(parts: Sequence[Field], blend_mm: float = 1.5) -> Field:
    """Return the union of solids, with fillets of about ``blend_mm`` where they meet."""
    result = parts[0]
    for part in parts[1:]:
        near = np.clip(0.5 + 0.5 * (result - part) / blend_mm, 0, 1)
        result = part + near * (result - part) + blend_mm * near * (1 - near)
    return np.asarray(result, dtype=np.float32)


def mirrored(solid: Field) -> Field:
    """Return a solid together with its mirror image at x = 0, on a lattice that is symmetric in x."""
    return np.maximum(solid, solid[..., ::-1])
