"""Soft tissue: at rest the atlas itself, beside a moved bone where that bone is in the atlas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import centred_grid
from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.people import People
from cspine.study.synthesis.neck.soft_tissue import Stance, atlas_points, column_points

STILL = Stance(np.eye(3), (), 0)
_GRID = centred_grid(np.array([40.0, 40.0, 60.0]), (2.0, 2.0, 2.0))


def _at_rest(people: People) -> list[PosedBone]:
    return [
        PosedBone(label, bone, "atlas", bone.origin_mm, bone.axes, np.ones(3))
        for label, bone in people.atlas.bones.items()
    ]


def _in_millimetres(unit: torch.Tensor, atlas: Atlas) -> np.ndarray:
    index = (unit[0].double().numpy() + 1) / 2 * (np.array(atlas.grid.shape_zyx[::-1]) - 1)
    return np.asarray(index @ atlas.affine_lps[:3, :3].T + atlas.affine_lps[:3, 3])


def test_without_a_stance_a_voxel_lies_where_the_grid_says() -> None:
    points = column_points(_GRID, np.array([10.0, 20, 30]), STILL)
    assert points.shape == (*_GRID.shape_zyx, 3)
    index = np.array([3, 7, 11])
    expected = _GRID.affine_lps[:3, :3] @ index + _GRID.affine_lps[:3, 3] + [10, 20, 30]
    assert points[11, 7, 3].tolist() == pytest.approx(expected.tolist(), abs=1e-4)


def test_a_rotated_patient_is_rotated_about_the_centre() -> None:
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    plain, rotated = (column_points(_GRID, np.zeros(3), Stance(axes, (), 0)).numpy() for axes in (np.eye(3), quarter))
    assert rotated == pytest.approx(plain @ quarter, abs=1e-3)


def test_an_elastic_patient_is_deformed_smoothly_and_by_the_seed() -> None:
    still = column_points(_GRID, np.zeros(3), STILL)
    first, same, other = (column_points(_GRID, np.zeros(3), Stance(np.eye(3), ((20.0, 1.5),), s)) for s in (1, 1, 2))
    assert torch.equal(first, same) and not torch.equal(first, other)
    shift = first - still
    assert 0.2 < float(shift.abs().mean()) < 3
    assert float(shift.diff(dim=0).abs().max()) < 1.5


def test_at_rest_every_point_is_the_atlas_itself(atlas: Atlas, solid_people: People) -> None:
    centre = solid_people.atlas.bones[5].origin_mm
    points = column_points(_GRID, centre, STILL)
    found = _in_millimetres(atlas_points(points, _at_rest(solid_people), atlas, solid_people.atlas), atlas)
    assert found == pytest.approx(points.numpy(), abs=0.05)


def test_tissue_moves_with_all_bones_together_and_most_with_the_nearest(atlas: Atlas, solid_people: People) -> None:
    centre = solid_people.atlas.bones[5].origin_mm
    points = column_points(_GRID, centre, STILL)
    rest = _at_rest(solid_people)
    shifted = [replace(bone, origin_mm=bone.origin_mm + np.array([4.0, 0, 0])) for bone in rest]
    all_moved = _in_millimetres(atlas_points(points, shifted, atlas, solid_people.atlas), atlas)
    assert all_moved == pytest.approx(points.numpy() - [4.0, 0, 0], abs=0.05)
    one = [replace(bone, origin_mm=bone.origin_mm + np.array([4.0 * (bone.label == 5), 0, 0])) for bone in rest]
    moved = points.numpy() - _in_millimetres(atlas_points(points, one, atlas, solid_people.atlas), atlas)
    near, far = moved[15, :, :, 0].mean(), moved[0, :, :, 0].mean()
    assert 0.8 < near < 4.0
    assert far < 0.5 * near


def test_beyond_the_first_bone_tissue_moves_as_one_with_it(atlas: Atlas, solid_people: People) -> None:
    top = solid_people.atlas.bones[1].origin_mm + np.array([0, 0, 260.0])
    points = column_points(_GRID, top, STILL)
    lifted = [
        replace(b, origin_mm=b.origin_mm + np.array([0, 3.0 * (b.label == 1), 0])) for b in _at_rest(solid_people)
    ]
    found = _in_millimetres(atlas_points(points, lifted, atlas, solid_people.atlas), atlas)
    assert found == pytest.approx(points.numpy() - [0, 3.0, 0], abs=0.1)
