"""Artefacts from the projections: a disc comes back as it was, and what is missing in the rays shows as streaks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.core.geometry import Grid
from cspine.study.synthesis.projection import Dose, back_project, measure, metal, project, starvation
from cspine.study.synthesis.reconstruction import WATER_PER_MM

_STEP = 2.0


def _grid(slices: int = 12, side: int = 60) -> Grid:
    affine = np.diag([_STEP, _STEP, _STEP, 1.0])
    affine[:3, 3] = -0.5 * _STEP * np.array([side - 1, side - 1, slices - 1])
    return Grid((slices, side, side), affine)


def _disc(side: int, pixel_mm: float, centre_xy: tuple[float, float], radius: float) -> torch.Tensor:
    position = (torch.arange(side) - (side - 1) / 2) * pixel_mm
    return (torch.hypot(position[None] - centre_xy[0], position[:, None] - centre_xy[1]) < radius).float()


def _neck(wide: bool) -> torch.Tensor:
    """A neck whose lower half leaves the field of view at both sides."""
    hu = torch.full(_grid().shape_zyx, -1000.0)
    hu[:, 15:45, 15:45] = 40.0
    if wide:
        hu[:6, 12:48] = 40.0
    return hu


def test_line_integrals_are_chords_through_a_disc() -> None:
    sinogram = project(_disc(101, 1.0, (10.0, -5.0), 20.0)[None] * WATER_PER_MM, 1.0, angles=36)
    assert sinogram.shape == (36, 1, 101)
    assert sinogram.amax(dim=2).numpy() == pytest.approx(40 * WATER_PER_MM, rel=0.05)
    # The first direction runs along y, so its rays differ in x.
    weight = sinogram[0, 0].numpy()
    assert (weight * (np.arange(101) - 50)).sum() / weight.sum() == pytest.approx(10, abs=0.2)


def test_back_projection_undoes_projection() -> None:
    disc = _disc(101, 1.0, (12.0, -7.0), 18.0)[None] * WATER_PER_MM
    position = (np.arange(81) - 40) * 1.0
    image = back_project(project(disc, 1.0, angles=180), 1.0, position, position)[0]
    expected = disc[0, 10:91, 10:91]
    inner, outer = _disc(81, 1.0, (12.0, -7.0), 14.0) > 0, _disc(81, 1.0, (12.0, -7.0), 22.0) == 0
    assert float((image - expected)[inner].abs().mean()) < 0.05 * WATER_PER_MM
    assert float(image[outer].abs().mean()) < 0.05 * WATER_PER_MM


def test_few_photons_make_noise_and_never_more_than_the_clip_allows() -> None:
    rng = np.random.default_rng(0)
    deviations = []
    for through in (2.0, 6.0):
        measured = measure(torch.full((50, 4, 50), through), Dose(1e5), rng)
        assert float(measured.mean()) == pytest.approx(through, abs=0.05)
        deviations.append(float(measured.std()))
    assert deviations[1] > 5 * deviations[0]
    starved = measure(torch.full((50, 4, 50), 14.0), Dose(1e4), rng)
    assert bool(torch.isfinite(starved).all())
    assert float(starved.max()) <= np.log(1e4)


def test_shoulders_streak_from_left_to_right_and_leave_the_neck_alone() -> None:
    grid = _grid()
    change = starvation(_neck(wide=True), grid, grid, Dose(2e4), np.random.default_rng(1))
    assert change.shape == grid.shape_zyx
    low = change[:5, 15:45, 10:50]
    # The mean over a stretch of a row keeps a streak that runs along it; that over a column does not.
    along, across = low.unfold(2, 20, 20).mean(dim=3).std(), low.unfold(1, 20, 10).mean(dim=3).std()
    assert float(low.std()) > 10
    assert float(along) > 2 * float(across)
    assert not bool(starvation(_neck(wide=False), grid, grid, Dose(2e4), np.random.default_rng(1)).any())


def test_more_photons_leave_less_of_the_streaks() -> None:
    grid = _grid()
    few, many = (
        float(starvation(_neck(wide=True), grid, grid, Dose(n), np.random.default_rng(1)).std()) for n in (1e4, 1e6)
    )
    assert few > 3 * many


def test_two_pieces_of_metal_darken_what_lies_between_them() -> None:
    grid = _grid()
    added = torch.zeros(grid.shape_zyx)
    for x in (20, 38):
        added[5:8, 29:32, x : x + 3] = 20000.0
    change = metal(_neck(wide=False), added, grid, grid, Dose(1e6), np.random.default_rng(2))
    between, beside = change[6, 30, 26:35], change[6, 20, 26:35]
    assert float(between.mean()) < float(beside.mean()) - 100
    assert not bool(change[:3].any())
    assert not bool(metal(_neck(wide=False), added * 0, grid, grid, Dose(1e6), np.random.default_rng(2)).any())


def test_the_same_source_of_photons_gives_the_same_streaks() -> None:
    grid = _grid()
    first, again = (starvation(_neck(wide=True), grid, grid, Dose(2e4), np.random.default_rng(1)) for _ in range(2))
    assert torch.equal(first, again)
