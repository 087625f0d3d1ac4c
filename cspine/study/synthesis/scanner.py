"""The image of a neck in a CT scanner: blur, slice profile, noise, streaks, table, field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from cspine.study.synthesis.deformation import smooth_noise

AIR_HU = -1000.0


@dataclass(frozen=True)
class Acquisition:
    """Settings of one acquisition, drawn by `random_scan`.

    Parameters
    ----------
    blur_mm : float
        Standard deviation of the point spread within a slice.
    slice_mm : float
        Slice thickness.
    pixel_mm : float
        Pixel size at which the image was stored before it came here; 0 where it is not coarser than the grid.
    sharpness : float
        Edge enhancement of the reconstruction kernel, 0 for none.
    shell : bool
        True where a thin mask or collar lies around the body.
    noise_hu : float
        Standard deviation of the noise at the neck.
    noise_grain_mm : float
        Correlation of the noise within a slice.
    streaks : float
        Strength of metal and shoulder streaks, 0 for none.
    table : bool
        True where the table is in the field of view.
    circular : bool
        True where the image is masked by the reconstruction circle.
    seed : int
        Of the noise.
    """

    blur_mm: float
    slice_mm: float
    pixel_mm: float
    sharpness: float
    shell: bool
    noise_hu: float
    noise_grain_mm: float
    streaks: float
    table: bool
    circular: bool
    seed: int


def random_scan(rng: np.random.Generator, coarse_share: float = 0.25) -> Acquisition:
    """Draw an acquisition: blur 0.3 to 1.2 mm, slices 0.6 to 5 mm, pixels up to 4.8 mm, noise 3 to 140 HU."""
    return Acquisition(
        blur_mm=float(rng.uniform(0.3, 1.2)),
        slice_mm=float(
            rng.choice([0.6, 1.0, 1.25, 2.0, 2.5, 3.0, 4.0, 5.0], p=[0.2, 0.2, 0.13, 0.14, 0.1, 0.14, 0.05, 0.04])
        ),
        pixel_mm=float(rng.uniform(1.5, 4.8)) if rng.random() < coarse_share else 0.0,
        sharpness=float(rng.uniform(0.2, 1.6)) if rng.random() < 0.3 else 0.0,
        shell=bool(rng.random() < 0.25),
        noise_hu=float(np.exp(rng.uniform(np.log(3), np.log(140)))),
        noise_grain_mm=float(rng.uniform(0.4, 2.2)),
        streaks=float(rng.choice([0.0, 1.0])) * float(np.exp(rng.uniform(np.log(15), np.log(220)))),
        table=bool(rng.random() < 0.6),
        circular=bool(rng.random() < 0.3),
        seed=int(rng.integers(2**31)),
    )


def acquire(hu_zyx: torch.Tensor, spacing_mm: float, scan: Acquisition) -> torch.Tensor:
    """Pass a perfect image through a scanner.

    Parameters
    ----------
    hu_zyx : Tensor of float32, shape (z, y, x)
        Axes to L, P, S; isotropic.
    spacing_mm : float
        Voxel size.
    scan : Acquisition
        Settings of the acquisition.

    Returns
    -------
    Tensor of float32, shape (z, y, x)
    """
    rng = np.random.default_rng(scan.seed)
    hu = hu_zyx.clone()
    metal = hu > 1800
    if scan.shell:
        _add_shell(hu, spacing_mm, rng)
    if scan.table:
        _add_table(hu, spacing_mm, rng)
    hu = _blur_in_plane(hu, scan.blur_mm / spacing_mm)
    if scan.streaks > 0:
        hu += _streaks(hu, metal, spacing_mm, scan.streaks, rng)
    hu = _slice_profile(hu, scan.slice_mm / spacing_mm)
    hu += _noise(hu, spacing_mm, scan, rng)
    if scan.sharpness > 0:
        hu += scan.sharpness * (hu - _blur_in_plane(hu, 1.0 / spacing_mm))
    if scan.pixel_mm > 1.2 * spacing_mm:
        hu = _coarse_pixels(hu, scan.pixel_mm / spacing_mm, averaged=bool(rng.random() < 0.6))
    if scan.circular:
        hu[:, _outside_circle(hu.shape[1], hu.shape[2], rng)] = -1024.0
    return torch.clamp(hu, -1024, 3071)


def _add_table(hu: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Put a flat or a hollow table, or a head holder, behind the body, in place."""
    body = (hu > -500).any(dim=0).any(dim=1)
    if not bool(body.any()):
        return
    back = int(torch.nonzero(body).max()) + round(rng.uniform(2, 25) / spacing_mm)
    thickness = max(1, round(rng.uniform(2, 9) / spacing_mm))
    curve = rng.uniform(0, 0.004) * spacing_mm
    x = torch.arange(hu.shape[2]) - hu.shape[2] / 2
    top = back - (curve * x * x).round().long()
    y = torch.arange(hu.shape[1])[:, None]
    slab = (y >= top[None]) & (y < top[None] + thickness)
    hollow = (y >= top[None]) & (y < top[None] + 5 * thickness)
    empty = hu < -700
    if rng.random() < 0.5:
        hu[empty & hollow[None]] = float(rng.uniform(-990, -850))
    hu[empty & slab[None]] = float(rng.uniform(-700, 150))


