"""Surfaces of the 3-D view: where the vertebrae are, with normals that point outwards."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.page.solids import STEP_MM, UNIT_MM, solids_of
from cspine.report.scene import scene_of
from tests.builders.spine_phantom import MODEL, Phantom, volumes

PHANTOM = Phantom(labels=(3, 4))


def ball(radius_mm: float, affine: np.ndarray) -> tuple[LabelVolume, CtVolume]:
    labels = np.zeros((40, 60, 80), dtype=np.uint8)
    z, y, x = np.indices(labels.shape)
    points = np.stack([x, y, z], axis=-1) @ affine[:3, :3].T
    centre = np.array([40, 30, 20]) @ affine[:3, :3].T
    labels[np.linalg.norm(points - centre, axis=-1) <= radius_mm] = 5
    return LabelVolume(labels, affine, MODEL), CtVolume(np.zeros(labels.shape, dtype=np.int16), affine)


@pytest.mark.parametrize("axes", [np.diag([0.5, 0.5, 1.0]), np.array([[0, 0.6, 0], [0, 0, 0.8], [0.6, 0, 0]])])
def test_a_ball_stays_a_ball(axes: np.ndarray) -> None:
    affine = np.eye(4)
    affine[:3, :3] = axes
    (solid,) = solids_of(scene_of(*reversed(ball(9.0, affine))))
    points = solid.points_lps * UNIT_MM
    outwards = points - points.mean(axis=0)
    radius = np.linalg.norm(outwards, axis=1)
    assert np.abs(radius - 9.0).max() < 0.6 * STEP_MM
    cosines = (outwards / radius[:, None] * solid.normals_lps / 127).sum(axis=1)
    assert np.abs(cosines).min() > 0.9
    assert len(np.unique(np.sign(cosines))) == 1
    assert solid.triangles.max() < len(points)


def test_solids_lie_as_in_the_patient() -> None:
    labels, ct = volumes(PHANTOM)
    upper, lower = solids_of(scene_of(ct, labels))
    assert (upper.level.name, lower.level.name) == ("C3", "C4")
    distance = (upper.points_lps.mean(axis=0) - lower.points_lps.mean(axis=0)) * UNIT_MM
    assert distance == pytest.approx([0, 0, PHANTOM.step_mm], abs=0.5)


def test_the_orientation_of_the_array_moves_nothing() -> None:
    labels, ct = volumes(PHANTOM)
    change = reorientation(ct.affine_lps, "PSL")
    affine = change.grid(ct.grid).affine_lps
    other = scene_of(
        CtVolume(change.apply(ct.hu_zyx), affine), LabelVolume(change.apply(labels.labels_zyx), affine, MODEL)
    )
    for one, two in zip(solids_of(scene_of(ct, labels)), solids_of(other), strict=True):
        assert np.array_equal(one.points_lps, two.points_lps)


def test_a_speck_has_no_surface() -> None:
    labels, ct = volumes(PHANTOM)
    marked = labels.labels_zyx.copy()
    marked[5, 5, 5] = 7
    found = solids_of(scene_of(ct, LabelVolume(marked, labels.affine_lps, MODEL)))
    assert [solid.level.name for solid in found] == ["C3", "C4"]


def test_the_middle_of_all_vertebrae_is_the_origin() -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    (solid,) = solids_of(scene_of(ct, labels))
    low, high = solid.points_lps.min(axis=0) * UNIT_MM, solid.points_lps.max(axis=0) * UNIT_MM
    assert (low + high) / 2 == pytest.approx([0, 0, 0], abs=1.5)
