"""One synthetic case: a CT of a neck with its labels, from a seed and the grid that is wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cspine.core.geometry import Grid, Shape3
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis.atlas import AIRWAY, LUNG, Atlas
from cspine.study.synthesis.deformation import Posture, atlas_coordinates, random_posture, smooth_noise
from cspine.study.synthesis.scanner import Acquisition, acquire, random_scan
from cspine.study.synthesis.tissue import Anatomy, draw_hu

#: Raised where a seed gives another case than before.
EDITION = 2
_MIRRORED_SHARE = 0.22
_NOTHING_HU = -1020.0
#: From a perfect image on a fine grid, with its anatomy, to HU on the grid of the result.
Imaging = Callable[[torch.Tensor, Anatomy, Grid, Grid], torch.Tensor]


@dataclass(frozen=True)
class CaseSettings:
    """What to draw.

    Parameters
    ----------
    spacing_xyz : tuple of float
        Voxel size of the result in millimetres.
    extent_xyz_mm : tuple of float, optional
        Size of the field of view; random if omitted.
    complete_neck : bool
        True centres the field of view on the cervical spine; otherwise it lies anywhere around it.
    close_up : bool
        True for a small field of view around one vertebra, from C1 to the second below T1.
    internal_mm : float
        Voxel size at which the image is drawn before it is sampled.
    posture : Posture, optional
        The patient's anatomy; random if omitted.
    scan : Acquisition, optional
        The acquisition; random if omitted.
    coarse_share : float
        Share of the random acquisitions that were stored at coarse pixels.
    offset_xyz_mm : tuple of float
        Moves the field of view.
    imaging : callable, optional
        Another scanner in place of `cspine.study.synthesis.scanner`.
    """

    spacing_xyz: tuple[float, float, float] = (2.0, 2.0, 2.0)
    extent_xyz_mm: tuple[float, float, float] | None = None
    complete_neck: bool = False
    close_up: bool = False
    internal_mm: float = 1.0
    posture: Posture | None = None
    scan: Acquisition | None = None
    coarse_share: float = 0.25
    offset_xyz_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    imaging: Imaging | None = None


def synthesize_case(atlas: Atlas, seed: int, settings: CaseSettings | None = None) -> tuple[CtVolume, LabelVolume]:
    """Make a CT with its labels.

    Parameters
    ----------
    atlas : Atlas
        From `cspine.study.synthesis.atlas.load_atlas`.
    seed : int
        The same seed and settings give the same case.
    settings : CaseSettings, optional
        A training case at 2 mm if omitted.

    Returns
    -------
    ct : CtVolume
        int16 HU, axes to L, P, S.
    labels : LabelVolume
        Every vertebra of the atlas (C1..T6) in view, on the same grid. A voxel belongs to a vertebra where its centre
        lies within the surface, which is the steepest edge of the cortical bone.
    """
    settings = settings or CaseSettings()
    rng = np.random.default_rng(seed)
    posture = settings.posture or random_posture(rng)
    imaging = settings.imaging or through_scanner(settings.scan or random_scan(rng, settings.coarse_share))
    centre, extent = _field_of_view(atlas, rng, settings)
    fine = centred_grid(extent, (settings.internal_mm,) * 3)
    target = centred_grid(extent, settings.spacing_xyz)

    anatomy = _sample(atlas, fine, posture, centre, rng)
    hu = imaging(draw_hu(anatomy, rng), anatomy, fine, target)
    surface = resample(torch.clamp(anatomy.vertebra_mm, -3, 3), fine, target)
    level = resample(anatomy.level.float(), fine, target, mode="nearest")
    seen = hu > _NOTHING_HU  # not beyond the reconstruction circle
    labels = torch.where((surface > 0) & seen, level, torch.zeros_like(level)).to(torch.uint8)
    ct = CtVolume(hu.round().to(torch.int16).numpy(), target.affine_lps)
    return ct, LabelVolume(labels.numpy(), target.affine_lps)


def through_scanner(scan: Acquisition) -> Imaging:
    """Return the imaging of training: `cspine.study.synthesis.scanner`."""

    def image(hu: torch.Tensor, anatomy: Anatomy, fine: Grid, target: Grid) -> torch.Tensor:
        return resample(acquire(hu, anatomy.spacing_mm, scan), fine, target)

    return image


def _field_of_view(
    atlas: Atlas, rng: np.random.Generator, settings: CaseSettings
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the centre in the atlas (mm, LPS) and size (mm, x y z) of the scan."""
    neck = np.mean([atlas.centroids_lps[label] for label in range(1, 9)], axis=0)
    if settings.extent_xyz_mm is not None:
        extent = np.array(settings.extent_xyz_mm, dtype=np.float64)
    elif settings.complete_neck:
        extent = np.array([rng.uniform(140, 230), rng.uniform(140, 220), rng.uniform(190, 250)])
    elif settings.close_up:
        extent = rng.uniform(80, 130, size=3)
    else:
        extent = rng.uniform(110, 240, size=3)
        if rng.random() < 0.25:
            extent[0] = rng.uniform(240, 370)
        if rng.random() < 0.15:
            extent[2] = rng.uniform(240, 300)
    if settings.complete_neck:
        centre = neck + np.array([rng.normal(0, 5), rng.normal(-12, 5), rng.normal(0, 5)])
    elif settings.close_up:
        middle = atlas.centroids_lps[int(rng.choice(sorted(atlas.centroids_lps)[:10]))]
        centre = middle + rng.uniform([-22, -22, -16], [22, 22, 16])
    else:
        offset = np.array([rng.normal(0, 25), rng.uniform(-60, 20), rng.uniform(-120, 85)])
        centre = neck + offset
    return centre + np.array(settings.offset_xyz_mm), extent


