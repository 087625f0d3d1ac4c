"""Random anatomy: posture, size and shape of a neck as a smooth map from a scan's grid into the atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cspine.geometry import Grid
from cspine.synthesis.atlas import Atlas

#: Spacing of the lattice on which the smooth part of the map is computed, millimetres.
_LATTICE_MM = 6.0


@dataclass(frozen=True)
class Posture:
    """Parameters of one anatomy, drawn by `random_posture`.

    Parameters
    ----------
    rotation : ndarray, shape (3, 3)
        Patient's rotation against the atlas.
    scale_xyz : ndarray, shape (3,)
        Size of the neck against the atlas along x, y, z.
    bend_mm : ndarray, shape (2, 4)
        For x and y: amplitude in mm of a quadratic, a cubic and a sine shift along z, and the sine's phase.
    elastic : tuple of (correlation_mm, amplitude_mm)
        Scales of the elastic field.
    seed : int
        Of the elastic field.
    """

    rotation: NDArray[np.float64]
    scale_xyz: NDArray[np.float64]
    bend_mm: NDArray[np.float64]
    elastic: tuple[tuple[float, float], ...]
    seed: int


def random_posture(rng: np.random.Generator) -> Posture:
    """Draw a posture: pitch within 24, roll 13, yaw 15 degrees; size 0.82 to 1.2; bends and elastic fields."""
    pitch, roll, yaw = rng.uniform(-24, 24), rng.uniform(-13, 13), rng.uniform(-15, 15)
    size = rng.uniform(0.87, 1.13)
    scale = np.clip(size * rng.uniform(0.92, 1.08, size=3), 0.82, 1.2)
    bend = rng.uniform(-1, 1, size=(2, 4)) * np.array([[4.0, 2.5, 2.5, np.pi], [10.0, 4.0, 4.0, np.pi]])
    elastic = (
        (float(rng.uniform(25, 45)), float(rng.uniform(0, 4.0))),
        (float(rng.uniform(9, 16)), float(rng.uniform(0, 1.5))),
    )
    rotation = Rotation.from_euler("xyz", [pitch, roll, yaw], degrees=True).as_matrix()
    return Posture(rotation, scale, bend, elastic, int(rng.integers(2**31)))


def smooth_noise(
    rng: np.random.Generator, shape_zyx: tuple[int, ...], correlation: float | tuple[float, float, float]
) -> torch.Tensor:
    """Return a smooth random field of about unit deviation.

    Parameters
    ----------
    rng : Generator
        Source of randomness.
    shape_zyx : tuple of int
        Shape of the result.
    correlation : float or tuple of float
        Distance in voxels between the knots of the field, along z, y, x.

    Returns
    -------
    Tensor of float32, shape ``shape_zyx``
    """
    step = (correlation,) * 3 if isinstance(correlation, int | float) else correlation
    knots = [max(2, int(np.ceil(n / max(s, 1e-3))) + 1) for n, s in zip(shape_zyx, step, strict=True)]
    knots = [min(k, max(n, 2)) for k, n in zip(knots, shape_zyx, strict=True)]
    noise = torch.from_numpy(rng.standard_normal(knots, dtype=np.float32))[None, None]
    field = torch.nn.functional.interpolate(noise, size=tuple(shape_zyx), mode="trilinear", align_corners=True)
    return field[0, 0] * 1.5


def atlas_coordinates(grid: Grid, atlas: Atlas, posture: Posture, centre_lps: NDArray[np.float64]) -> torch.Tensor:
    """Map each voxel of a grid to where it lies in the atlas.

    Parameters
    ----------
    grid : Grid
        The scan's grid in a frame whose origin is the patient's point that falls on ``centre_lps`` of the atlas.
    atlas : Atlas
        The atlas.
    posture : Posture
        How this patient differs from it.
    centre_lps : ndarray, shape (3,)
        Point of the atlas that is the origin of the patient's frame.

    Returns
    -------
    Tensor of float32, shape (1, z, y, x, 3)
        Coordinates (x, y, z) in -1..1 over the atlas's voxel centres, as `torch.nn.functional.grid_sample` with
        ``align_corners=True`` takes them.
    """
    shape = grid.shape_zyx
    steps = [s / _LATTICE_MM for s in reversed(grid.spacing_xyz)]
    lattice = [max(2, int(np.ceil((n - 1) * s)) + 1) for n, s in zip(shape, steps, strict=True)]
    axes = [np.linspace(0, n - 1, m) for n, m in zip(shape, lattice, strict=True)]
    k, j, i = np.meshgrid(*axes, indexing="ij")
    index = np.stack([i, j, k], axis=-1)
    points = index @ grid.affine_lps[:3, :3].T + grid.affine_lps[:3, 3]

    along = points[..., 2] / 80.0
    for axis in (0, 1):
        quadratic, cubic, sine, phase = posture.bend_mm[axis]
        points[..., axis] += quadratic * along**2 + cubic * along**3 + sine * np.sin(np.pi * along + phase)
    mapped = (points / posture.scale_xyz) @ posture.rotation
    rng = np.random.default_rng(posture.seed)
    for correlation_mm, amplitude_mm in posture.elastic:
        knots = max(correlation_mm / _LATTICE_MM, 1.0)
        for axis in range(3):
            mapped[..., axis] += amplitude_mm * 0.67 * smooth_noise(rng, tuple(lattice), knots).numpy()

    inverse = np.linalg.inv(atlas.affine_lps)
    in_atlas = (mapped + centre_lps) @ inverse[:3, :3].T + inverse[:3, 3]
    size_xyz = np.array(atlas.grid.shape_zyx[::-1], dtype=np.float64)
    unit = torch.from_numpy((2 * in_atlas / (size_xyz - 1) - 1).astype(np.float32))
    full = torch.nn.functional.interpolate(
        unit.permute(3, 0, 1, 2)[None], size=shape, mode="trilinear", align_corners=True
    )
    return full.permute(0, 2, 3, 4, 1).contiguous()
