"""Triangle meshes of bones: reading them, and the signed distance to their surface on a lattice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.errors import AtlasError

Field = NDArray[np.float32]
Points = NDArray[np.float64]

_SMOOTHING_VOXELS = 0.7
_CLOSING_VOXELS = 2


@dataclass(frozen=True, eq=False)
class Mesh:
    """A surface of triangles.

    Parameters
    ----------
    corners : ndarray of float, shape (n, 3)
        Coordinates (x, y, z) in millimetres.
    triangles : ndarray of int, shape (m, 3)
        Indices of corners.
    """

    corners: Points
    triangles: NDArray[np.int64]

    def moved(self, origin_mm: Points, axes: Points) -> Mesh:
        """Return the mesh in the frame whose origin and axes (columns) are given."""
        return Mesh((self.corners - origin_mm) @ axes, self.triangles)


def read_obj(path: Path) -> Mesh:
    """Read the triangles of a Wavefront OBJ file; polygons are cut into fans.

    Raises
    ------
    AtlasError
        If the file is absent or holds no mesh.
    """
    corners, triangles = [], []
    try:
        for line in path.read_text(encoding="ascii").splitlines():
            kind, *values = line.split() or [""]
            if kind == "v":
                corners.append([float(v) for v in values[:3]])
            elif kind == "f":
                corner = [int(v.split("/")[0]) - 1 for v in values]
                triangles += [[corner[0], corner[i], corner[i + 1]] for i in range(1, len(corner) - 1)]
        mesh = Mesh(np.array(corners, dtype=np.float64), np.array(triangles, dtype=np.int64))
        if not len(triangles) or mesh.triangles.max() >= len(corners):
            raise ValueError
    except (OSError, ValueError) as error:
        raise AtlasError(f"{path.name} is absent or not an OBJ mesh") from error
    return mesh


def signed_distance_lattice(mesh: Mesh, step_mm: float, margin_mm: float) -> tuple[Field, Points]:
    """Return the signed distance to a mesh's surface on a lattice around it.

    Parameters
    ----------
    mesh : Mesh
        Small holes in it are closed.
    step_mm : float
        Spacing of the lattice.
    margin_mm : float
        How far the lattice reaches beyond the mesh.

    Returns
    -------
    distance_mm : ndarray of float32, shape (z, y, x)
        Positive inside, millimetres.
    low_xyz : ndarray, shape (3,)
        Coordinates of the first point of the lattice.

    Raises
    ------
    AtlasError
        If the mesh encloses nothing.
    """
    low = np.floor(mesh.corners.min(axis=0) - margin_mm)
    high = np.ceil(mesh.corners.max(axis=0) + margin_mm)
    shape = tuple(int(n) for n in np.round((high - low) / step_mm)[::-1] + 1)
    corners = (mesh.corners - low) / step_mm
    # Rays along each axis vote: a hole in the surface spoils the rays of one axis at a place, seldom of two.
    votes = np.zeros(shape, dtype=np.uint8)
    for axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        inside = fill(corners[:, axes], mesh.triangles, tuple(shape[2 - axis] for axis in reversed(axes)))
        votes += np.moveaxis(inside, (0, 1, 2), tuple(2 - axis for axis in reversed(axes)))
    solid = ndimage.binary_closing(votes >= 2, iterations=_CLOSING_VOXELS)
    pieces, count = ndimage.label(solid)
    if not count:
        raise AtlasError("a mesh encloses nothing")
    solid = pieces == int(np.argmax(np.bincount(pieces.ravel())[1:])) + 1
    distance = np.where(
        solid, ndimage.distance_transform_edt(solid) - 0.5, 0.5 - ndimage.distance_transform_edt(~solid)
    )
    smooth = ndimage.gaussian_filter(distance.astype(np.float32), _SMOOTHING_VOXELS)
    return np.asarray(smooth * np.float32(step_mm), dtype=np.float32), low


def fill(corners: Points, triangles: NDArray[np.int64], shape_zyx: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return the points of a unit lattice with an odd number of a surface's crossings below them.

    Parameters
    ----------
    corners : ndarray, shape (n, 3)
        Coordinates (x, y, z) in steps of the lattice.
    triangles : ndarray of int, shape (m, 3)
        Indices of corners.
    shape_zyx : tuple of int
        Shape of the lattice.
    """
    crossings = np.zeros(shape_zyx, dtype=np.int16)
    # A hair off the lattice, so that no vertical line meets an edge exactly.
    for a, b, c in (corners + np.array([1.3e-4, 2.1e-4, 0.0]))[triangles]:
        x0, y0 = np.ceil(np.minimum(np.minimum(a, b), c)[:2]).astype(int)
        x1, y1 = np.floor(np.maximum(np.maximum(a, b), c)[:2]).astype(int)
        if x1 < x0 or y1 < y0:
            continue
        area = (b[0] - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (b[1] - a[1])
        if area == 0:
            continue
        x, y = np.meshgrid(np.arange(x0, x1 + 1), np.arange(y0, y1 + 1))
        v = ((x - a[0]) * (c[1] - a[1]) - (c[0] - a[0]) * (y - a[1])) / area
        w = ((b[0] - a[0]) * (y - a[1]) - (x - a[0]) * (b[1] - a[1])) / area
        hit = (v >= 0) & (w >= 0) & (v + w <= 1)
        z = np.ceil(a[2] + v * (b[2] - a[2]) + w * (c[2] - a[2])).astype(int)
        z = np.clip(z, 0, shape_zyx[0] - 1)
        np.add.at(crossings, (z[hit], y[hit], x[hit]), 1)
    return np.asarray(np.cumsum(crossings, axis=0) % 2 == 1)
