"""Tetrahedra of simple solids."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.surfaces.implicit import ImplicitSurface, smooth_surface
from cspine.surfaces.quality import boundary_faces, quality_of, scaled_jacobians
from cspine.surfaces.relax import relaxed
from cspine.surfaces.stuffing import TetrahedralMesh, sampled, stuff
from cspine.surfaces.surface import enclosed_volume, is_closed
from tests.builders.solid_vertebrae import plate_with_hole, sphere_mask


@pytest.fixture(scope="module")
def ball() -> ImplicitSurface:
    return smooth_surface(*sphere_mask(9.0, (1.0, 1.0, 1.0)))


@pytest.mark.parametrize(("edge", "tolerance"), [(3.0, 0.05), (2.0, 0.025), (1.2, 0.01)])
def test_a_ball_is_filled(ball: ImplicitSurface, edge: float, tolerance: float) -> None:
    mesh = stuff(ball, edge)
    quality = quality_of(mesh)
    assert quality.inverted == 0
    assert quality.is_acceptable
    assert quality.volume_mm3 == pytest.approx(4 / 3 * np.pi * 9**3, rel=tolerance)
    assert 0.75 * edge < quality.mean_edge_mm < 1.05 * edge
    faces = boundary_faces(mesh.tetrahedra)
    assert is_closed(faces)
    assert enclosed_volume(mesh.points_lps, faces) == pytest.approx(quality.volume_mm3)


def test_an_edge_longer_than_the_margin_of_the_field_truncates_nothing() -> None:
    box = np.zeros((60, 60, 60), dtype=bool)
    box[2:-2, 2:-2, 2:-2] = True
    solid = smooth_surface(box, np.diag([0.3, 0.3, 0.3, 1.0]))
    mesh = stuff(solid, 5.0)
    outer = mesh.points_lps[np.unique(boundary_faces(mesh.tetrahedra))]
    assert np.abs(sampled(solid, outer)).max() < 0.05


def test_the_outer_nodes_lie_on_the_surface(ball: ImplicitSurface) -> None:
    mesh = stuff(ball, 2.0)
    outer = mesh.points_lps[np.unique(boundary_faces(mesh.tetrahedra))]
    assert np.abs(sampled(ball, outer)).max() < 0.01


def test_a_hole_stays_a_hole() -> None:
    mesh = stuff(smooth_surface(*plate_with_hole()), 1.5)
    faces = boundary_faces(mesh.tetrahedra)
    nodes = len(np.unique(faces))
    assert nodes - len(faces) * 3 // 2 + len(faces) == 0  # Euler number of a ring
    assert quality_of(mesh).volume_mm3 == pytest.approx(30 * 20 * 4 - 8 * 6 * 4, rel=0.06)


def test_relaxation_improves_the_worst_elements_and_inverts_none(ball: ImplicitSurface) -> None:
    before = stuff(ball, 2.0)
    after = relaxed(before, ball)
    worst = [scaled_jacobians(mesh.points_lps, mesh.tetrahedra).min() for mesh in (before, after)]
    assert worst[1] > worst[0] + 0.05
    assert quality_of(after).inverted == 0
    assert quality_of(after).volume_mm3 == pytest.approx(quality_of(before).volume_mm3, rel=0.005)
    np.testing.assert_array_equal(after.tetrahedra, before.tetrahedra)


def test_an_object_smaller_than_the_lattice_gives_no_element() -> None:
    mask = np.zeros((11, 11, 11), dtype=bool)
    mask[5, 5, 5] = True
    affine = np.diag([0.5, 0.5, 0.5, 1.0])
    mesh = stuff(smooth_surface(mask, affine), 5.0)
    assert len(mesh.tetrahedra) == 0 or quality_of(mesh).volume_mm3 < 1
    assert isinstance(relaxed(mesh, smooth_surface(mask, affine)), TetrahedralMesh)
