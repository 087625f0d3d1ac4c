"""From labels to the smoothed surface of each vertebra, with a measure of how well it keeps to its label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cc3d
import numpy as np
from scipy import ndimage

from cspine.core.anatomy import Vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.geometry import Affine, to_lps
from cspine.core.shape import LevelShape, shapes_of, vertebrae_only
from cspine.core.volumes import LabelVolume
from cspine.surfaces.fidelity import Fidelity, fidelity_of
from cspine.surfaces.implicit import SMOOTHINGS, ImplicitSurface, Mask, smooth_surface
from cspine.surfaces.separate import PlacedSurface, separate
from cspine.surfaces.settings import MAX_DISTANCE_VOXELS, MAX_VOLUME_CHANGE
from cspine.surfaces.surface import Surface, extract, with_volume

#: Background around a label, voxels: enough for the filter, and for gaps to be measured outside it.
_MARGIN = 4


@dataclass(frozen=True, eq=False)
class Solid:
    """The voxels of one vertebra as one solid.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    mask_zyx : ndarray of bool, shape (z, y, x)
        Its largest component without cavities, with a margin of background.
    first_zyx : tuple of int
        Index of the first voxel in the image; negative within the margin.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) of the mask to millimetres (LPS).
    omitted_mm3, filled_mm3 : float
        Volume of smaller components that were omitted, and of cavities that were filled.
    touches_edge : bool
        True if the label reaches an outermost plane of the image: the surface is closed there by a flat cut.
    """

    vertebra: Vertebra
    mask_zyx: Mask
    first_zyx: tuple[int, int, int]
    affine_lps: Affine
    omitted_mm3: float
    filled_mm3: float
    touches_edge: bool

    @property
    def volume_mm3(self) -> float:
        """Volume of the voxels."""
        return float(self.mask_zyx.sum() * abs(np.linalg.det(self.affine_lps[:3, :3])))


@dataclass(frozen=True, eq=False)
class VertebraSurface:
    """The surface of a vertebra and how it compares with the label.

    Parameters
    ----------
    surface : Surface
        Closed, outward.
    solid : Solid
        The voxels that it was made from.
    fidelity : Fidelity
        Volume and distances against those voxels.
    smoothings : int
        How often the label was smoothed.
    """

    surface: Surface
    solid: Solid
    fidelity: Fidelity
    smoothings: int

    @property
    def is_within_limits(self) -> bool:
        """Whether the volume and 95 % of the surface keep to the label as `surfaces.settings` demands."""
        return _is_faithful(self.fidelity)


def vertebra_surfaces(labels: LabelVolume, gap_mm: float = 0.0) -> list[VertebraSurface]:
    """Return the surface of every vertebra, from head to foot.

    Each surface is closed and faces outwards; no two overlap.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy` on any orthogonal grid; other numbers are ignored.
    gap_mm : float
        Smallest distance between two vertebrae.

    Raises
    ------
    NoVertebraError
        If there is no vertebra.
    """
    smoothed = [(solid, *smooth_solid(solid)) for solid in vertebra_solids(labels)]
    found = _separated(smoothed, gap_mm)
    if gap_mm == 0 and not all(each.is_within_limits for each in found):
        # What neighbours lose where they touch is given back over the rest of their surfaces.
        larger = [
            (solid, with_volume(implicit, solid.volume_mm3 * (1 - each.fidelity.volume_change)), smoothings)
            for each, (solid, implicit, smoothings) in zip(found, smoothed, strict=True)
        ]
        found = _separated(larger, gap_mm)
    return found


def _separated(smoothed: Sequence[tuple[Solid, ImplicitSurface, int]], gap_mm: float) -> list[VertebraSurface]:
    placed = separate([placed_surface(solid, implicit) for solid, implicit, _ in smoothed], gap_mm)
    found = []
    for apart, (solid, _, smoothings) in zip(placed, smoothed, strict=True):
        surface = extract(apart.implicit, solid.vertebra)
        found.append(VertebraSurface(surface, solid, _fidelity(surface, solid), smoothings))
    return found


def vertebra_solids(labels: LabelVolume) -> list[Solid]:
    """Return the voxels of every vertebra, from head to foot.

    Parameters
    ----------
    labels : LabelVolume
        Labels with the numbers of VerSe; the sacrum and other structures are ignored.

    Raises
    ------
    NoVertebraError
        If there is no vertebra.
    """
    shapes = shapes_of(vertebrae_only(labels.labels_zyx), labels.grid, cut=labels.cut)
    if not shapes:
        raise NoVertebraError("the labels contain no vertebra", advice="Check which numbers or segments they have.")
    return [_solid(labels, shape) for shape in shapes]


def smooth_solid(solid: Solid) -> tuple[ImplicitSurface, int]:
    """Return the field of a solid, and how often it was smoothed: less where that is needed to keep to the label.

    Parameters
    ----------
    solid : Solid
        Mask of a vertebra.

    Returns
    -------
    implicit : ImplicitSurface
        The field; a smoothed one encloses the volume of the label.
    smoothings : int
        How often it was smoothed, at most `SMOOTHINGS`.
    """
    for smoothings in range(SMOOTHINGS, 0, -1):
        implicit = with_volume(smooth_surface(solid.mask_zyx, solid.affine_lps, smoothings), solid.volume_mm3)
        if _is_faithful(_fidelity(extract(implicit, solid.vertebra), solid)):
            return implicit, smoothings
    return smooth_surface(solid.mask_zyx, solid.affine_lps, 0), 0


def placed_surface(solid: Solid, implicit: ImplicitSurface) -> PlacedSurface:
    """Return a field with its place among the samples of the image.

    Parameters
    ----------
    solid : Solid
        Mask of a vertebra, with its place in the image.
    implicit : ImplicitSurface
        Its field.
    """
    z, y, x = (int(start * factor) for start, factor in zip(solid.first_zyx, implicit.factors_zyx, strict=True))
    return PlacedSurface(solid.vertebra, implicit, (z, y, x))


def _solid(labels: LabelVolume, shape: LevelShape) -> Solid:
    label = np.pad(labels.labels_zyx[shape.box_zyx] == shape.vertebra.label, _MARGIN)
    largest = np.asarray(cc3d.largest_k(label, k=1, connectivity=6) > 0)
    mask = ndimage.binary_fill_holes(largest)
    z, y, x = (part.start - _MARGIN for part in shape.box_zyx)
    affine = labels.affine_lps.copy()
    affine[:3, 3] = to_lps(affine, np.array([[x, y, z]], dtype=np.float64))[0]
    voxel = labels.grid.voxel_mm3
    return Solid(
        vertebra=shape.vertebra,
        mask_zyx=mask,
        first_zyx=(z, y, x),
        affine_lps=affine,
        omitted_mm3=float((label & ~largest).sum() * voxel),
        filled_mm3=float((mask & ~largest).sum() * voxel),
        touches_edge=shape.touches_edge,
    )


def _fidelity(surface: Surface, solid: Solid) -> Fidelity:
    return fidelity_of(surface, solid.mask_zyx, solid.affine_lps)


def _is_faithful(fidelity: Fidelity) -> bool:
    volume = abs(fidelity.volume_change) <= MAX_VOLUME_CHANGE
    return volume and fidelity.distance_p95_voxels <= MAX_DISTANCE_VOXELS
