"""Random Hounsfield units for the tissues of one neck: what a perfect scanner without noise or blur would see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.deformation import smooth_noise

_FAT_MARROW_HU = -90.0


@dataclass(frozen=True)
class Anatomy:
    """The atlas's fields sampled on a scan's grid, all shape (z, y, x).

    Parameters
    ----------
    tissue : Tensor of uint8
        Tissue numbers of `cspine.study.synthesis.atlas`.
    level : Tensor of uint8
        Nearest vertebra.
    vertebra_mm, other_bone_mm : Tensor of float32
        Signed distances to bone surfaces, positive inside, millimetres.
    spacing_mm : float
        Voxel size of the grid, the same along each axis.
    """

    tissue: torch.Tensor
    level: torch.Tensor
    vertebra_mm: torch.Tensor
    other_bone_mm: torch.Tensor
    spacing_mm: float

    @property
    def shape(self) -> tuple[int, int, int]:
        """Return the shape (z, y, x) of the fields."""
        z, y, x = self.tissue.shape
        return z, y, x


def draw_hu(anatomy: Anatomy, rng: np.random.Generator) -> torch.Tensor:
    """Draw the HU of every tissue of one patient.

    Returns
    -------
    Tensor of float32, shape (z, y, x)
        Hounsfield units; bone surfaces carry their share of a voxel.
    """
    hu = _soft_tissue(anatomy, rng)
    _air_pockets(hu, anatomy, rng)
    for bone_mm, is_vertebra in ((anatomy.other_bone_mm, False), (anatomy.vertebra_mm, True)):
        share = torch.clamp(bone_mm / anatomy.spacing_mm + 0.5, 0, 1)
        near = share > 0
        bone = _bone(anatomy, bone_mm, near, rng, is_vertebra)
        hu[near] += share[near] * (bone - hu[near])
    teeth = anatomy.tissue == tissues.TEETH
    hu[teeth] = float(rng.uniform(900, 2600))
    _bright_spots(hu, anatomy, rng)
    return hu


def _soft_tissue(anatomy: Anatomy, rng: np.random.Generator) -> torch.Tensor:
    muscle, fat = rng.uniform(25, 75), rng.uniform(-125, -65)
    vessel = rng.uniform(100, 420) if rng.random() < 0.5 else rng.uniform(25, 55)
    table = np.zeros(256, dtype=np.float32)
    table[0] = -1000
    table[tissues.DISC] = rng.uniform(50, 130) if rng.random() < 0.85 else rng.uniform(-60, 380)
    table[tissues.CARTILAGE] = rng.uniform(60, 350) if rng.random() < 0.5 else rng.uniform(40, 110)
    table[tissues.AIRWAY] = rng.uniform(-1000, -930)
    table[tissues.VESSEL] = vessel
    table[tissues.BRAIN] = rng.uniform(20, 45)
    table[tissues.GLAND] = rng.uniform(10, 120)
    table[tissues.MUSCLE] = muscle
    table[tissues.FAT] = fat
    table[tissues.LUNG] = rng.uniform(-920, -650)
    table[tissues.CANAL] = rng.uniform(-60, 70)
    table[tissues.CANAL_CONTENT] = rng.uniform(-20, 45)
    table[tissues.CORD] = rng.uniform(20, 55)
    table[tissues.TEETH] = 1500
    hu = torch.from_numpy(table)[anatomy.tissue.int()]

    # The atlas models few of the deep muscles: its filled tissue is muscle with islands of fat, more so near the spine.
    islands = smooth_noise(rng, anatomy.shape, rng.uniform(3, 9) / anatomy.spacing_mm)
    lean = rng.uniform(-1.0, 1.2) + torch.clamp(1.5 + anatomy.vertebra_mm / 12, 0, 1.5)
    filled = anatomy.tissue == tissues.FAT
    hu[filled & (islands < lean)] = float(muscle * rng.uniform(0.7, 1.0))
    marbled = (anatomy.tissue == tissues.MUSCLE) & (islands > rng.uniform(1.2, 3.0))
    hu[marbled] = float(fat)
    soft = anatomy.tissue > 0
    texture = smooth_noise(rng, anatomy.shape, rng.uniform(2, 5) / anatomy.spacing_mm)
    hu[soft] += float(rng.uniform(2, 14)) * texture[soft]
    return hu


def _air_pockets(hu: torch.Tensor, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Put air into the pharynx, mouth and sinuses: ellipsoids in front of the spine, in place."""
    spine = torch.nonzero(anatomy.vertebra_mm > 0)
    if not len(spine):
        return
    step = anatomy.spacing_mm
    allowed = (anatomy.tissue == tissues.FAT) | (anatomy.tissue == tissues.MUSCLE) | (anatomy.tissue == tissues.GLAND)
    for _ in range(int(rng.integers(0, 7))):
        z, y, x = (float(v) for v in spine[int(rng.integers(len(spine)))])
        centre = (z + rng.uniform(-5, 25) / step, y - rng.uniform(15, 75) / step, x + rng.normal(0, 9) / step)
        radii = (rng.uniform(6, 38) / step, rng.uniform(3, 16) / step, rng.uniform(4, 20) / step)
        low = [max(0, int(c - r)) for c, r in zip(centre, radii, strict=True)]
        high = [min(n, int(c + r) + 1) for c, r, n in zip(centre, radii, anatomy.shape, strict=True)]
        if any(a >= b for a, b in zip(low, high, strict=True)):
            continue
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        k, j, i = ((torch.arange(a, b) - c) / r for a, b, c, r in zip(low, high, centre, radii, strict=True))
        ragged = 1 + 0.4 * smooth_noise(rng, tuple(b - a for a, b in zip(low, high, strict=True)), 8 / step)
        inside = k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2 < ragged
        hu[box][inside & allowed[box] & (anatomy.vertebra_mm[box] < -2.5)] = float(rng.uniform(-1000, -900))


