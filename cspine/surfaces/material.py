"""Bone as an elastic material whose modulus follows from Hounsfield units, element by element.

Apparent density: Rho, Hobatho and Ashman, Med Eng Phys 17:347 (1995), for lumbar vertebrae. Modulus: Morgan, Bayraktar
and Keaveny, J Biomech 36:897 (2003), for trabecular bone of vertebrae. Both were measured on other scanners than the
user's: a scanner that was calibrated with a phantom gives its own line from HU to density. No constant was read in the
paper that it is named after: docs/guide/surfaces.md says who quotes it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import Vertebra
from cspine.core.errors import OtherImageError
from cspine.core.geometry import to_index, to_lps
from cspine.core.shape import label_boxes, vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.surfaces.fe_settings import DENSITY_INTERCEPT, DENSITY_SLOPE
from cspine.surfaces.stuffing import Values
from cspine.surfaces.surface import Points

#: Modulus in MPa = factor * density ** exponent.
MODULUS_FACTOR, MODULUS_EXPONENT = 4730.0, 1.56
POISSON_RATIO = 0.3
#: Fat and air of partial volumes have no bone's density, and metal none at all.
MIN_DENSITY, MAX_DENSITY = 0.05, 2.0
#: Beyond this share of limited elements, a line from HU to density is in other units, or of another image.
MAX_CLIPPED_SHARE = 0.5
#: Without a CT: cortical and trabecular bone as Kumaresan, Yoganandan and Pintar took them, J Biomech 32:207 (1999).
CORTICAL_MPA, TRABECULAR_MPA = 12000.0, 100.0
CORTICAL_DENSITY, TRABECULAR_DENSITY = 1.8, 0.2
#: Intervertebral disc as one linear material, a placeholder that an analysis replaces.
DISC_MPA, DISC_POISSON_RATIO, DISC_DENSITY = 3.4, 0.4, 1.05
_ROUNDING = 1e-3  # of affines that files store in single precision, voxels
_CORNER_SHARE = 0.5854  # Keast's four points: exact for quadratic functions over a tetrahedron


@dataclass(frozen=True)
class Material:
    """A linear elastic material.

    Parameters
    ----------
    name : str
        Name in the files.
    modulus_mpa, poisson_ratio, density_g_cm3 : float
        Its constants.
    """

    name: str
    modulus_mpa: float
    poisson_ratio: float
    density_g_cm3: float


def require_imaged(ct: CtVolume, labels: LabelVolume, levels: Iterable[Vertebra]) -> None:
    """Refuse an image that does not show every voxel of some levels: nothing is known about the bone there.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Labels on any grid.
    levels : iterable of Vertebra
        The levels.

    Raises
    ------
    OtherImageError
        If the centre of a voxel lies more than half a voxel beyond the outermost voxels of the image.
    """
    boxes = label_boxes(vertebrae_only(labels.labels_zyx))
    for level in levels:
        box = boxes[level.label]
        first_xyz = np.array([part.start for part in box])[::-1]
        index_xyz = np.argwhere(labels.labels_zyx[box] == level.label)[:, ::-1] + first_xyz
        index = to_index(ct.affine_lps, to_lps(labels.affine_lps, index_xyz.astype(np.float64)))
        beyond = np.maximum(-index, index - (np.array(ct.hu_zyx.shape[::-1]) - 1)).max()
        if beyond > 0.5 + _ROUNDING:
            raise OtherImageError(f"{level.name} reaches {beyond:.1f} voxels beyond the image")


def mean_hu(ct: CtVolume, points_lps: Points, cells: NDArray[np.int64]) -> Values:
    """Return the mean Hounsfield units of each tetrahedron: the mean of four points within, interpolated linearly.

    A surface lies outside the centres of its voxels, so that elements may reach beyond the outermost ones of the image,
    and have their values there; `require_imaged` refuses images that show less.

    Parameters
    ----------
    ct : CtVolume
        The image.
    points_lps : ndarray, shape (n, 3)
        Nodes in millimetres, LPS.
    cells : ndarray of int64, shape (m, 4)
        Indices of the corners of each tetrahedron.

    Returns
    -------
    ndarray of float64, shape (m,)
        Hounsfield units.
    """
    corner = points_lps[cells]
    rest = (1 - _CORNER_SHARE) / 3
    total = np.zeros(len(cells))
    for i in range(4):
        weights = np.full(4, rest)
        weights[i] = _CORNER_SHARE
        index_zyx = to_index(ct.affine_lps, np.einsum("k,nkj->nj", weights, corner))[:, ::-1]
        total += ndimage.map_coordinates(ct.hu_zyx, index_zyx.T, order=1, mode="nearest", output=np.float64)
    return total / 4


def density_of(hu: Values, line: tuple[float, float] = (DENSITY_SLOPE, DENSITY_INTERCEPT)) -> Values:
    """Return apparent densities in g/cm3, within what bone can have.

    Parameters
    ----------
    hu : ndarray
        Hounsfield units.
    line : tuple of float
        Slope and intercept.
    """
    return np.asarray(np.clip(line[1] + line[0] * hu, MIN_DENSITY, MAX_DENSITY))


def clipped_share(hu: Values, line: tuple[float, float] = (DENSITY_SLOPE, DENSITY_INTERCEPT)) -> float:
    """Return the share of values whose density `density_of` limits to what bone can have; parameters as there."""
    density = line[1] + line[0] * hu
    return float(np.mean((density < MIN_DENSITY) | (density > MAX_DENSITY))) if len(hu) else 0.0


def modulus_of(density: Values) -> Values:
    """Return Young's moduli in MPa of apparent densities in g/cm3.

    Parameters
    ----------
    density : ndarray of float64
        Apparent densities, g/cm3.
    """
    return np.asarray(MODULUS_FACTOR * density**MODULUS_EXPONENT)


def grouped(density: Values, groups: int) -> tuple[NDArray[np.int64], list[Material]]:
    """Return elements as groups of similar density, with a material each.

    Parameters
    ----------
    density : ndarray, shape (n,)
        g/cm3.
    groups : int
        Largest number of groups, of equal width in the logarithm of the modulus.

    Returns
    -------
    group : ndarray of int, shape (n,)
        Index of the material of each element.
    materials : list of Material
        Each with the mean density of its elements.
    """
    modulus = np.log(modulus_of(density))
    span = max(float(np.ptp(modulus)), 1e-9)
    bins = np.minimum(((modulus - modulus.min()) / span * groups).astype(np.int64), groups - 1)
    used, group = np.unique(bins, return_inverse=True)
    means = [float(density[group == i].mean()) for i in range(len(used))]
    return group, [
        Material(f"BONE_{i:03d}", float(modulus_of(np.array(mean))), POISSON_RATIO, mean)
        for i, mean in enumerate(means, start=1)
    ]
