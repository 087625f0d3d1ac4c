"""What each part of an acquisition does to a perfect image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.study.synthesis.scanner import Acquisition, acquire, random_scan
from tests.builders.tiny_atlas import PERFECT

_SHAPE = (40, 60, 60)


def _body() -> torch.Tensor:
    hu = torch.full(_SHAPE, -1000.0)
    hu[:, 10:40, 10:50] = 40.0
    return hu


def test_a_perfect_scanner_changes_nothing_nor_does_it_touch_its_input() -> None:
    hu = _body()
    assert torch.allclose(acquire(hu, 1.0, PERFECT), hu, atol=1e-3)
    acquire(hu, 1.0, replace(PERFECT, noise_hu=50.0, table=True, circular=True))
    assert torch.equal(hu, _body())


def test_the_same_settings_give_the_same_image() -> None:
    scan = random_scan(np.random.default_rng(4))
    assert torch.equal(acquire(_body(), 1.0, scan), acquire(_body(), 1.0, scan))
    noisy = replace(scan, noise_hu=20.0)
    assert not torch.equal(acquire(_body(), 1.0, noisy), acquire(_body(), 1.0, replace(noisy, seed=scan.seed + 1)))


@pytest.mark.parametrize("seed", range(6))
def test_values_stay_in_the_range_of_ct(seed: int) -> None:
    hu = _body()
    hu[10:14, 20:24, 20:24] = 3000.0
    result = acquire(hu, 1.0, random_scan(np.random.default_rng(seed)))
    assert result.shape == hu.shape
    assert bool(torch.isfinite(result).all())
    assert result.min() >= -1024
    assert result.max() <= 3071


def test_noise_has_its_deviation() -> None:
    noise = acquire(_body(), 1.0, replace(PERFECT, noise_hu=20.0)) - _body()
    inside = noise[:, 12:38, 12:48]
    assert float(inside.std()) == pytest.approx(20 * 0.5, rel=0.1)  # 40 mm of body let much through
    assert abs(float(inside.mean())) < 1
    grainy = acquire(_body(), 1.0, replace(PERFECT, noise_hu=20.0, noise_grain_mm=2.0)) - _body()
    assert float(torch.diff(grainy[:, 12:38, 12:48], dim=2).std()) < 0.8 * float(torch.diff(inside, dim=2).std())


def test_blur_keeps_the_mass_and_stays_within_the_slice() -> None:
    hu = torch.zeros(_SHAPE)
    hu[20, 30, 30] = 1000.0
    blurred = acquire(hu, 1.0, replace(PERFECT, blur_mm=1.2))
    assert float(blurred[20].sum()) == pytest.approx(1000, rel=1e-3)
    assert float(blurred[[19, 21]].abs().max()) == 0
    assert int(blurred.argmax()) == int(hu.argmax())


@pytest.mark.parametrize("slice_mm", [2.0, 3.0, 4.0])
def test_thick_slices_blur_along_z_without_moving_anything(slice_mm: float) -> None:
    hu = torch.zeros(_SHAPE)
    hu[7:11] = 1000.0  # not in the centre, where a wrong scale would not show
    thick = acquire(hu, 1.0, replace(PERFECT, slice_mm=slice_mm))[:, 30, 30]
    centre = float((thick * torch.arange(40)).sum() / thick.sum())
    assert centre == pytest.approx(8.5, abs=0.3)
    assert float(thick.sum()) == pytest.approx(4000, rel=0.1)
    assert float(thick[6] + thick[11]) > 100


def test_the_table_lies_behind_the_body_and_in_air_only() -> None:
    wide = torch.full((4, 60, 140), -1000.0)
    wide[:, 10:40, 5:135] = 40.0  # so wide that a curved table meets its sides
    for seed in range(12):
        hu = acquire(wide, 1.0, replace(PERFECT, table=True, seed=seed))
        assert torch.equal(hu[:, 10:40, 5:135], wide[:, 10:40, 5:135])
        new = (hu - wide).abs() > 1
        assert bool(new.any())
        assert not bool(new[:, :41, 60:80].any())  # y grows towards the back


def test_metal_streaks_stay_in_the_slices_of_the_metal_and_out_of_the_air() -> None:
    hu = _body()
    hu[15:18, 20:24, 20:24] = 2500.0
    change = (acquire(hu, 1.0, replace(PERFECT, streaks=100.0)) - hu).abs()
    change[15:18, 20:24, 20:24] = 0
    assert float(change[15:18].max()) > 30
    assert float(change[:15].max()) < 1e-3
    assert float(change[18:].max()) < 1e-3
    assert float(change[hu == -1000].max()) < 1e-3


def test_wide_shoulders_give_horizontal_streaks() -> None:
    hu = torch.full((12, 30, 300), 40.0)
    change = acquire(hu, 1.0, replace(PERFECT, streaks=100.0)) - hu
    assert float(change.std()) > 30
    assert float(torch.diff(change, dim=2).std()) < 0.2 * float(torch.diff(change, dim=1).std())


def test_the_reconstruction_circle_masks_the_corners() -> None:
    hu = acquire(_body(), 1.0, replace(PERFECT, circular=True))
    assert (hu[:, 0, 0] == -1024).all()
    assert torch.allclose(hu[:, 20:40, 20:40], _body()[:, 20:40, 20:40], atol=1e-3)


def test_random_scans_follow_their_seed_and_stay_in_their_ranges() -> None:
    scans: list[Acquisition] = [random_scan(np.random.default_rng(seed)) for seed in range(60)]
    assert scans == [random_scan(np.random.default_rng(seed)) for seed in range(60)]
    assert all(0.3 <= s.blur_mm <= 1.2 and 0.6 <= s.slice_mm <= 5 and 3 <= s.noise_hu <= 140 for s in scans)
    assert all(s.streaks == 0 or 15 <= s.streaks <= 220 for s in scans)
    assert {s.table for s in scans} == {s.circular for s in scans} == {True, False}
    assert 0 < sum(s.streaks == 0 for s in scans) < 60
    assert {s.shell for s in scans} == {True, False}
    assert all(s.pixel_mm == 0 or 1.5 <= s.pixel_mm <= 4.8 for s in scans)
    assert 0 < sum(s.pixel_mm > 0 for s in scans) < 30
    assert not any(random_scan(np.random.default_rng(seed), coarse_share=0.0).pixel_mm for seed in range(30))
    assert all(s.sharpness == 0 or 0.2 <= s.sharpness <= 1.6 for s in scans)


def test_coarse_pixels_keep_the_mean_and_lose_the_detail() -> None:
    hu = torch.from_numpy(np.random.default_rng(0).normal(0, 100, (4, 40, 40)).astype(np.float32))
    for seed in range(3):
        coarse = acquire(hu, 1.0, replace(PERFECT, pixel_mm=4.0, seed=seed))
        assert coarse.shape == hu.shape
        assert float(coarse.mean()) == pytest.approx(float(hu.mean()), abs=8)
        assert float(coarse.diff(dim=2).std()) < 0.5 * float(hu.diff(dim=2).std())


def test_a_sharp_kernel_overshoots_at_an_edge_and_a_shell_lies_outside_the_body() -> None:
    hu = torch.full((20, 40, 40), -1000.0)
    hu[:, 10:30, 10:30] = 40.0
    sharp = acquire(hu, 1.0, replace(PERFECT, sharpness=1.0))
    assert float(sharp[10, 20, 11]) > 60
    shelled = acquire(hu, 1.0, replace(PERFECT, shell=True, seed=4))
    changed = (shelled - acquire(hu, 1.0, PERFECT)).abs() > 100
    assert changed.any()
    assert not changed[:, 10:30, 10:30].any()
