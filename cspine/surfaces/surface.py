"""Closed surfaces of triangles, and how they are taken from a field."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import Vertebra
from cspine.core.geometry import to_lps
from cspine.surfaces.implicit import ImplicitSurface, without_zeros

Points = NDArray[np.float64]
Triangles = NDArray[np.int64]
_PROBE = 0.05


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a vertebra: closed, its triangles counter-clockwise seen from outside.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    points_lps : ndarray, shape (n, 3)
        Corners, millimetres (LPS).
    triangles : ndarray of int, shape (m, 3)
        Indices of corners.
    """

    vertebra: Vertebra
    points_lps: Points
    triangles: Triangles

    @property
    def volume_mm3(self) -> float:
        """Enclosed volume."""
        return enclosed_volume(self.points_lps, self.triangles)


def enclosed_volume(points: Points, triangles: Triangles) -> float:
    """Return the volume inside a closed surface, negative if its triangles face inwards.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Corners, millimetres.
    triangles : ndarray of int64, shape (m, 3)
        Indices of the corners of each triangle.

    Returns
    -------
    float
        Cubic millimetres.
    """
    a, b, c = (points[triangles[:, i]] - points.mean(axis=0) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def extract(implicit: ImplicitSurface, vertebra: Vertebra) -> Surface:
    """Return the zero level of a field as triangles (marching cubes, Lewiner 2003).

    Parameters
    ----------
    implicit : ImplicitSurface
        The field; its outermost samples are outside.
    vertebra : Vertebra
        The level.
    """
    from skimage.measure import marching_cubes

    index_zyx, triangles, _, _ = marching_cubes(implicit.field_zyx, 0.0)  # type: ignore[no-untyped-call]
    points = to_lps(implicit.affine_lps, index_zyx[:, ::-1].astype(np.float64))
    triangles = triangles.astype(np.int64)
    outward = enclosed_volume(points, triangles) > 0
    return Surface(vertebra, points, triangles if outward else np.ascontiguousarray(triangles[:, ::-1]))


def with_volume(implicit: ImplicitSurface, volume_mm3: float) -> ImplicitSurface:
    """Return a field that is raised or lowered a little, so that its surface encloses a volume (one secant step).

    Parameters
    ----------
    implicit : ImplicitSurface
        A field whose surface encloses almost that volume.
    volume_mm3 : float
        The volume.
    """
    own = _volume_at(implicit, 0.0)
    higher = _volume_at(implicit, _PROBE)
    if higher == own:
        return implicit
    shift = float(np.clip(_PROBE * (volume_mm3 - own) / (higher - own), -2 * _PROBE, 2 * _PROBE))
    return replace(implicit, field_zyx=without_zeros(implicit.field_zyx + np.float32(shift)))


def _volume_at(implicit: ImplicitSurface, shift: float) -> float:
    from skimage.measure import marching_cubes

    points, triangles, _, _ = marching_cubes(implicit.field_zyx, -shift)  # type: ignore[no-untyped-call]
    sample_mm3 = abs(float(np.linalg.det(implicit.affine_lps[:3, :3])))
    return abs(enclosed_volume(points.astype(np.float64), triangles)) * sample_mm3


def is_closed(triangles: Triangles) -> bool:
    """Return whether every edge belongs to two triangles that pass it in opposite directions.

    Parameters
    ----------
    triangles : ndarray of int64, shape (m, 3)
        Indices of the corners of each triangle.
    """
    edges = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    count = int(triangles.max(initial=0)) + 1
    forward = np.sort(edges[:, 0] * count + edges[:, 1])
    backward = np.sort(edges[:, 1] * count + edges[:, 0])
    return bool(len(edges) and np.array_equal(forward, backward) and (np.diff(forward) > 0).all())