def _add_shell(hu: torch.Tensor, spacing_mm: float, rng: np.random.Generator) -> None:
    """Put a thin plastic shell (a mask, a collar) around the body, in place, over a part of its height."""
    low, high = sorted(int(v) for v in rng.integers(0, hu.shape[0] + 1, size=2))
    if high - low < 4:
        return
    body = (hu[low:high] > -500).float()[:, None]
    gap, thick = max(1, round(rng.uniform(0, 8) / spacing_mm)), max(1, round(rng.uniform(1.5, 5) / spacing_mm))
    inner = functional.max_pool2d(body, 2 * gap + 1, stride=1, padding=gap)
    outer = functional.max_pool2d(inner, 2 * thick + 1, stride=1, padding=thick)
    hu[low:high][(outer > inner)[:, 0] & (hu[low:high] < -700)] = float(rng.uniform(-750, 50))


def _coarse_pixels(hu: torch.Tensor, factor: float, averaged: bool) -> torch.Tensor:
    """Sample each slice at coarser pixels, averaged over them or not, and interpolate back."""
    rows, columns = hu.shape[1:]
    small = (max(8, round(rows / factor)), max(8, round(columns / factor)))
    stack = functional.interpolate(hu[:, None], size=small, mode="bilinear", antialias=averaged, align_corners=False)
    return functional.interpolate(stack, size=(rows, columns), mode="bilinear", align_corners=False)[:, 0]


def _kernel(sigma: float) -> torch.Tensor:
    radius = max(1, int(np.ceil(2.5 * sigma)))
    kernel = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / max(sigma, 1e-3)) ** 2)
    return (kernel / kernel.sum()).float()


def _blur_in_plane(hu: torch.Tensor, sigma: float) -> torch.Tensor:
    kernel = _kernel(sigma)
    pad = len(kernel) // 2
    stack = functional.pad(hu[:, None], (pad, pad, pad, pad), mode="replicate")
    stack = functional.conv2d(stack, kernel.view(1, 1, 1, -1))
    return functional.conv2d(stack, kernel.view(1, 1, -1, 1))[:, 0]


def _slice_profile(hu: torch.Tensor, thickness: float) -> torch.Tensor:
    """Average along z over the slice thickness, sample at that pitch, and interpolate back."""
    slices = hu.shape[0]
    if thickness <= 1.2:
        return hu
    half = max(0, round((thickness - 1) / 2))
    column = hu.permute(1, 2, 0).reshape(1, -1, slices)
    column = functional.pad(column, (half, half), mode="replicate")
    column = functional.avg_pool1d(column, 2 * half + 1, stride=1) if half else column
    count = max(2, round(slices / thickness))
    column = functional.interpolate(column, size=count, mode="linear", align_corners=False)
    column = functional.interpolate(column, size=slices, mode="linear", align_corners=False)
    return column.reshape(hu.shape[1], hu.shape[2], slices).permute(2, 0, 1).contiguous()


def _noise(hu: torch.Tensor, spacing_mm: float, scan: Acquisition, rng: np.random.Generator) -> torch.Tensor:
    """Correlated noise, stronger in slices with much to shine through."""
    noise = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32))
    grain = scan.noise_grain_mm / spacing_mm / 2
    if grain > 0.35:
        noise = _blur_in_plane(noise, grain)
        noise = noise / noise.std()
    width = (hu > -300).float().sum(dim=2).amax(dim=1) * spacing_mm
    strength = torch.clamp((width / 160) ** 1.5, 0.5, 2.5)
    return noise * scan.noise_hu * strength[:, None, None]


def _streaks(
    hu: torch.Tensor, metal: torch.Tensor, spacing_mm: float, strength: float, rng: np.random.Generator
) -> torch.Tensor:
    """Return the streaks from metal, star-like in its slices, and horizontal ones between wide shoulders."""
    slices, rows, columns = hu.shape
    width = (hu > -300).float().sum(dim=2).amax(dim=1) * spacing_mm
    shoulders = torch.clamp((width - 170) / 80, 0, 1)
    lines = smooth_noise(rng, (slices, rows, columns), (2.0, 1.2, max(20.0, 50 / spacing_mm)))
    total = lines * (strength * shoulders)[:, None, None]
    amounts = metal.flatten(1).sum(dim=1)
    y, x = torch.meshgrid(torch.arange(rows).float(), torch.arange(columns).float(), indexing="ij")
    for k in torch.nonzero(amounts > 3 / spacing_mm**2).flatten().tolist():
        found = torch.nonzero(metal[k]).float()
        cy, cx = found.mean(dim=0)
        angle = torch.atan2(y - cy, x - cx)
        distance = torch.hypot(y - cy, x - cx) * spacing_mm
        star = torch.zeros_like(angle)
        for frequency in (5, 9, 16, 27):
            star += torch.sin(frequency * angle + float(rng.uniform(0, 2 * np.pi))) * float(rng.uniform(0.3, 1.0))
        total[k] += strength * star * torch.exp(-distance / 45)
    return total * (hu > -900)


def _outside_circle(rows: int, columns: int, rng: np.random.Generator) -> torch.Tensor:
    radius = 0.5 * min(rows, columns) * rng.uniform(1.0, 1.25)
    y, x = torch.meshgrid(torch.arange(rows) - rows / 2, torch.arange(columns) - columns / 2, indexing="ij")
    return torch.hypot(y.float(), x.float()) > radius