def centred_grid(extent_xyz_mm: NDArray[np.float64], spacing_xyz: tuple[float, ...]) -> Grid:
    """Return the grid of a field of view around the origin, voxel edges on its borders."""
    spacing = np.array(spacing_xyz)
    count = np.maximum(np.round(extent_xyz_mm / spacing), 2).astype(int)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -0.5 * spacing * (count - 1)
    shape: Shape3 = (int(count[2]), int(count[1]), int(count[0]))
    return Grid(shape, affine)


def _sample(
    atlas: Atlas, grid: Grid, posture: Posture, centre: NDArray[np.float64], rng: np.random.Generator
) -> Anatomy:
    """Sample the atlas on a grid, with bones whose surfaces are this patient's own."""
    where = mirrored_at_borders(atlas_coordinates(grid, atlas, posture, centre))
    tissue, other, _ = sample_tissue(atlas, where)
    level = sample_field(atlas.level_zyx, where, "nearest").to(torch.uint8)
    size = float(np.cbrt(np.prod(posture.scale_xyz)))
    vertebra_mm = sample_field(atlas.vertebra_mm, where, "bilinear")
    surface = vertebra_mm * size + _surface_shift(level, grid.spacing_xyz[0], rng)
    return Anatomy(tissue, level, surface, other * size, grid.spacing_xyz[0])


def sample_tissue(atlas: Atlas, where: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the atlas's tissue, its bones that are no vertebrae, and its air at points of the atlas.

    Parameters
    ----------
    atlas : Atlas
        The atlas.
    where : Tensor of float32, shape (1, z, y, x, 3)
        Coordinates as `torch.nn.functional.grid_sample` takes them.

    Returns
    -------
    tissue : Tensor of uint8
    other_bone_mm : Tensor of float32
        Signed distance, positive inside; no bone begins within air.
    is_air : Tensor of bool
    """
    tissue = sample_field(atlas.tissue_zyx, where, "nearest").to(torch.uint8)
    other_mm = sample_field(atlas.other_bone_mm, where, "bilinear")
    is_air = (tissue == 0) | (tissue == LUNG) | (tissue == AIRWAY)
    return tissue, torch.where(is_air & (other_mm < 0), other_mm.clamp(max=-1.0), other_mm), is_air


def sample_field(field_zyx: NDArray[np.float32] | NDArray[np.uint8], where: torch.Tensor, mode: str) -> torch.Tensor:
    """Return a field of the atlas at points given as to `sample_tissue`, by bilinear or nearest interpolation."""
    field = torch.from_numpy(field_zyx.astype(np.float32, copy=False))[None, None]
    return functional.grid_sample(field, where, mode=mode, padding_mode="border", align_corners=True)[0, 0]


def mirrored_at_borders(where: torch.Tensor) -> torch.Tensor:
    """Continue the atlas by its mirror image beyond its sides and its lower end, for `_MIRRORED_SHARE` of its size.

    It puts arms in place of nothing, and vertebrae below the last. Further out would show the neck again.
    """
    x, y, z = where.unbind(dim=-1)
    fold = 2 * _MIRRORED_SHARE
    x = torch.where(x.abs() > 1, torch.sign(x) * (1 - torch.clamp(x.abs() - 1, max=fold)), x)
    z = torch.where(z < -1, -1 + torch.clamp(-1 - z, max=fold), z)
    return torch.stack([x, y, z], dim=-1)


def _surface_shift(level: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> torch.Tensor:
    """Return how far each vertebra's surface lies outside the atlas's, mm: uniformly, individually, in hills and spurs.

    It opens and closes the joints, and it makes a network look for the edge in the image instead of the atlas's shape.
    """
    uniform = rng.uniform(-0.3, 0.35)
    own = np.zeros(256, dtype=np.float32)
    own[:20] = uniform + rng.uniform(0, 0.3) * rng.standard_normal(20)
    shift = torch.from_numpy(own)[level.int()]
    shape = tuple(level.shape)
    shift += float(rng.uniform(0, 0.5)) * smooth_noise(rng, shape, rng.uniform(6, 12) / spacing_mm)
    shift += float(rng.uniform(0, 0.3)) * smooth_noise(rng, shape, rng.uniform(3, 5) / spacing_mm)
    return shift


def resample(field: torch.Tensor, source: Grid, target: Grid, mode: str = "bilinear") -> torch.Tensor:
    """Return a field sampled at the voxel centres of another grid of the same field of view, both without rotation."""
    axes = []
    for axis in range(3):  # x, y, z
        n, m = source.shape_zyx[2 - axis], target.shape_zyx[2 - axis]
        millimetres = target.affine_lps[axis, 3] + target.affine_lps[axis, axis] * np.arange(m)
        index = (millimetres - source.affine_lps[axis, 3]) / source.affine_lps[axis, axis]
        axes.append(torch.from_numpy((2 * index / (n - 1) - 1).astype(np.float32)))
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    where = torch.stack([x, y, z], dim=-1)[None]
    sampled = functional.grid_sample(
        field[None, None].float(), where, mode=mode, padding_mode="border", align_corners=True
    )
    return sampled[0, 0]
