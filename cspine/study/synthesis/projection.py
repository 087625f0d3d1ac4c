"""Artefacts that arise in the projections: photon starvation at the shoulders, beam hardening and starvation by metal.

Slices are projected in parallel beams, the measurement is made imperfect, and its error is reconstructed by filtered
back-projection. What comes out is added to an image. On the affected slices alone, on a grid of about a millimetre.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch.nn import functional

from cspine.core.geometry import Grid
from cspine.study.synthesis.reconstruction import (
    WATER_PER_MM,
    cubic_matrix,
    places,
    profile_matrix,
    separable,
    shoulders,
)

_IMAGE_MM = 1.15
_COARSE_MM = 3.0
_ANGLES = 200
_UPSAMPLED = 4
_MAX_SHOULDER_SLICES, _MAX_METAL_SLICES = 40, 22


@dataclass(frozen=True)
class Dose:
    """How well the projections are measured.

    Parameters
    ----------
    photons : float
        Of one ray without patient.
    electronic : float
        Deviation of the electronic noise, photons.
    """

    photons: float
    electronic: float = 6.0


def project(per_mm_zyx: torch.Tensor, pixel_mm: float, angles: int = _ANGLES) -> torch.Tensor:
    """Compute the line integrals of square slices.

    Parameters
    ----------
    per_mm_zyx : Tensor of float32, shape (z, n, n)
        Attenuation, 1/mm.
    pixel_mm : float
        Pixel size, and the pitch of the rays.
    angles : int
        Number of directions over half a turn; the first one runs along y.

    Returns
    -------
    Tensor of float32, shape (angles, z, n)
    """
    n = per_mm_zyx.shape[-1]
    unit = (torch.arange(n) + 0.5) * 2 / n - 1
    along, ray = torch.meshgrid(unit, unit, indexing="ij")
    sinogram = []
    for angle in _directions(angles):
        cos, sin = float(np.cos(angle)), float(np.sin(angle))
        where = torch.stack([ray * cos - along * sin, ray * sin + along * cos], dim=-1)[None]
        turned = functional.grid_sample(per_mm_zyx[None], where, mode="bilinear", align_corners=False)[0]
        sinogram.append(turned.sum(dim=1) * pixel_mm)
    return torch.stack(sinogram)


def back_project(
    sinogram: torch.Tensor,
    pitch_mm: float,
    x_mm: NDArray[np.float64],
    y_mm: NDArray[np.float64],
) -> torch.Tensor:
    """Reconstruct slices by filtered back-projection.

    Parameters
    ----------
    sinogram : Tensor of float32, shape (angles, z, rays)
        As `project` gives it.
    pitch_mm : float
        Distance between rays.
    x_mm, y_mm : ndarray
        Where to reconstruct, from the axis of rotation.

    Returns
    -------
    Tensor of float32, shape (z, y, x)
        Attenuation, 1/mm.
    """
    angles, slices, rays = sinogram.shape
    size = fft.next_fast_len(2 * rays, real=True)
    frequency = torch.fft.rfftfreq(size, pitch_mm)
    ramp = frequency * (0.5 + 0.5 * torch.cos(np.pi * frequency / frequency[-1]))
    grid_y, grid_x = (torch.from_numpy(v.astype(np.float32)) for v in (y_mm, x_mm))
    total = torch.zeros(len(y_mm) * len(x_mm), slices)
    last = rays * _UPSAMPLED - 1
    for view, angle in zip(sinogram, _directions(angles), strict=True):
        # Zeros beyond the highest frequency give rays at a quarter of the pitch, so that the nearest one will do.
        filtered = torch.fft.irfft(torch.fft.rfft(view, n=size) * ramp, n=size * _UPSAMPLED) * _UPSAMPLED
        fine = filtered[:, : last + 1].T.contiguous()
        across = grid_x[None] * float(np.cos(angle)) + grid_y[:, None] * float(np.sin(angle))
        index = ((across / pitch_mm + (rays - 1) / 2) * _UPSAMPLED).round().long().clamp(0, last)
        total += fine.index_select(0, index.flatten())
    image = total * float(np.pi / angles)
    return image.T.reshape(slices, len(y_mm), len(x_mm))


def measure(line_integrals: torch.Tensor, dose: Dose, rng: np.random.Generator) -> torch.Tensor:
    """Count photons, add electronic noise, clip at what is left of the signal, and take the logarithm again."""
    expected = dose.photons * np.exp(-line_integrals.numpy().astype(np.float64))
    counted = rng.poisson(expected) + rng.normal(0, dose.electronic, size=expected.shape)
    logarithm = np.log(dose.photons / np.maximum(counted, 0.5 * dose.electronic + 1))
    return torch.from_numpy(logarithm.astype(np.float32))


def starvation(hu_zyx: torch.Tensor, fine: Grid, target: Grid, dose: Dose, rng: np.random.Generator) -> torch.Tensor:
    """Return what the lack of photons between the shoulders adds to an image: streaks from left to right.

    The shoulders outside the field of view are drawn as an ellipse with the heads of the humeri.

    Parameters
    ----------
    hu_zyx : Tensor of float32, shape (z, y, x)
        Perfect image on ``fine``.
    fine, target : Grid
        Grid of the image, grid of the result.
    dose : Dose
        Of the scan.
    rng : Generator
        Source of the photons.

    Returns
    -------
    Tensor of float32, shape (z, y, x) of ``target``
        Difference in HU.
    """
    result = torch.zeros(target.shape_zyx)
    wide = torch.nonzero(shoulders(hu_zyx) > 0).flatten()
    z_fine, z_target = places(fine, 2), places(target, 2)
    if not len(wide):
        return result
    # Shoulders stand a little higher than where the neck widens into them.
    low, high = z_fine[int(wide[0])] - target.spacing_xyz[2], z_fine[int(wide[-1])] + float(rng.uniform(10, 32))
    affected = np.flatnonzero((z_target >= low) & (z_target <= high))
    if len(affected) < 2:
        return result
    levels = min(12, len(affected))
    coarse_z = np.linspace(low, high, levels)
    coarse = _with_shoulders(hu_zyx, fine, coarse_z, rng)
    integrals = project(coarse, _COARSE_MM)
    rays = int(coarse.shape[-1] * _COARSE_MM / _IMAGE_MM)
    # Slices in between, at a distance at which streaks still differ.
    slices = int(min(len(affected), _MAX_SHOULDER_SLICES))
    dense = functional.interpolate(
        integrals.permute(0, 2, 1).reshape(1, -1, levels), size=slices, mode="linear", align_corners=True
    ).reshape(_ANGLES, -1, slices)
    dense = functional.interpolate(dense.permute(0, 2, 1), size=rays, mode="linear", align_corners=False)
    error = measure(dense, dose, rng) - dense
    x_mm, y_mm = _image_places(target)
    image = back_project(error, _IMAGE_MM, x_mm, y_mm) * (1000 / WATER_PER_MM)
    spread = _between(np.linspace(low, high, slices), z_target[affected])
    rows, columns = cubic_matrix(y_mm, places(target, 1)), cubic_matrix(x_mm, places(target, 0))
    result[affected] = separable(image, spread, rows, columns)
    return result


def metal(
    hu_zyx: torch.Tensor, metal_hu: torch.Tensor, fine: Grid, target: Grid, dose: Dose, rng: np.random.Generator
) -> torch.Tensor:
    """Return what metal adds to an image: dark bands by beam hardening, and streaks where no photons pass.

    Parameters
    ----------
    hu_zyx : Tensor of float32, shape (z, y, x)
        Perfect image without metal on ``fine``.
    metal_hu : Tensor of float32, shape (z, y, x)
        What the metal adds to it, 0 for none.
    fine, target : Grid
        Grid of the image, grid of the result.
    dose : Dose
        Of the scan.
    rng : Generator
        Source of the photons.

    Returns
    -------
    Tensor of float32, shape (z, y, x) of ``target``
        Difference in HU.
    """
    result = torch.zeros(target.shape_zyx)
    with_metal = torch.nonzero(metal_hu.amax(dim=(1, 2)) > 0).flatten()
    if not len(with_metal):
        return result
    z_fine, z_target = places(fine, 2), places(target, 2)
    reach = max(fine.spacing_xyz[2], target.spacing_xyz[2])
    low, high = z_fine[int(with_metal[0])] - reach, z_fine[int(with_metal[-1])] + reach
    affected = np.flatnonzero((z_target >= low) & (z_target <= high))
    if not len(affected):
        return result
    slices = min(len(affected), _MAX_METAL_SLICES)
    z_mm = np.linspace(z_target[affected[0]], z_target[affected[-1]], slices)
    x_mm, y_mm = _image_places(target)
    n = max(len(x_mm), len(y_mm))
    square = _centred(n, _IMAGE_MM)
    thick = max(fine.spacing_xyz[2], (z_mm[1] - z_mm[0]) if slices > 1 else 1.0)
    along = profile_matrix(z_fine, z_mm, thick, 0.5)
    rows = profile_matrix(places(fine, 1), square, _IMAGE_MM, 0.5)
    columns = profile_matrix(places(fine, 0), square, _IMAGE_MM, 0.5)
    rows, columns = _only_inside(rows, square, places(fine, 1)), _only_inside(columns, square, places(fine, 0))
    tissue = separable((hu_zyx.clamp(-1000, 3000) / 1000 + 1) * WATER_PER_MM, along, rows, columns)
    hard = separable(metal_hu / 1000 * WATER_PER_MM, along, rows, columns)
    through_tissue, through_metal = project(tissue, _IMAGE_MM), project(hard, _IMAGE_MM)
    most = float(rng.uniform(1.0, 2.2))
    hardened = most * (1 - torch.exp(-through_metal / most))
    hardened = hardened + through_tissue
    error = measure(hardened, dose, rng) - through_tissue - through_metal
    error = error * torch.clamp(through_metal / 0.05, 0, 1)
    image = back_project(error, _IMAGE_MM, x_mm, y_mm) * (1000 / WATER_PER_MM)
    spread = _between(z_mm, z_target[affected])
    up = cubic_matrix(y_mm, places(target, 1)), cubic_matrix(x_mm, places(target, 0))
    result[affected] = separable(image, spread, *up)
    return result


def _directions(angles: int) -> NDArray[np.float64]:
    return np.arange(angles, dtype=np.float64) * (np.pi / angles)


def _centred(count: int, step_mm: float) -> NDArray[np.float64]:
    """Return places in millimetres around the axis of rotation, which is the centre of the field of view."""
    return (np.arange(count, dtype=np.float64) - (count - 1) / 2) * np.float64(step_mm)


def _image_places(target: Grid) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pixels of about a millimetre over the field of view, x and y."""
    counts = [int(np.ceil(target.shape_zyx[2 - axis] * target.spacing_xyz[axis] / _IMAGE_MM)) + 1 for axis in (0, 1)]
    return _centred(counts[0], _IMAGE_MM), _centred(counts[1], _IMAGE_MM)


