"""What lies around a spine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.case import centred_grid
from cspine.study.synthesis.spine.column import Pose, sequence, stand
from cspine.study.synthesis.spine.forms import SpineForms
from cspine.study.synthesis.spine.surroundings import draw_tissue, other_bones, points_in_box


@pytest.fixture(scope="module")
def patient(solid_forms: SpineForms):
    rng = np.random.default_rng(2)
    poses = stand(solid_forms, sequence(rng, 12, 5), rng)
    centre = np.array([pose.origin_mm for pose in poses]).mean(axis=0)
    poses = tuple(Pose(p.label, p.origin_mm - centre, p.axes, p.scale_xyz) for p in poses)
    return centred_grid(np.array([380.0, 330.0, 700.0]), (6.0, 6.0, 6.0)), poses


def test_a_body_has_its_tissues_and_air_around(patient) -> None:
    grid, poses = patient
    tissue = draw_tissue(grid, poses, np.random.default_rng(0))
    assert tissue.shape == grid.shape_zyx and tissue.dtype == torch.uint8
    present = set(np.unique(tissue.numpy()))
    expected = {0, tissues.FAT, tissues.MUSCLE, tissues.LUNG, tissues.VESSEL, tissues.DISC, tissues.CANAL_CONTENT}
    assert expected | {tissues.CORD, tissues.AIRWAY} <= present


def test_lungs_lie_at_the_height_of_the_chest(patient) -> None:
    grid, poses = patient
    tissue = draw_tissue(grid, poses, np.random.default_rng(0)).numpy()
    z = np.flatnonzero((tissue == tissues.LUNG).any(axis=(1, 2))) * 6.0 + grid.affine_lps[2, 3]
    assert z.max() < poses[6].origin_mm[2] and z.min() > poses[-2].origin_mm[2]


def test_the_canal_runs_behind_the_bodies(patient) -> None:
    grid, poses = patient
    tissue = draw_tissue(grid, poses, np.random.default_rng(0)).numpy()
    for pose in poses[3:18:5]:
        z, y, x = np.rint((pose.canal_mm - grid.affine_lps[:3, 3]) / 6.0)[::-1].astype(int)
        near = set(np.unique(tissue[z, y - 1 : y + 2, x - 1 : x + 2]))
        assert near & {tissues.CORD, tissues.CANAL_CONTENT}


def test_ribs_skull_and_pelvis_are_bone_and_the_rest_is_not(patient) -> None:
    grid, poses = patient
    bone = other_bones(grid, poses, np.random.default_rng(0)).numpy()
    assert bone.shape == grid.shape_zyx and bone.dtype == np.float32
    share = np.count_nonzero(bone > 0) / bone.size
    assert 0.001 < share < 0.1
    heights = np.flatnonzero((bone > 0).any(axis=(1, 2))) * 6.0 + grid.affine_lps[2, 3]
    assert heights.max() > poses[0].origin_mm[2] + 20
    assert heights.min() < poses[-1].origin_mm[2]


def test_the_voxels_of_a_box_have_their_coordinates() -> None:
    grid = centred_grid(np.array([20.0, 20.0, 20.0]), (2.0, 2.0, 2.0))
    box, points = points_in_box(grid, np.array([1.0, -1.0, 3.0]), 2.5)
    assert points is not None
    assert points.shape[:3] == tuple(s.stop - s.start for s in box)
    assert (np.abs(points - np.array([1.0, -1.0, 3.0])) <= 2.5).all()
    origin = grid.affine_lps[:3, 3] + 2.0 * np.array([box[2].start, box[1].start, box[0].start])
    assert points[0, 0, 0] == pytest.approx(origin)
    assert points_in_box(grid, np.array([900.0, 0.0, 0.0]), 5.0)[1] is None
