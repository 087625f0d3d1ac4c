"""A second scanner, for evaluation: reconstruction kernels, slice profile and noise of filtered back-projection.

Training images come from `synthesis.scanner`; nothing here is used for them, so that a network is judged on
images of a scanner that it has not seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch.nn import functional

from cspine.core.geometry import Grid

#: Attenuation of water at the energy of a neck CT, 1/mm.
WATER_PER_MM = 0.0192

_PAD = 16
_BATCH = 16
_NECK_MM = 120.0


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel as a function of spatial frequency.

    Parameters
    ----------
    name : str
        As a scanner's console would say it.
    cutoff_per_mm : float
        Frequency from which nothing passes, cycles per millimetre.
    boost, boost_per_mm : float
        Edge enhancement and the frequency at which it is strongest.
    """

    name: str
    cutoff_per_mm: float
    boost: float = 0.0
    boost_per_mm: float = 0.5

    def modulation(self, frequency_per_mm: torch.Tensor) -> torch.Tensor:
        """Return the modulation transfer at frequencies in cycles per millimetre; 1 at 0."""
        window = 0.5 + 0.5 * torch.cos(np.pi * (frequency_per_mm / self.cutoff_per_mm).clamp(max=1))
        square = (frequency_per_mm / self.boost_per_mm) ** 2
        return window * (1 + self.boost * square * torch.exp(1 - square))


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("smooth", 0.75),
        Kernel("standard", 1.05),
        Kernel("sharp", 1.5, boost=0.9, boost_per_mm=0.55),
    )
}


@dataclass(frozen=True)
class Reconstruction:
    """Settings of one reconstruction.

    Parameters
    ----------
    kernel : Kernel
        Of the slice plane.
    thickness_mm : float
        Full width at half maximum of the slice profile.
    flat : float
        Share of the profile's width that is flat: 0 is a triangle, 1 a box.
    noise_hu : float
        Standard deviation of the noise in the middle of a neck.
    seed : int
        Of the noise.
    """

    kernel: Kernel
    thickness_mm: float
    flat: float
    noise_hu: float
    seed: int


def reconstruct(hu_zyx: torch.Tensor, fine: Grid, target: Grid, settings: Reconstruction) -> torch.Tensor:
    """Pass a perfect image through the scanner.

    Parameters
    ----------
    hu_zyx : Tensor of float32, shape (z, y, x)
        On ``fine``, whose axes are those of ``target``.
    fine, target : Grid
        Grid of the image, grid of the result.
    settings : Reconstruction
        How to reconstruct.

    Returns
    -------
    Tensor of float32, shape (z, y, x) of ``target``
    """
    profile = profile_matrix(places(fine, 2), places(target, 2), settings.thickness_mm, settings.flat)
    rows = cubic_matrix(places(fine, 1), places(target, 1))
    columns = cubic_matrix(places(fine, 0), places(target, 0))
    image = separable(hu_zyx, profile, rows, columns)
    x_mm, y_mm, z_mm = target.spacing_xyz
    if settings.noise_hu <= 0:
        return filter_slices(image, settings.kernel, (y_mm, x_mm))
    strength, streaky = noise_strength(image, (y_mm, x_mm))
    rng = np.random.default_rng(settings.seed)
    white = torch.from_numpy(rng.standard_normal(tuple(image.shape), dtype=np.float32))
    overlap = float(np.clip(settings.thickness_mm / z_mm - 1, 0, 1)) * 0.5
    if overlap > 0.05:
        white = _mix_neighbours(white, overlap)
    noise = fbp_noise(white, settings.kernel, (y_mm, x_mm), streaky)
    image = filter_slices(image, settings.kernel, (y_mm, x_mm))
    return image.add_(noise.mul_(strength).mul_(settings.noise_hu))


