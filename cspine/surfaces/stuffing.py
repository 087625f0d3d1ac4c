"""Tetrahedra that fill a field: isosurface stuffing (Labelle and Shewchuk, ACM Trans. Graph. 26:57, 2007).

A body-centred cubic lattice of tetrahedra is cut at the surface, after its vertices near the surface have been moved
onto it, so that no cut leaves a sliver. It is fast, needs no surface mesh, and gives the same result on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cspine.core.geometry import to_index, to_lps
from cspine.surfaces.implicit import ImplicitSurface
from cspine.surfaces.surface import Points

Tetrahedra = NDArray[np.int64]
Values = NDArray[np.float64]

#: A vertex moves onto the surface if that is nearer than this share of an edge: long edges of the lattice, short ones.
_WARP_LONG, _WARP_SHORT = 0.24999, 0.41189
_SHORT_EDGE = float(np.sqrt(3) / 2)
_ROOT_STEPS = 8
_EDGES = np.array([[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]])


@dataclass(frozen=True, eq=False)
class TetrahedralMesh:
    """A mesh of linear tetrahedra.

    Parameters
    ----------
    points_lps : ndarray, shape (n, 3)
        Nodes, millimetres (LPS).
    tetrahedra : ndarray of int, shape (m, 4)
        Indices of nodes; the fourth lies on the side from which the first three are seen clockwise, so that volumes
        are positive as solvers expect.
    """

    points_lps: Points
    tetrahedra: Tetrahedra


def stuff(implicit: ImplicitSurface, edge_mm: float) -> TetrahedralMesh:
    """Return the largest connected part of the inside of a field as tetrahedra.

    Parameters
    ----------
    implicit : ImplicitSurface
        The field.
    edge_mm : float
        Length of the long edges of the lattice; the short ones are 0.87 times as long.

    Returns
    -------
    TetrahedralMesh
        Empty if the lattice has no vertex inside.
    """
    corners = to_lps(implicit.affine_lps, _corner_indices(implicit))
    low, high = corners.min(axis=0) - edge_mm, corners.max(axis=0) + edge_mm  # the outermost half cells stay empty
    lattice, cells = _lattice(np.ceil((high - low) / edge_mm).astype(int) + 1)
    points = low + edge_mm * lattice
    values = sampled(implicit, points)
    near = (values[cells] > 0).any(axis=1)
    used, cells = np.unique(cells[near], return_inverse=True)
    points, values, cells = points[used], values[used], cells.reshape(-1, 4)
    edges = _crossed(cells, values)
    if not len(edges):
        return TetrahedralMesh(np.empty((0, 3)), np.empty((0, 4), dtype=np.int64))
    cuts = _roots(implicit, points, values, edges)
    points, values = _warped(points, values, edges, cuts, edge_mm)
    points, tetrahedra = _clipped(points, values, cells, edges, cuts)
    return _compacted(points, _outward(points, _largest_part(tetrahedra)))


def sampled(implicit: ImplicitSurface, points_lps: Points) -> Values:
    """Return the value of a field at points, interpolated linearly; outside the field its outermost values.

    Parameters
    ----------
    implicit : ImplicitSurface
        The field with its affine.
    points_lps : ndarray, shape (n, 3)
        Millimetres in LPS.

    Returns
    -------
    ndarray of float64, shape (n,)
        One value for each point.
    """
    index_zyx = to_index(implicit.affine_lps, points_lps)[:, ::-1]
    return np.asarray(
        ndimage.map_coordinates(implicit.field_zyx, index_zyx.T, order=1, mode="nearest"), dtype=np.float64
    )


def _corner_indices(implicit: ImplicitSurface) -> Points:
    z, y, x = (n - 1 for n in implicit.field_zyx.shape)
    return np.array([[i, j, k] for i in (0, x) for j in (0, y) for k in (0, z)], dtype=np.float64)


def _lattice(count: NDArray[np.int_]) -> tuple[Points, Tetrahedra]:
    """Return the vertices of a body-centred cubic lattice of so many unit cubes, and its tetrahedra.

    Each joins the centres of two cubes that share a face with one edge of that face.
    """
    corners = np.stack(np.meshgrid(*(np.arange(n + 1) for n in count), indexing="ij"), axis=-1).reshape(-1, 3)
    centres = np.stack(np.meshgrid(*(np.arange(n) for n in count), indexing="ij"), axis=-1).reshape(-1, 3)
    corner_of = np.arange(len(corners)).reshape(count + 1)
    centre_of = len(corners) + np.arange(len(centres)).reshape(count)
    cells = []
    for axis in range(3):
        first, second = (np.moveaxis(a, axis, 0) for a in (centre_of, corner_of))
        before, behind, face = first[:-1], first[1:], second[1:-1]
        ring = [face[:, :-1, :-1], face[:, 1:, :-1], face[:, 1:, 1:], face[:, :-1, 1:]]
        cells += [np.stack([before, behind, ring[k], ring[(k + 1) % 4]], axis=-1).reshape(-1, 4) for k in range(4)]
    return np.concatenate([corners, centres + 0.5]), np.concatenate(cells)


def _crossed(cells: Tetrahedra, values: Values) -> NDArray[np.int64]:
    """Return the edges between a vertex inside (first) and one outside, sorted, each once."""
    ends = cells[:, _EDGES].reshape(-1, 2)
    inside = values > 0
    ends = ends[inside[ends[:, 0]] != inside[ends[:, 1]]]
    ends = np.where(inside[ends[:, :1]], ends, ends[:, ::-1])
    keys = np.unique(ends[:, 0] * len(values) + ends[:, 1])
    return np.stack([keys // len(values), keys % len(values)], axis=1)


def _roots(implicit: ImplicitSurface, points: Points, values: Values, edges: NDArray[np.int64]) -> Points:
    """Return where the surface crosses each edge (bisection, then one linear step)."""
    inner, outer = points[edges[:, 0]].copy(), points[edges[:, 1]].copy()
    at_inner, at_outer = values[edges[:, 0]].copy(), values[edges[:, 1]].copy()
    for _ in range(_ROOT_STEPS):
        middle = (inner + outer) / 2
        at_middle = sampled(implicit, middle)
        inside = at_middle > 0
        inner[inside], at_inner[inside] = middle[inside], at_middle[inside]
        outer[~inside], at_outer[~inside] = middle[~inside], at_middle[~inside]
    share = at_inner / (at_inner - at_outer)
    return inner + share[:, None] * (outer - inner)


def _warped(
    points: Points, values: Values, edges: NDArray[np.int64], cuts: Points, edge_mm: float
) -> tuple[Points, Values]:
    """Return vertices and values after those near the surface have been moved onto it, where the value is 0."""
    lengths = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1)
    limit = lengths * np.where(lengths > edge_mm * (1 + _SHORT_EDGE) / 2, _WARP_LONG, _WARP_SHORT)
    away = np.stack([np.linalg.norm(points[edges[:, side]] - cuts, axis=1) for side in (0, 1)], axis=1)
    edge, side = np.nonzero(away < limit[:, None])
    order = np.argsort(away[edge, side], kind="stable")
    points, values = points.copy(), values.copy()
    for k in order:
        here, there = edges[edge[k], side[k]], edges[edge[k], 1 - side[k]]
        # Once an end lies on the surface, its edges are no longer cut.
        if values[here] != 0 and values[there] != 0:
            points[here], values[here] = cuts[edge[k]], 0.0
    return points, values


def _clipped(
    points: Points, values: Values, cells: Tetrahedra, edges: NDArray[np.int64], cuts: Points
) -> tuple[Points, Tetrahedra]:
    """Return vertices with cut points, and the parts of the cells that lie inside.

    Where a cut leaves a quadrilateral, its diagonal starts at the deeper vertex: both cells that share it agree.
    """
    count = len(points)
    keys = edges[:, 0] * count + edges[:, 1]

    def cut(inner: NDArray[np.int64], outer: NDArray[np.int64]) -> NDArray[np.int64]:
        return count + np.searchsorted(keys, inner * count + outer)

    def end(inner: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
        on_surface = values[other] == 0
        return np.where(on_surface, other, cut(inner, np.where(on_surface, edges[0, 1], other)))

    deepest_first = np.lexsort((cells, -values[cells]), axis=1)
    cells = np.take_along_axis(cells, deepest_first, axis=1)
    plus, minus = (values[cells] > 0).sum(axis=1), (values[cells] < 0).sum(axis=1)
    parts = [cells[(minus == 0) & (plus > 0)]]
    a, b, c, d = cells[(plus == 1) & (minus > 0)].T
    parts.append(np.stack([a, end(a, b), end(a, c), end(a, d)], axis=1))
    a, b, c, d = cells[(plus == 2) & (minus == 1)].T
    parts += [np.stack([a, b, cut(b, d), c], axis=1), np.stack([a, cut(b, d), cut(a, d), c], axis=1)]
    a, b, c, d = cells[(plus == 2) & (minus == 2)].T
    quad = [cut(a, c), cut(b, c), cut(b, d), cut(a, d)]
    everywhere = np.concatenate([points, cuts])
    short = np.linalg.norm(everywhere[quad[0]] - everywhere[quad[2]], axis=1) <= np.linalg.norm(
        everywhere[quad[1]] - everywhere[quad[3]], axis=1
    )
    parts.append(np.stack([a, b, quad[1], quad[2]], axis=1))
    parts.append(np.stack([a, quad[0], quad[1], np.where(short, quad[2], quad[3])], axis=1))
    parts.append(np.stack([a, np.where(short, quad[0], quad[1]), quad[2], quad[3]], axis=1))
    a, b, c, d = cells[(plus == 3) & (minus == 1)].T
    ends = cut(a, d), cut(b, d), cut(c, d)
    parts += [np.stack([a, b, c, ends[2]], axis=1), np.stack([a, b, ends[2], ends[1]], axis=1)]
    parts.append(np.stack([a, ends[1], ends[2], ends[0]], axis=1))
    return everywhere, np.concatenate(parts)


def _largest_part(tetrahedra: Tetrahedra) -> Tetrahedra:
    """Return the largest set of tetrahedra that are connected by faces."""
    if not len(tetrahedra):
        return tetrahedra
    faces = np.sort(tetrahedra[:, [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]].reshape(-1, 3), axis=1)
    owner = np.repeat(np.arange(len(tetrahedra)), 4)
    order = np.lexsort(faces.T)
    same = (faces[order[1:]] == faces[order[:-1]]).all(axis=1)
    pairs = owner[order[:-1][same]], owner[order[1:][same]]
    links = coo_array((np.ones(len(pairs[0])), pairs), shape=(len(tetrahedra), len(tetrahedra)))
    _, part = connected_components(links, directed=False)
    return np.asarray(tetrahedra[part == np.argmax(np.bincount(part))])


def _outward(points: Points, tetrahedra: Tetrahedra) -> Tetrahedra:
    """Return tetrahedra whose nodes are in the order that gives positive volumes."""
    a, b, c, d = (points[tetrahedra[:, i]] for i in range(4))
    negative = np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) < 0
    return np.where(negative[:, None], tetrahedra[:, [0, 2, 1, 3]], tetrahedra)


def _compacted(points: Points, tetrahedra: Tetrahedra) -> TetrahedralMesh:
    used, renumbered = np.unique(tetrahedra, return_inverse=True)
    return TetrahedralMesh(points[used], renumbered.reshape(-1, 4).astype(np.int64))
