"""Improvement of poor tetrahedra: their inner nodes move to where the worst element around them is better."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cspine.surfaces.implicit import ImplicitSurface
from cspine.surfaces.quality import boundary_faces, scaled_jacobians
from cspine.surfaces.stuffing import Tetrahedra, TetrahedralMesh, sampled
from cspine.surfaces.surface import Points

#: Elements below this scaled Jacobian are improved, in so many rounds.
_TARGET, _ROUNDS = 0.3, 4
#: Steps as a share of the shortest edge at a node.
_STEPS = (0.3, 0.15, 0.07)
_DIRECTIONS = np.array([d for d in product((-1, 0, 1), repeat=3) if any(d)], dtype=np.float64)
_MOVES = np.concatenate([s * _DIRECTIONS / np.linalg.norm(_DIRECTIONS, axis=1, keepdims=True) for s in _STEPS])


def relaxed(mesh: TetrahedralMesh, implicit: ImplicitSurface) -> TetrahedralMesh:
    """Return a mesh with the same elements whose poor ones are better; no element gets worse than the worst around it.

    Nodes on the surface stay on it: they slide.

    Parameters
    ----------
    mesh : TetrahedralMesh
        Tetrahedra with positive volumes.
    implicit : ImplicitSurface
        The field that they fill.
    """
    points, cells = mesh.points_lps.copy(), mesh.tetrahedra
    if not len(cells):
        return mesh
    outer = np.zeros(len(points), dtype=np.bool_)
    outer[boundary_faces(cells)] = True
    for _ in range(_ROUNDS):
        poor = cells[scaled_jacobians(points, cells) < _TARGET]
        nodes = np.unique(poor)
        if not len(nodes):
            break
        around = _cells_around(nodes, cells)
        for node in nodes:
            _move(node, points, cells[around[node]], implicit if outer[node] else None)
    return TetrahedralMesh(points, cells)


def _cells_around(nodes: NDArray[np.int64], cells: Tetrahedra) -> dict[int, list[int]]:
    chosen = np.flatnonzero(np.isin(cells, nodes).any(axis=1))
    around: dict[int, list[int]] = defaultdict(list)
    for row in chosen:
        for node in cells[row]:
            around[int(node)].append(int(row))
    return around


def _move(node: int, points: Points, around: Tetrahedra, implicit: ImplicitSurface | None) -> None:
    """Move a node to the best of some places near it, if one is better than its own."""
    corners = points[around]
    own = around == node
    edges = np.linalg.norm(corners - points[node], axis=2)
    shortest = float(edges[~own].min())
    places = np.concatenate([points[node][None], points[node] + shortest * _MOVES])
    if implicit is not None:
        places[1:] = _onto_surface(places[1:], implicit, shortest)
    tried = np.repeat(corners[None], len(places), axis=0)
    tried[:, own] = places[:, None]
    count = len(places) * len(around)
    quality = scaled_jacobians(tried.reshape(-1, 3), np.arange(4 * count).reshape(count, 4))
    worst = quality.reshape(len(places), len(around)).min(axis=1)
    best = int(np.argmax(worst))
    if worst[best] > worst[0] + 1e-6:
        points[node] = places[best]


def _onto_surface(places: Points, implicit: ImplicitSurface, reach_mm: float) -> Points:
    """Return places moved along the gradient of the field to its zero level (two steps of Newton's method)."""
    step = 0.25 * reach_mm
    axes = step * np.eye(3)
    for _ in range(2):
        probes: Sequence[Points] = [places, *(places + axis for axis in axes), *(places - axis for axis in axes)]
        values = sampled(implicit, np.concatenate(probes)).reshape(7, -1)
        gradient = ((values[1:4] - values[4:7]) / (2 * step)).T
        shift = values[0] / np.maximum((gradient**2).sum(axis=1), 1e-9)
        away = np.clip(np.linalg.norm(gradient, axis=1) * shift, -reach_mm, reach_mm)
        places = places - away[:, None] * gradient / np.linalg.norm(gradient, axis=1, keepdims=True).clip(1e-9)
    return places
