"""How well a surface keeps to the voxels that it was made from."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Affine, to_index
from cspine.surfaces.implicit import Mask
from cspine.surfaces.surface import Surface

#: Distances are exact up to this many voxels, far beyond the limit; larger ones are reported as this many.
_REACH = 1


@dataclass(frozen=True)
class Fidelity:
    """Volume and distances of a surface against the boundary of its voxels.

    Parameters
    ----------
    volume_mm3, label_volume_mm3 : float
        Enclosed volume, and volume of the voxels.
    distance_mean_voxels, distance_p95_voxels, distance_max_voxels : float
        Distance of the corners of the surface from the boundary of the voxels, in voxels along each axis: 0.5 is the
        centre of a voxel at the boundary.
    """

    volume_mm3: float
    label_volume_mm3: float
    distance_mean_voxels: float
    distance_p95_voxels: float
    distance_max_voxels: float

    @property
    def volume_change(self) -> float:
        """Relative change of the volume."""
        return self.volume_mm3 / self.label_volume_mm3 - 1


def fidelity_of(surface: Surface, mask_zyx: Mask, affine_lps: Affine) -> Fidelity:
    """Return how well a surface keeps to a mask.

    Parameters
    ----------
    surface : Surface
        The surface.
    mask_zyx : ndarray of bool, shape (z, y, x)
        The voxels.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) of the mask to millimetres (LPS).
    """
    distances = boundary_distances(to_index(affine_lps, surface.points_lps)[:, ::-1], mask_zyx)
    return Fidelity(
        volume_mm3=surface.volume_mm3,
        label_volume_mm3=float(mask_zyx.sum() * abs(np.linalg.det(affine_lps[:3, :3]))),
        distance_mean_voxels=float(distances.mean()),
        distance_p95_voxels=float(np.percentile(distances, 95)),
        distance_max_voxels=float(distances.max()),
    )


def boundary_distances(index_zyx: NDArray[np.float64], mask_zyx: Mask) -> NDArray[np.float64]:
    """Return the distance of points from the boundary between the voxels of a mask and others.

    Parameters
    ----------
    index_zyx : ndarray, shape (n, 3)
        Positions in voxels; voxel (0, 0, 0) reaches from -0.5 to 0.5.
    mask_zyx : ndarray of bool, shape (z, y, x)
        The mask.

    Returns
    -------
    ndarray, shape (n,)
        Voxels.
    """
    padded = np.pad(mask_zyx, _REACH)
    voxel = np.clip(np.rint(index_zyx).astype(int), 0, np.array(mask_zyx.shape) - 1)
    inside = mask_zyx[tuple(voxel.T)]
    nearest = np.full(len(index_zyx), float(_REACH))
    for offset in product(range(-_REACH, _REACH + 1), repeat=3):
        beside = voxel + offset
        away = np.linalg.norm(np.maximum(np.abs(index_zyx - beside) - 0.5, 0), axis=1)
        other = padded[tuple((beside + _REACH).T)] != inside
        np.minimum(nearest, away, out=nearest, where=other)
    return nearest
