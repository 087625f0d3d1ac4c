"""The evaluation scanner: its kernels, its slices and its noise, none of which are those of training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.core.geometry import Grid
from cspine.study.synthesis.reconstruction import (
    KERNELS,
    Reconstruction,
    cubic_matrix,
    fbp_noise,
    filter_slices,
    noise_strength,
    profile_matrix,
    reconstruct,
)

_PIXEL = (0.5, 0.5)
_QUIET = Reconstruction(KERNELS["standard"], 1.0, 0.5, 0.0, 3)


def _grid(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> Grid:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = [-0.5 * s * (n - 1) for s, n in zip(spacing, reversed(shape), strict=True)]
    return Grid(shape, affine)


def _spectrum(noise: torch.Tensor) -> np.ndarray:
    """Mean power at each frequency of slices, in 10 rings from 0 to 1 per mm."""
    power = torch.fft.rfft2(noise).abs().square().mean(dim=0)
    radius = torch.hypot(torch.fft.fftfreq(noise.shape[1], 0.5)[:, None], torch.fft.rfftfreq(noise.shape[2], 0.5)[None])
    return np.array([float(power[(radius >= low) & (radius < low + 0.1)].mean()) for low in np.arange(0, 1, 0.1)])


def _noise(kernel: str, streaky: float = 0.0) -> torch.Tensor:
    white = torch.from_numpy(np.random.default_rng(0).standard_normal((12, 128, 128), dtype=np.float32))
    return fbp_noise(white, KERNELS[kernel], _PIXEL, torch.full((12,), streaky))


def _edge(kernel: str) -> np.ndarray:
    image = torch.zeros(1, 80, 80)
    image[:, :, 40:] = 1000.0
    return filter_slices(image, KERNELS[kernel], _PIXEL)[0, 40].numpy()


@pytest.mark.parametrize("kernel", list(KERNELS))
def test_the_noise_power_rises_like_a_ramp_and_falls_with_the_kernel(kernel: str) -> None:
    noise = _noise(kernel)
    assert float(noise.std()) == pytest.approx(1, rel=0.05)
    power = _spectrum(noise)
    peak = int(np.argmax(power))
    assert 1 <= peak <= 7
    assert power[0] < 0.6 * power[peak]
    if kernel != "sharp":
        assert power[9] < 0.05 * power[peak]


def test_a_sharper_kernel_has_finer_noise() -> None:
    peaks = [int(np.argmax(_spectrum(_noise(kernel)))) for kernel in ("smooth", "standard", "sharp")]
    assert peaks[0] <= peaks[1] < peaks[2]


def test_streaky_noise_runs_from_left_to_right() -> None:
    even, streaky = _noise("standard"), _noise("standard", 4.0)
    assert float(streaky.std()) == pytest.approx(1, rel=0.1)

    def means(noise: torch.Tensor) -> float:
        return float(noise.unfold(2, 40, 40).mean(dim=3).std() / noise.unfold(1, 40, 40).mean(dim=3).std())

    assert means(even) == pytest.approx(1, abs=0.2)
    assert means(streaky) > 2


def test_only_the_sharp_kernel_overshoots_at_an_edge_and_all_keep_the_level() -> None:
    for kernel, low, high in (("smooth", 0, 40), ("standard", 0, 40), ("sharp", 80, 400)):
        profile = _edge(kernel)
        assert low <= profile.max() - 1000 <= high
        assert low <= -profile.min() <= high
        assert profile[0] == pytest.approx(0, abs=3)
        assert profile[-1] == pytest.approx(1000, abs=3)


def test_a_smoother_kernel_has_a_wider_edge() -> None:
    widths = [float(np.diff(_edge(kernel)).max()) for kernel in ("smooth", "standard", "sharp")]
    assert widths[0] < 0.9 * widths[1] < 0.8 * widths[2]


@pytest.mark.parametrize(("thickness", "flat"), [(1.5, 0.0), (2.2, 0.6), (5.0, 0.3)])
def test_the_slice_profile_has_its_thickness_and_form(thickness: float, flat: float) -> None:
    source = np.arange(-10, 10, 0.1)
    (weights,) = profile_matrix(source, np.array([0.0]), thickness, flat).numpy()
    assert weights.sum() == pytest.approx(1)
    wide = source[weights >= 0.5 * weights.max()]
    assert np.ptp(wide) == pytest.approx(thickness, abs=0.25)
    assert np.ptp(source[weights > 0.99 * weights.max()]) == pytest.approx(thickness * flat, abs=0.3)
    assert np.ptp(source[weights > 0]) == pytest.approx(thickness * (2 - flat), abs=0.3)


def test_a_slice_thinner_than_the_source_still_has_weight() -> None:
    weights = profile_matrix(np.arange(0, 20, 0.8), np.arange(-2, 22, 0.35), 0.1, 1.0)
    assert torch.allclose(weights.sum(dim=1), torch.ones(len(weights)), atol=1e-5)


def test_interpolation_keeps_a_slope() -> None:
    source = np.arange(0, 10, 0.8)
    target = np.array([1.7, 3.3, 5.05])
    assert (cubic_matrix(source, target).numpy() @ source) == pytest.approx(target, abs=1e-5)


def test_what_lies_in_the_patient_stays_where_it_is() -> None:
    fine, target = _grid((40, 60, 50), (0.8, 0.8, 0.8)), _grid((21, 96, 80), (0.5, 0.5, 1.5))
    hu = torch.zeros(40, 60, 50)
    hu[20:26, 10:16, 30:36] = 1000.0
    image = reconstruct(hu, fine, target, replace(_QUIET, thickness_mm=3.0, flat=0.0))
    assert image.shape == target.shape_zyx

    def centre(field: torch.Tensor, grid: Grid) -> np.ndarray:
        index = np.indices(field.shape).reshape(3, -1) @ field.numpy().clip(0).ravel() / float(field.clamp(0).sum())
        return grid.affine_lps[:3, :3] @ index[::-1] + grid.affine_lps[:3, 3]

    assert centre(image, target) == pytest.approx(centre(hu, fine), abs=0.1)


def test_noise_is_stronger_in_the_centre_of_wide_slices() -> None:
    hu = torch.full((2, 100, 160), -1000.0)
    hu[0, 30:70, 50:110] = 40.0
    hu[1, 20:80, :] = 40.0
    strength, streaky = noise_strength(hu, (1.0, 1.0))
    assert float(strength[1, 50, 80]) > 1.5 * float(strength[0, 50, 80])
    assert float(strength[1, 50, 80]) > 1.2 * float(strength[1, 5, 80])
    assert float(streaky[1]) > float(streaky[0])


def test_overlapping_slices_share_their_noise() -> None:
    grid = _grid((30, 60, 60), (1.0, 1.0, 1.0))
    hu = torch.full((30, 60, 60), 40.0)

    def shared(thickness: float) -> float:
        settings = replace(_QUIET, thickness_mm=thickness, noise_hu=20.0)
        noise = (reconstruct(hu, grid, grid, settings) - 40).numpy()
        return float(np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1])

    assert shared(1.0) == pytest.approx(0, abs=0.05)
    assert shared(2.0) > 0.4


def test_the_same_settings_give_the_same_image_and_leave_their_input() -> None:
    grid = _grid((8, 40, 40), (1.0, 1.0, 1.0))
    hu = torch.full((8, 40, 40), 40.0)
    noisy = replace(_QUIET, noise_hu=20.0)
    first = reconstruct(hu, grid, grid, noisy)
    assert torch.equal(first, reconstruct(hu, grid, grid, noisy))
    assert not torch.equal(first, reconstruct(hu, grid, grid, replace(noisy, seed=4)))
    assert bool((hu == 40).all())
