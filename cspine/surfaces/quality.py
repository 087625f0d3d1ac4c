"""Quality of tetrahedra: the scaled Jacobian, and the improvement of poor elements by moving their nodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cspine.surfaces.stuffing import Tetrahedra, TetrahedralMesh, Values
from cspine.surfaces.surface import Points

#: What a mesh must keep: the smallest scaled Jacobian, and the largest share of elements below the second limit.
MIN_SCALED_JACOBIAN = 0.1
POOR_SCALED_JACOBIAN = 0.2
MAX_POOR_SHARE = 0.01


@dataclass(frozen=True)
class MeshQuality:
    """Statistics of the elements of a mesh.

    Parameters
    ----------
    nodes, elements : int
        Numbers of corner nodes and of elements.
    inverted : int
        Elements whose volume is not positive.
    min_scaled_jacobian, median_scaled_jacobian : float
        1 for a regular tetrahedron.
    poor_share : float
        Share of elements below `POOR_SCALED_JACOBIAN`.
    mean_edge_mm : float
        Mean length of edges.
    volume_mm3 : float
        Volume of all elements.
    """

    nodes: int
    elements: int
    inverted: int
    min_scaled_jacobian: float
    median_scaled_jacobian: float
    poor_share: float
    mean_edge_mm: float
    volume_mm3: float

    @property
    def is_acceptable(self) -> bool:
        """Whether no element is inverted or below the limits."""
        good = self.inverted == 0 and self.min_scaled_jacobian >= MIN_SCALED_JACOBIAN
        return good and self.poor_share < MAX_POOR_SHARE


def quality_of(mesh: TetrahedralMesh) -> MeshQuality:
    """Return the statistics of a mesh that has elements.

    Parameters
    ----------
    mesh : TetrahedralMesh
        A mesh in millimetres with at least one element.
    """
    points, cells = mesh.points_lps, mesh.tetrahedra
    jacobians, volumes = scaled_jacobians(points, cells), volumes_of(points, cells)
    edges = np.unique(np.sort(cells[:, [[0, 1], [0, 2], [0, 3], [1, 2], [1, 3], [2, 3]]].reshape(-1, 2)), axis=0)
    return MeshQuality(
        nodes=len(points),
        elements=len(cells),
        inverted=int((volumes <= 0).sum()),
        min_scaled_jacobian=float(jacobians.min()),
        median_scaled_jacobian=float(np.median(jacobians)),
        poor_share=float((jacobians < POOR_SCALED_JACOBIAN).mean()),
        mean_edge_mm=float(np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1).mean()),
        volume_mm3=float(volumes.sum()),
    )


def volumes_of(points: Points, cells: Tetrahedra) -> Values:
    """Return the signed volume of each tetrahedron.

    Parameters
    ----------
    points : ndarray of float64, shape (n, 3)
        Nodes, millimetres.
    cells : ndarray of int64, shape (m, 4)
        Indices of the corners of each tetrahedron.

    Returns
    -------
    ndarray of float64, shape (m,)
        Cubic millimetres, negative for an inverted element.
    """
    a, b, c, d = (points[cells[:, i]] for i in range(4))
    return np.asarray(np.einsum("ij,ij->i", np.cross(b - a, c - a), d - a) / 6)


def scaled_jacobians(points: Points, cells: Tetrahedra) -> Values:
    """Return the scaled Jacobian of each tetrahedron, as Verdict defines it (Sandia report SAND2007-1751).

    Parameters
    ----------
    points : ndarray, shape (n, 3)
        Nodes.
    cells : ndarray of int, shape (m, 4)
        Tetrahedra.

    Returns
    -------
    ndarray, shape (m,)
        From -1 to 1; 1 for a regular tetrahedron, 0 for a flat one.
    """
    corner = points[cells]
    length = np.linalg.norm(corner[:, :, None] - corner[:, None], axis=-1)
    others = [[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]]
    products = np.stack([length[:, i, o].prod(axis=1) for i, o in enumerate(others)], axis=1)
    return np.asarray(np.sqrt(2) * 6 * volumes_of(points, cells) / products.max(axis=1).clip(1e-30))


def boundary_faces(cells: Tetrahedra) -> NDArray[np.int64]:
    """Return the faces that belong to one tetrahedron, counter-clockwise seen from outside, shape (k, 3).

    Parameters
    ----------
    cells : ndarray of int64, shape (m, 4)
        Indices of the corners of each tetrahedron.
    """
    faces = cells[:, [[1, 2, 3], [0, 3, 2], [0, 1, 3], [0, 2, 1]]].reshape(-1, 3)
    _, first, count = np.unique(np.sort(faces, axis=1), axis=0, return_index=True, return_counts=True)
    return np.asarray(faces[np.sort(first[count == 1])])