def _between(source_mm: NDArray[np.float64], target_mm: NDArray[np.float64]) -> torch.Tensor:
    """Return the weights of linear interpolation, shape (target, source)."""
    if len(source_mm) == 1:
        return torch.ones(len(target_mm), 1)
    return profile_matrix(source_mm, target_mm, float(source_mm[1] - source_mm[0]), 0.0)


def _only_inside(weights: torch.Tensor, at_mm: NDArray[np.float64], source_mm: NDArray[np.float64]) -> torch.Tensor:
    """Leave air where a grid ends."""
    inside = (at_mm >= source_mm[0] - _IMAGE_MM / 2) & (at_mm <= source_mm[-1] + _IMAGE_MM / 2)
    return weights * torch.from_numpy(inside.astype(np.float32))[:, None]


def _with_shoulders(
    hu_zyx: torch.Tensor, fine: Grid, z_mm: NDArray[np.float64], rng: np.random.Generator
) -> torch.Tensor:
    """Return the attenuation of the complete cross-section, shape (z, n, n), 1/mm, on a coarse grid."""
    n = int(480 / _COARSE_MM)
    square = _centred(n, _COARSE_MM)
    along = profile_matrix(places(fine, 2), z_mm, _COARSE_MM, 0.5)
    rows, columns = (
        _only_inside(profile_matrix(places(fine, axis), square, _COARSE_MM, 0.5), square, places(fine, axis))
        for axis in (1, 0)
    )
    per_mm = separable((hu_zyx.clamp(-1000, 2000) / 1000 + 1) * WATER_PER_MM, along, rows, columns)
    share = (along @ shoulders(hu_zyx)[:, None])[:, 0]
    depth = (z_mm[-1] - z_mm) if share[0] > share[-1] else (z_mm - z_mm[0])
    half = float(rng.uniform(185, 225))
    edge = float(np.abs(places(fine, 0)).max())
    y, x = torch.meshgrid(torch.from_numpy(square).float(), torch.from_numpy(square).float(), indexing="ij")
    middle, thick = float(rng.uniform(0, 25)), float(rng.uniform(44, 60))
    outside = x.abs() > edge
    for k in range(len(z_mm)):
        width = edge + (half - edge) * float(np.clip(depth[k] / 40, 0, 1)) ** 0.7
        body = (x / width) ** 2 + ((y - middle) / thick) ** 2 < 1
        head = torch.hypot(x.abs() - (width - 38), y - middle) < 23 * float(np.clip(depth[k] / 20 - 0.5, 0, 1))
        per_mm[k][outside & body] = WATER_PER_MM * 1.03
        per_mm[k][outside & head] = WATER_PER_MM * 1.4
    return per_mm
