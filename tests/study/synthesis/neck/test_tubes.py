"""Tubes: where they are defined, never in bone or air, and as bright as the requested contrast medium."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.study.synthesis.case import centred_grid
from cspine.study.synthesis.neck.column import PosedBone, random_column
from cspine.study.synthesis.neck.nearby import PointGrid
from cspine.study.synthesis.neck.people import People
from cspine.study.synthesis.neck.soft_tissue import Stance, column_points
from cspine.study.synthesis.neck.tubes import (
    Contrast,
    Tube,
    draw_tubes,
    random_ligament,
    random_plate,
    random_vessels,
)

_LINE = np.array([[-8.0, -3, -12], [2, 4, 0], [5, 4, 12]])
_TUBE = Tube(_LINE, np.array([2.0, 3.0, 1.5]), 400.0)


@pytest.fixture(scope="module")
def where() -> PointGrid:
    grid = centred_grid(np.array([40.0, 40.0, 40.0]), (0.5, 0.5, 0.5))
    return PointGrid(column_points(grid, np.zeros(3), Stance(np.eye(3), (), 0)), 0.5)


@pytest.fixture
def column(solid_people: People) -> tuple[PosedBone, ...]:
    return random_column(solid_people, np.random.default_rng(5))


def _distance(points: np.ndarray, tube: Tube) -> np.ndarray:
    """Radius less distance from the axis, positive inside, found by many balls along it."""
    best = np.full(points.shape[:-1], -np.inf)
    for a, b, ra, rb in zip(tube.line_mm, tube.line_mm[1:], tube.radius_mm, tube.radius_mm[1:], strict=False):
        for t in np.linspace(0, 1, 30):
            best = np.maximum(best, ra + t * (rb - ra) - np.linalg.norm(points - (a + t * (b - a)), axis=-1))
    return best


def test_a_tube_lies_where_it_is_defined(where: PointGrid) -> None:
    hu = torch.full(where.points_xyz.shape[:3], 50.0)
    draw_tubes(hu, where, [_TUBE], torch.ones_like(hu))
    inside = _distance(where.points_xyz.numpy(), _TUBE)
    assert hu.numpy()[inside > 0.35] == pytest.approx(400)
    assert hu.numpy()[inside < -0.35] == pytest.approx(50)
    edge = hu.numpy()[np.abs(inside) < 0.05]
    assert edge.mean() == pytest.approx(225, abs=25)


def test_a_vessel_stops_at_bone_and_metal_goes_through(where: PointGrid) -> None:
    free = torch.ones(where.points_xyz.shape[:3])
    free[:, :, :40] = 0  # bone on the right
    for through in (False, True):
        hu = torch.full(where.points_xyz.shape[:3], 50.0)
        draw_tubes(hu, where, [Tube(_LINE, _TUBE.radius_mm, 400.0, through)], free)
        assert bool((hu[:, :, :40] != 50).any()) == through
        assert bool((hu[:, :, 40:] == 400).any())


def test_a_tube_outside_the_grid_changes_nothing(where: PointGrid) -> None:
    hu = torch.full(where.points_xyz.shape[:3], 50.0)
    draw_tubes(hu, where, [Tube(_LINE + 100, _TUBE.radius_mm, 400.0)], torch.ones_like(hu))
    assert bool((hu == 50).all())


def test_vessels_run_on_both_sides_beside_the_bones(column: tuple[PosedBone, ...]) -> None:
    vessels = random_vessels(column, np.random.default_rng(0), Contrast(filled=1.0, calcified=0.0))
    assert len(vessels) >= 6
    centre = np.mean([bone.origin_mm for bone in column if bone.label <= 8], axis=0)
    sides = [np.sign(vessel.line_mm[2:8, 0] - centre[0]).mean() for vessel in vessels if len(vessel.line_mm) > 3]
    assert sorted(np.sign(sides).tolist()) == [-1] * 3 + [1] * 3
    assert all(vessel.radius_mm.min() >= 0.8 and vessel.radius_mm.max() <= 8.0 for vessel in vessels)
    assert not any(vessel.through_bone for vessel in vessels)


def test_without_contrast_all_vessels_have_one_plain_density(column: tuple[PosedBone, ...]) -> None:
    for seed in range(5):
        vessels = random_vessels(column, np.random.default_rng(seed), Contrast(filled=0.0, calcified=0.0))
        (hu,) = {vessel.hu for vessel in vessels}
        assert 30 <= hu <= 55


def test_arteries_and_veins_are_filled_alone_or_together(column: tuple[PosedBone, ...]) -> None:
    phases = set()
    for seed in range(30):
        vessels = random_vessels(column, np.random.default_rng(seed), Contrast(filled=1.0, calcified=0.0))
        densities = sorted({vessel.hu for vessel in vessels})
        assert len(densities) == 2
        phases.add(densities[0] > 160)
    assert phases == {True, False}


def test_strong_contrast_fills_both_and_calcifies_walls(column: tuple[PosedBone, ...]) -> None:
    plaques = 0
    for seed in range(10):
        contrast = Contrast(filled=1.0, strong=True, calcified=1.0)
        vessels = random_vessels(column, np.random.default_rng(seed), contrast)
        assert min(vessel.hu for vessel in vessels) >= 250
        plaques += sum(len(vessel.line_mm) == 2 for vessel in vessels)
    assert plaques > 10


def test_ligaments_and_plates_lie_in_front_of_the_bodies(column: tuple[PosedBone, ...]) -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        ligament, plate = random_ligament(column, rng), random_plate(column, rng)
        assert len(ligament) in (1, 2) and all(250 <= tube.hu <= 1100 for tube in ligament)
        bars = [tube for tube in plate if len(tube.line_mm) == len(plate[0].line_mm) and tube is not plate[1]]
        assert bars and all(tube.through_bone and tube.hu > 3000 for tube in plate)
        screws = len(plate) - 2
        assert screws in (4, 6, 8)
