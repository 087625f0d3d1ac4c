"""The positions of a patient's points in the label atlas, whose soft tissue follows the motions of the bones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from cspine.core.geometry import Grid
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.deformation import smooth_noise
from cspine.study.synthesis.meshes import Points
from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.people import Person

#: Spacing of the lattice on which the smooth maps are computed, millimetres.
LATTICE_MM = 6.0
#: A bone's motion fades into its neighbours' over this distance along the neck, millimetres.
_FADE_MM = 13.0
#: Far below the last and above the first bone, tissue moves with these as with a rigid body.
_MIN_WEIGHT = 1e-9


@dataclass(frozen=True, eq=False)
class Stance:
    """The position of the patient in the scanner.

    Parameters
    ----------
    rotation : ndarray, shape (3, 3)
        Patient against the column's frame.
    elastic : tuple of (correlation_mm, amplitude_mm)
        Scales of a smooth deformation of everything.
    seed : int
        Of the deformation.
    """

    rotation: Points
    elastic: tuple[tuple[float, float], ...]
    seed: int


def column_points(grid: Grid, centre_lps: Points, stance: Stance) -> torch.Tensor:
    """Map each voxel of a scan to the frame in which the column stands.

    Parameters
    ----------
    grid : Grid
        The scan's grid, its origin on the point ``centre_lps`` of the column's frame.
    centre_lps : ndarray, shape (3,)
        That point, millimetres.
    stance : Stance
        Turns and deforms the patient.

    Returns
    -------
    Tensor of float32, shape (z, y, x, 3)
        Coordinates (x, y, z) in millimetres.
    """
    shape = grid.shape_zyx
    steps = [s / LATTICE_MM for s in reversed(grid.spacing_xyz)]
    lattice = [max(2, int(np.ceil((n - 1) * s)) + 1) for n, s in zip(shape, steps, strict=True)]
    axes = [np.linspace(0, n - 1, m) for n, m in zip(shape, lattice, strict=True)]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    points = np.stack([i, j, k], axis=-1) @ grid.affine_lps[:3, :3].T + grid.affine_lps[:3, 3]
    mapped = points @ stance.rotation
    rng = np.random.default_rng(stance.seed)
    for correlation_mm, amplitude_mm in stance.elastic:
        knots = max(correlation_mm / LATTICE_MM, 1.0)
        for axis in range(3):
            mapped[..., axis] += amplitude_mm * 0.67 * smooth_noise(rng, tuple(lattice), knots).numpy()
    return _interpolated(mapped + centre_lps, shape)


def atlas_points(points_xyz: torch.Tensor, bones: Sequence[PosedBone], atlas: Atlas, person: Person) -> torch.Tensor:
    """Map points of the column's frame into the atlas: each moves with the bones beside it.

    Parameters
    ----------
    points_xyz : Tensor of float32, shape (z, y, x, 3)
        From `column_points`.
    bones : sequence of PosedBone
        The patient's column.
    atlas : Atlas
        Its grid gives the unit.
    person : Person
        The atlas's own vertebrae, where they stand at rest.

    Returns
    -------
    Tensor of float32, shape (1, z, y, x, 3)
        Coordinates in -1..1 over the atlas's voxel centres, as `torch.nn.functional.grid_sample` with
        ``align_corners=True`` takes them.
    """
    shape = points_xyz.shape[:3]
    small = [max(2, int(np.ceil(n / 8)) + 1) for n in shape]
    coarse = functional.interpolate(
        points_xyz.permute(3, 0, 1, 2)[None], size=small, mode="trilinear", align_corners=True
    )
    points = coarse[0].permute(1, 2, 3, 0).numpy().astype(np.float64)
    total = np.zeros(points.shape[:3])
    mapped = np.zeros_like(points)
    for posed in bones:
        away = points - posed.origin_mm
        along = away @ posed.axes[:, 2]
        weight = np.exp(-0.5 * np.minimum((along / _FADE_MM) ** 2, 60.0)) + _MIN_WEIGHT * _outermost(
            posed, bones, along
        )
        rest = person.bones[posed.label]
        mapped += weight[..., None] * (((away @ posed.axes) / posed.size) @ rest.axes.T + rest.origin_mm)
        total += weight
    mapped /= total[..., None]
    inverse = np.linalg.inv(atlas.affine_lps)
    index = mapped @ inverse[:3, :3].T + inverse[:3, 3]
    unit = 2 * index / (np.array(atlas.grid.shape_zyx[::-1], dtype=np.float64) - 1) - 1
    return _interpolated(unit, (int(shape[0]), int(shape[1]), int(shape[2])))[None]


def _outermost(posed: PosedBone, bones: Sequence[PosedBone], along: np.ndarray) -> np.ndarray:
    """1 above the first bone and below the last one, where no other holds the tissue."""
    if posed.label == bones[0].label:
        return np.asarray(along > 0, dtype=np.float64)
    return np.asarray(along < 0, dtype=np.float64) * (posed.label == bones[-1].label)


def _interpolated(field_zyxc: np.ndarray, shape_zyx: tuple[int, int, int]) -> torch.Tensor:
    """Return a lattice of vectors at every voxel between its corners."""
    lattice = torch.from_numpy(field_zyxc.astype(np.float32)).permute(3, 0, 1, 2)[None]
    upsampled = functional.interpolate(lattice, size=shape_zyx, mode="trilinear", align_corners=True)
    return upsampled[0].permute(1, 2, 3, 0).contiguous()