def places(grid: Grid, axis: int) -> NDArray[np.float64]:
    """Return the millimetres of the voxel centres of a grid without rotation along x (0), y (1) or z (2)."""
    count = grid.shape_zyx[2 - axis]
    return np.asarray(grid.affine_lps[axis, 3] + grid.affine_lps[axis, axis] * np.arange(count), dtype=np.float64)


def separable(hu_zyx: torch.Tensor, z: torch.Tensor, y: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """Apply a matrix of shape (out, in) along each axis."""
    slices = (z @ hu_zyx.reshape(len(hu_zyx), -1)).reshape(len(z), *hu_zyx.shape[1:])
    return y @ (slices @ x.T)


def profile_matrix(
    source_mm: NDArray[np.float64], target_mm: NDArray[np.float64], thickness_mm: float, flat: float
) -> torch.Tensor:
    """Return the weights, shape (target, source), of each slice's trapezoidal profile, one voxel or more."""
    step = float(source_mm[1] - source_mm[0])
    width = max(thickness_mm, step)
    foot, shoulder = width / 2 * (2 - flat), width / 2 * flat
    distance = np.abs(target_mm[:, None] - source_mm[None])
    weights = np.clip((foot - distance) / max(foot - shoulder, 0.25 * step), 0, 1)
    beyond = weights.sum(axis=1) == 0
    weights[beyond, distance[beyond].argmin(axis=1)] = 1
    return torch.from_numpy((weights / weights.sum(axis=1, keepdims=True)).astype(np.float32))


def cubic_matrix(source_mm: NDArray[np.float64], target_mm: NDArray[np.float64]) -> torch.Tensor:
    """Return the weights, shape (target, source), of Catmull and Rom's interpolation; the ends are repeated."""
    count = len(source_mm)
    index = np.clip((target_mm - source_mm[0]) / (source_mm[1] - source_mm[0]), 0, count - 1)
    base = np.floor(index).astype(int)
    t = index - base
    weights = np.zeros((len(target_mm), count), dtype=np.float32)
    terms = (
        (-1, -0.5 * t + t**2 - 0.5 * t**3),
        (0, 1 - 2.5 * t**2 + 1.5 * t**3),
        (1, 0.5 * t + 2 * t**2 - 1.5 * t**3),
        (2, -0.5 * t**2 + 0.5 * t**3),
    )
    for offset, weight in terms:
        np.add.at(weights, (np.arange(len(target_mm)), np.clip(base + offset, 0, count - 1)), weight)
    return torch.from_numpy(weights)


def filter_slices(hu_zyx: torch.Tensor, kernel: Kernel, spacing_yx: tuple[float, float]) -> torch.Tensor:
    """Apply a kernel to each slice, in place."""
    rows, columns = hu_zyx.shape[1:]
    size = fft.next_fast_len(rows + 2 * _PAD, real=True), fft.next_fast_len(columns + 2 * _PAD, real=True)
    fy, fx = _frequencies(size, spacing_yx)
    transfer = kernel.modulation(torch.hypot(fy, fx))
    pad = (_PAD, size[1] - columns - _PAD, _PAD, size[0] - rows - _PAD)
    for start in range(0, len(hu_zyx), _BATCH):
        batch = hu_zyx[start : start + _BATCH]
        padded = functional.pad(batch[None], pad, mode="replicate")[0]
        passed = torch.fft.irfft2(torch.fft.rfft2(padded) * transfer, s=size)
        batch.copy_(passed[:, _PAD : _PAD + rows, _PAD : _PAD + columns])
    return hu_zyx


def fbp_noise(
    white_zyx: torch.Tensor, kernel: Kernel, spacing_yx: tuple[float, float], streaky: torch.Tensor
) -> torch.Tensor:
    """Give white noise the power spectrum of filtered back-projection, a ramp times the kernel squared, in place.

    Parameters
    ----------
    white_zyx : Tensor of float32, shape (z, y, x)
        White noise of unit deviation.
    kernel : Kernel
        Of the reconstruction.
    spacing_yx : tuple of float
        Pixel size, millimetres.
    streaky : Tensor of float32, shape (z,)
        How much more of the noise runs from left to right than from front to back, 0 for none.

    Returns
    -------
    Tensor of float32, shape (z, y, x)
        Noise of unit deviation.
    """
    rows, columns = white_zyx.shape[1:]
    fy, fx = _frequencies((rows, columns), spacing_yx)
    radius = torch.hypot(fy, fx)
    spectrum = torch.sqrt(radius + 0.01) * kernel.modulation(radius)
    # Streaks from left to right are waves from front to back.
    across = torch.exp(-((torch.atan2(fx.abs(), fy.abs()) / 0.25) ** 2))
    for start in range(0, len(white_zyx), _BATCH):
        batch = white_zyx[start : start + _BATCH]
        gain = spectrum * (1 + streaky[start : start + _BATCH, None, None] * across)
        noise = torch.fft.irfft2(torch.fft.rfft2(batch) * gain, s=(rows, columns))
        batch.copy_(noise / gain.square().mean(dim=(1, 2), keepdim=True).sqrt())
    return white_zyx


def noise_strength(hu_zyx: torch.Tensor, spacing_yx: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how strong the noise is at each voxel, 1 in the middle of a neck, and how streaky in each slice.

    The tube's current follows the patient, so the deviation grows with the fourth root of the attenuation. Where the
    body leaves the field of view, shoulders lie outside of it.
    """
    y_mm, x_mm = spacing_yx
    body = (hu_zyx > -400).float()
    outside = 140.0 * shoulders(hu_zyx)
    across_mm = functional.avg_pool1d(
        (body.sum(dim=2) * x_mm)[:, None], 2 * int(8 / y_mm) + 1, 1, int(8 / y_mm), count_include_pad=False
    )[:, 0]
    across_mm = across_mm + outside[:, None] * (across_mm > 0.8 * hu_zyx.shape[2] * x_mm)
    through_mm = body.sum(dim=1) * y_mm
    through_mm = functional.avg_pool1d(
        through_mm[:, None], 2 * int(8 / x_mm) + 1, 1, int(8 / x_mm), count_include_pad=False
    )[:, 0]
    rows = torch.exp(WATER_PER_MM * (across_mm - _NECK_MM) / 2)
    columns = torch.exp(WATER_PER_MM * (through_mm - _NECK_MM) / 2)
    strength = torch.sqrt(0.5 * (rows[:, :, None] + columns[:, None, :])).clamp(0.3, 3.5)
    excess = torch.clamp(across_mm.amax(dim=1) / through_mm.amax(dim=1).clamp(min=50) - 1.2, 0, 1.2)
    return strength, 1.5 * excess


def shoulders(hu_zyx: torch.Tensor) -> torch.Tensor:
    """Return for each slice how far shoulders lie outside the field of view: 0 for none, 1 for all, shape (z,)."""
    body = hu_zyx > -400
    share = torch.minimum(body[:, :, :2].float().mean(dim=(1, 2)), body[:, :, -2:].float().mean(dim=(1, 2)))
    return torch.clamp((share - 0.15) / 0.35, 0, 1)


def _frequencies(size: tuple[int, int], spacing_yx: tuple[float, float]) -> tuple[torch.Tensor, torch.Tensor]:
    fy = torch.fft.fftfreq(size[0], spacing_yx[0])[:, None]
    fx = torch.fft.rfftfreq(size[1], spacing_yx[1])[None]
    return fy, fx


def _mix_neighbours(white_zyx: torch.Tensor, share: float) -> torch.Tensor:
    """Share noise between neighbouring slices, which see the same rays; the deviation stays."""
    column = functional.pad(white_zyx[None], (0, 0, 0, 0, 1, 1), mode="replicate")[0]
    mixed = white_zyx + share * (column[:-2] + column[2:])
    return mixed / float(np.sqrt(1 + 2 * share**2))
