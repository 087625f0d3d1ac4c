"""A model with the numbers that a solver gives its nodes and elements: from 1, one sequence over all parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.surfaces.fe_model import FeModel, FePart
from cspine.surfaces.surface import Points

Indices = NDArray[np.int64]
#: The edges that carry the nodes 5 to 10 of a tetrahedron, in the order of all four programs.
MIDSIDE_EDGES = np.array([[0, 1], [1, 2], [0, 2], [0, 3], [1, 3], [2, 3]])
G_CM3_TO_TONNE_MM3 = 1e-9


@dataclass(frozen=True, eq=False)
class NumberedPart:
    """A part with its numbers.

    Parameters
    ----------
    part : FePart
        The part.
    points_lps : ndarray, shape (n, 3)
        Its nodes, midside nodes last.
    first_node, first_element : int
        Number of its first node and element.
    cells : ndarray of int, shape (m, 4 or 10)
        Numbers of the nodes of each element.
    """

    part: FePart
    points_lps: Points
    first_node: int
    first_element: int
    cells: Indices

    @property
    def node_numbers(self) -> Indices:
        """Number of each node."""
        return self.first_node + np.arange(len(self.points_lps))

    @property
    def element_numbers(self) -> Indices:
        """Number of each element."""
        return self.first_element + np.arange(len(self.cells))

    def node_sets(self) -> Iterator[tuple[str, Indices]]:
        """Yield the name and the node numbers of each set of the part; midside nodes of its faces included."""
        for name, nodes in self.part.node_sets.items():
            yield f"{self.part.name}_{name}", self.first_node + self._with_midside(nodes, self.part.regions[name])

    def element_sets(self) -> Iterator[tuple[str, Indices]]:
        """Yield the name and the element numbers of each set of the part."""
        for name, elements in self.part.element_sets.items():
            yield f"{self.part.name}_{name}", self.first_element + elements

    def material_groups(self) -> Iterator[tuple[str, int, Indices]]:
        """Yield a name, the index of the material and the rows of the elements of each group."""
        for i, material in enumerate(self.part.materials):
            yield f"{self.part.name}_{material.name}", i, np.flatnonzero(self.part.group == i)

    def _with_midside(self, nodes: Indices, faces: Indices) -> Indices:
        if self.cells.shape[1] == 4:
            return nodes
        triangles = self.part.faces[faces]
        edges = np.sort(triangles[:, [[0, 1], [1, 2], [0, 2]]].reshape(-1, 2), axis=1)
        corners = np.sort(self.part.mesh.tetrahedra[:, MIDSIDE_EDGES].reshape(-1, 2), axis=1)
        count = len(self.points_lps)
        keys, first = np.unique(corners[:, 0] * count + corners[:, 1], return_index=True)
        at = np.searchsorted(keys, np.unique(edges[:, 0] * count + edges[:, 1]))
        middle = self.cells[:, 4:].ravel()[first[at]] - self.first_node
        return np.concatenate([nodes, np.sort(middle)])


def numbered(model: FeModel, order: int) -> list[NumberedPart]:
    """Return the parts of a model with numbers.

    Parameters
    ----------
    model : FeModel
        The model.
    order : int
        1, or 2 for elements with nodes in the middle of their straight edges.
    """
    parts: list[NumberedPart] = []
    node, element = 1, 1
    for part in model.parts:
        points, cells = part.mesh.points_lps, part.mesh.tetrahedra
        if order == 2:
            points, cells = with_midside_nodes(points, cells)
        parts.append(NumberedPart(part, points, node, element, cells + node))
        node, element = node + len(points), element + len(cells)
    return parts


def with_midside_nodes(points: Points, cells: Indices) -> tuple[Points, Indices]:
    """Return tetrahedra with 10 nodes: a node in the middle of each edge is added.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Nodes, millimetres.
    cells : ndarray of int64, shape (m, 4)
        Indices of the nodes of each tetrahedron.

    Returns
    -------
    points : ndarray of float64, shape (n + edges, 3)
        The nodes, those of the edges last.
    cells : ndarray of int64, shape (m, 10)
        Indices of the nodes: the corners, then the edges as in `MIDSIDE_EDGES`.
    """
    edges = np.sort(cells[:, MIDSIDE_EDGES].reshape(-1, 2), axis=1)
    unique, index = np.unique(edges, axis=0, return_inverse=True)
    return (
        np.concatenate([points, points[unique].mean(axis=1)]),
        np.concatenate([cells, len(points) + index.reshape(-1, len(MIDSIDE_EDGES))], axis=1),
    )


def rows(numbers: Indices, width: int) -> Iterator[str]:
    """Yield lines of so many numbers, separated by commas.

    Parameters
    ----------
    numbers : ndarray of int64, shape (n,)
        The numbers.
    width : int
        Numbers on a line.
    """
    for start in range(0, len(numbers), width):
        yield ", ".join(str(number) for number in numbers[start : start + width])
