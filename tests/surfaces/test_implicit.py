"""The smooth field of a mask."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.surfaces.implicit import smooth_surface
from cspine.surfaces.surface import extract, is_closed
from tests.builders.solid_vertebrae import plate_with_hole, sphere_mask


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.6, 0.5, 0.5)])
def test_a_ball_becomes_round_and_keeps_its_volume(spacing: tuple[float, float, float]) -> None:
    mask, affine = sphere_mask(9.0, spacing)
    surface = extract(smooth_surface(mask, affine), vertebra("C3"))
    assert surface.volume_mm3 == pytest.approx(mask.sum() * np.prod(spacing), rel=0.02)
    radius = np.linalg.norm(surface.points_lps, axis=1)
    assert np.abs(radius - 9.0).max() < 0.5 * max(spacing)
    assert radius.std() < 0.15 * max(spacing)


def test_the_surface_is_smoother_than_the_mask() -> None:
    mask, affine = sphere_mask(9.0, (1.0, 1.0, 1.0))
    roughness = [
        np.linalg.norm(extract(smooth_surface(mask, affine, n), vertebra("C3")).points_lps, axis=1).std()
        for n in (0, 2)
    ]
    assert roughness[1] < 0.5 * roughness[0]


def test_a_hole_stays_a_hole() -> None:
    surface = extract(smooth_surface(*plate_with_hole()), vertebra("C3"))
    edges = len(surface.triangles) * 3 // 2
    assert is_closed(surface.triangles)
    assert len(surface.points_lps) - edges + len(surface.triangles) == 0  # Euler number of a ring


def test_a_wall_of_one_voxel_stays_whole() -> None:
    mask = np.zeros((20, 24, 12), dtype=bool)
    mask[5:15, 5:19, 6] = True
    surface = extract(smooth_surface(mask, np.eye(4)), vertebra("C3"))
    edges = len(surface.triangles) * 3 // 2
    assert len(surface.points_lps) - edges + len(surface.triangles) == 2  # one closed surface without a handle
    assert np.ptp(surface.points_lps[:, 2]) > 8


def test_the_affine_places_the_surface() -> None:
    mask, affine = sphere_mask(6.0, (1.0, 1.0, 1.0))
    affine[:3, 3] += 100, -50, 7
    points = extract(smooth_surface(mask, affine), vertebra("C3")).points_lps
    np.testing.assert_allclose((points.min(axis=0) + points.max(axis=0)) / 2, (100, -50, 7), atol=0.05)
