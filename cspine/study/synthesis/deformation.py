"""Random anatomy: posture, size and shape of a neck as a smooth map from a scan's grid into the atlas."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from cspine.core.geometry import Grid
from cspine.study.synthesis.atlas import Atlas

#: Spacing of the lattice on which the smooth part of the map is computed, millimetres.
_LATTICE_MM = 6.0
#: A vertebra's own size fades into its neighbours' over this distance, millimetres.
_OWN_SIZE_MM = 14.0
_MAX_LEVELS = 13


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
    twist_degrees : float
        Turn of the neck about its long axis over 80 mm.
    own_scale : ndarray, shape (levels, 3)
        Size of each vertebra of the atlas, head to foot, against the rest of the neck along x, y, z.
    elastic : tuple of (correlation_mm, amplitude_mm)
        Scales of the elastic field.
    seed : int
        Of the elastic field.
    """

    rotation: NDArray[np.float64]
    scale_xyz: NDArray[np.float64]
    bend_mm: NDArray[np.float64]
    twist_degrees: float
    own_scale: NDArray[np.float64]
    elastic: tuple[tuple[float, float], ...]
    seed: int


def random_posture(rng: np.random.Generator) -> Posture:
    """Draw a posture: pitch within 24, roll 13, yaw 15 degrees; size 0.8 to 1.22; bends, a twist, elastic fields."""
    pitch, roll, yaw = rng.uniform(-24, 24), rng.uniform(-13, 13), rng.uniform(-15, 15)
    size = rng.uniform(0.87, 1.13)
    scale = np.clip(size * rng.uniform(0.9, 1.1, size=3), 0.8, 1.22)
    own_scale = 1 + rng.uniform(0, 1) * rng.uniform(-0.11, 0.11, size=(_MAX_LEVELS, 3))
    bend = rng.uniform(-1, 1, size=(2, 4)) * np.array([[4.0, 2.5, 2.5, np.pi], [10.0, 4.0, 4.0, np.pi]])
    wide, narrow = float(rng.uniform(25, 45)), float(rng.uniform(10, 18))
    elastic = ((wide, wide * float(rng.uniform(0, 0.085))), (narrow, narrow * float(rng.uniform(0, 0.07))))
    rotation = Rotation.from_euler("xyz", [pitch, roll, yaw], degrees=True).as_matrix()
    twist = float(rng.uniform(-14, 14))
    return Posture(rotation, scale, bend, twist, own_scale, elastic, int(rng.integers(2**31)))


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
    angle = np.deg2rad(posture.twist_degrees) * np.clip(along, -1.5, 1.5)
    turned_x = np.cos(angle) * points[..., 0] - np.sin(angle) * points[..., 1]
    points[..., 1] = np.sin(angle) * points[..., 0] + np.cos(angle) * points[..., 1]
    points[..., 0] = turned_x
    mapped = (points / posture.scale_xyz) @ posture.rotation
    mapped += _own_sizes(mapped + centre_lps, atlas, posture)
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


def _own_sizes(points_lps: NDArray[np.float64], atlas: Atlas, posture: Posture) -> NDArray[np.float64]:
    """Shift in mm that gives each vertebra its own size about its centre, fading between neighbours."""
    shift = np.zeros_like(points_lps)
    total = np.zeros(points_lps.shape[:-1])
    for (_, centre), scale in zip(sorted(atlas.centroids_lps.items()), posture.own_scale, strict=False):
        away = points_lps - centre
        weight = np.exp(-0.5 * (away[..., 2] / _OWN_SIZE_MM) ** 2)
        # Far from the spine nothing is stretched: shoulders and face keep their place.
        reach = np.clip(away, -32, 32)
        shift += weight[..., None] * (1 / scale - 1) * reach
        total += weight
    return np.asarray(shift / np.maximum(total, 1.0)[..., None])
