"""Intervertebral discs: the space between the end plates of two neighbours, as tetrahedra."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator, NearestNDInterpolator
from scipy.spatial import ConvexHull, QhullError

from cspine.surfaces.frame import VertebraFrame
from cspine.surfaces.implicit import ImplicitSurface, without_zeros
from cspine.surfaces.quality import boundary_faces
from cspine.surfaces.regions import ENDPLATE_INF, ENDPLATE_SUP
from cspine.surfaces.relax import relaxed
from cspine.surfaces.stuffing import TetrahedralMesh, Values, stuff
from cspine.surfaces.surface import Points, Triangles

#: A disc thinner than this in its middle is a fusion, or an overlap of labels.
MIN_DISC_MM = 1.0
#: Samples of the disc's field, as a share of the edge length, and its margin.
_SAMPLE_SHARE, _MARGIN_MM = 0.5, 2.0
_FACING = 0.5


def disc_mesh(
    upper_lps: Points, lower_lps: Points, frame: VertebraFrame, edge_mm: float
) -> tuple[TetrahedralMesh, Triangles, dict[str, NDArray[np.int64]]] | None:
    """Return a disc that fills the space between two end plates, where both face each other.

    Parameters
    ----------
    upper_lps, lower_lps : ndarray, shape (n, 3)
        Nodes of the lower end plate of the upper vertebra, and of the upper one of the lower.
    frame : VertebraFrame
        Axes of the lower vertebra.
    edge_mm : float
        Length of edges; it is reduced in a thin disc.

    Returns
    -------
    mesh, faces, regions
        Its outer faces, and those that touch the upper and lower end plate; None if the space is no disc.
    """
    upper, lower = frame.coordinates(upper_lps), frame.coordinates(lower_lps)
    try:
        hulls = [ConvexHull(plate[:, :2]) for plate in (upper, lower)]
    except (QhullError, ValueError):
        return None
    middle = (upper.mean(axis=0) + lower.mean(axis=0)) / 2
    top, bottom = _height(upper), _height(lower)
    thickness = float(top(middle[None, :2])[0] - bottom(middle[None, :2])[0])
    if thickness < MIN_DISC_MM:
        return None
    edge_mm = min(edge_mm, thickness / 2)
    implicit = _disc_field(upper, lower, (hulls, top, bottom), frame, edge_mm)
    mesh = relaxed(stuff(implicit, edge_mm), implicit)
    if not len(mesh.tetrahedra):
        return None
    faces = boundary_faces(mesh.tetrahedra)
    a, b, c = (mesh.points_lps[faces[:, i]] for i in range(3))
    normal = np.cross(b - a, c - a)
    upward = normal @ frame.up / np.linalg.norm(normal, axis=1).clip(1e-12)
    regions = {ENDPLATE_SUP: np.flatnonzero(upward > _FACING), ENDPLATE_INF: np.flatnonzero(upward < -_FACING)}
    return mesh, faces, regions


class _Heights:
    """The height of an end plate by its position: interpolated between its nodes, constant beyond them."""

    def __init__(self, plate: Points) -> None:
        self._within = LinearNDInterpolator(plate[:, :2], plate[:, 2])
        self._beyond = NearestNDInterpolator(plate[:, :2], plate[:, 2])

    def __call__(self, flat: Points) -> Values:
        height = np.asarray(self._within(flat), dtype=np.float64)
        return np.where(np.isnan(height), self._beyond(flat), height)


def _height(plate: Points) -> _Heights:
    return _Heights(plate)


def _disc_field(
    upper: Points,
    lower: Points,
    shape: tuple[list[ConvexHull], _Heights, _Heights],
    frame: VertebraFrame,
    edge_mm: float,
) -> ImplicitSurface:
    """Return the distance to the nearest of both plates and of the rim, on samples along the axes of the vertebra."""
    hulls, top, bottom = shape
    both = np.concatenate([upper, lower])
    step = _SAMPLE_SHARE * edge_mm
    low, high = both.min(axis=0) - _MARGIN_MM, both.max(axis=0) + _MARGIN_MM
    left, front, height = (np.arange(low[i], high[i] + step, step) for i in range(3))
    flat = np.stack(np.meshgrid(left, front, indexing="ij"), axis=-1).reshape(-1, 2)
    rim = np.min([-(flat @ h.equations[:, :2].T + h.equations[:, 2]).max(axis=1) for h in hulls], axis=0)
    above = top(flat)[:, None] - height
    below = height - bottom(flat)[:, None]
    inside = np.minimum(np.minimum(above, below), rim[:, None]).reshape(len(left), len(front), len(height))
    field = without_zeros(np.ascontiguousarray(inside.transpose(2, 1, 0), dtype=np.float32))
    field[[0, -1]] = np.minimum(field[[0, -1]], -step)
    affine = np.eye(4)
    axes = np.stack([frame.left, frame.anterior, frame.up], axis=1)
    affine[:3, :3] = axes * step
    affine[:3, 3] = frame.origin_lps + axes @ np.array([left[0], front[0], height[0]])
    return ImplicitSurface(field, affine, np.ones(3, dtype=int))