def _bone(
    anatomy: Anatomy, bone_mm: torch.Tensor, near: torch.Tensor, rng: np.random.Generator, is_vertebra: bool
) -> torch.Tensor:
    """Return the HU of bone at the voxels of ``near``: a cortical shell over trabecular bone with texture."""
    depth = bone_mm[near]
    trabecular = rng.uniform(10, 420)
    cortical = max(rng.uniform(320, 1500), 1.3 * trabecular + 120)
    thickness = rng.uniform(0.6, 2.6)
    varied = smooth_noise(rng, anatomy.shape, 10 / anatomy.spacing_mm)[near]
    fine = smooth_noise(rng, anatomy.shape, rng.uniform(1.2, 2.5) / anatomy.spacing_mm)[near]
    shell = torch.sigmoid((thickness * (1 + 0.25 * varied) - depth) / 0.35)
    inner = trabecular * (1 + rng.uniform(0, 0.25) * varied + rng.uniform(0, 0.5) * fine)
    inner = torch.clamp(inner, min=_FAT_MARROW_HU)
    outer = cortical * (1 + rng.uniform(0, 0.2) * varied)
    if is_vertebra:
        table = np.ones(256, dtype=np.float32)
        table[:20] = rng.uniform(0.8, 1.2, size=20)
        if bool((anatomy.level > 19).any()):  # a complete spine
            table[20:30] = rng.uniform(0.8, 1.2, size=10)
        factor = torch.from_numpy(table)[anatomy.level[near].int()]
        inner, outer = inner * factor, outer * factor
    bone = inner + shell * (outer - inner)
    if not is_vertebra and rng.random() < 0.7:
        # Air cells of the mastoid and the sinuses.
        cells = smooth_noise(rng, anatomy.shape, rng.uniform(3, 6) / anatomy.spacing_mm)[near]
        bone[(cells > rng.uniform(0.8, 2.0)) & (depth > 2.0)] = float(rng.uniform(-900, -300))
    return bone


def _bright_spots(hu: torch.Tensor, anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Put calcifications and small metal parts anywhere in the body, in place."""
    body = torch.nonzero(anatomy.tissue[::4, ::4, ::4] > 0) * 4
    if not len(body):
        return
    for _ in range(int(rng.integers(0, 6))):
        centre = body[int(rng.integers(len(body)))]
        radius = rng.uniform(1, 4) / anatomy.spacing_mm
        low = [max(0, int(c - radius)) for c in centre]
        high = [min(n, int(c + radius) + 2) for c, n in zip(centre, anatomy.shape, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
        k, j, i = (torch.arange(a, b) - float(c) for a, b, c in zip(low, high, centre, strict=True))
        ball = k[:, None, None] ** 2 + j[None, :, None] ** 2 + i[None, None, :] ** 2 < radius**2
        hu[box][ball] = float(rng.uniform(200, 2000))
