"""Bones on a grid: each voxel has one vertebra, neighbours keep the gap of their joint, fused ones touch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.core.geometry import Grid
from cspine.study.synthesis.case import centred_grid
from cspine.study.synthesis.neck.bones import BoneFields, bone_fields
from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.form import distance_to
from cspine.study.synthesis.neck.people import People
from cspine.study.synthesis.neck.wear import DISC, LEFT, RIGHT, Joints, random_joints
from tests.study.synthesis.neck.test_form import NONE

_GRID = centred_grid(np.array([40.0, 60.0, 30.0]), (0.5, 0.5, 0.5))


def _points(grid: Grid = _GRID) -> torch.Tensor:
    """Coordinates of the voxels around the body of a bone at the origin, whose arch lies behind it."""
    axes = [grid.affine_lps[i, 3] + grid.affine_lps[i, i] * np.arange(grid.shape_zyx[2 - i]) for i in range(3)]
    z, y, x = np.meshgrid(axes[2], axes[1] + 10, axes[0], indexing="ij")
    return torch.from_numpy(np.stack([x, y, z], axis=-1)).float()


def _pair(people: People, apart_mm: float) -> list[PosedBone]:
    """C5 above C6: the same form without rotation, 6.4 mm high."""
    form = people.atlas.bones[5]
    at = {5: apart_mm / 2, 6: -apart_mm / 2}
    return [PosedBone(label, form, "atlas", np.array([0, 0, z]), np.eye(3), np.ones(3)) for label, z in at.items()]


def _joints(gap_mm: float) -> Joints:
    return replace(random_joints(np.random.default_rng(0), 0.0), gap_mm=np.full((32, 3), gap_mm))


def _fields(people: People, apart_mm: float, joints: Joints, hills_mm: float = 0.0) -> BoneFields:
    bones = [(posed, NONE) for posed in _pair(people, apart_mm)]
    return bone_fields(_GRID, _points(), bones, joints, torch.full(_GRID.shape_zyx, hills_mm))


def _labels(fields: BoneFields) -> np.ndarray:
    return torch.where(fields.surface_mm > 0, fields.level, torch.zeros_like(fields.level)).numpy()


def _gap_mm(labels: np.ndarray) -> float:
    """Least height of the space between the two, along z."""
    one, other = (labels == 6), (labels == 5)
    both = one.any(axis=0) & other.any(axis=0)
    top = np.where(one, np.arange(len(labels))[:, None, None], -1).max(axis=0)
    bottom = np.where(other, np.arange(len(labels))[:, None, None], len(labels)).min(axis=0)
    return float((bottom - top - 1)[both].min()) * 0.5


def test_a_label_is_the_vertebra_whose_own_surface_contains_the_voxel(solid_people: People) -> None:
    fields = _fields(solid_people, 9.0, _joints(0.0))
    labels, points = _labels(fields), _points().reshape(-1, 3)
    for posed in _pair(solid_people, 9.0):
        own = distance_to(posed, NONE, points - torch.from_numpy(posed.origin_mm).float())[0]
        inside = (own > 0).reshape(_GRID.shape_zyx).numpy()
        assert np.array_equal(labels == posed.label, inside)
        stored = fields.surface_mm.numpy()[inside]
        assert np.allclose(stored, own.reshape(_GRID.shape_zyx).numpy()[inside], atol=1e-4)


@pytest.mark.parametrize(("apart", "gap"), [(6.0, 1.0), (5.0, 2.0), (6.0, 2.5)])
def test_neighbours_that_would_overlap_keep_the_gap_of_their_joint(
    solid_people: People, apart: float, gap: float
) -> None:
    labels = _labels(_fields(solid_people, apart, _joints(gap)))
    assert _gap_mm(labels) == pytest.approx(gap, abs=0.51)
    upper, lower = (np.count_nonzero(labels == label) for label in (5, 6))
    assert upper == pytest.approx(lower, rel=0.02)  # both are reduced by the same amount


@pytest.mark.parametrize("apart", [5.0, 6.0])
def test_a_joint_without_a_gap_touches(solid_people: People, apart: float) -> None:
    labels = _labels(_fields(solid_people, apart, _joints(0.0)))
    assert _gap_mm(labels) <= 0.5
    touching = (labels[1:] == 5) & (labels[:-1] == 6)
    assert touching.sum() > 500


def test_a_bridged_joint_is_filled_and_its_fellow_is_not(solid_people: People) -> None:
    joints = _joints(0.0)
    joints.bridged[5, LEFT] = True
    labels = _labels(_fields(solid_people, 8.5, joints))
    x = _points()[0, 0, :, 0].numpy()
    y = _points()[0, :, 0, 1].numpy()
    behind = (y > 11) & (y < 14)
    for side, touches in ((x > 4, True), (x < -4, False)):
        part = labels[:, behind][:, :, side & (np.abs(x) < 10)]
        assert ((part[1:] == 5) & (part[:-1] == 6)).any() == touches


def test_growth_narrows_the_joint_that_it_belongs_to(solid_people: People) -> None:
    joints = _joints(0.0)
    joints.growth_mm[5, DISC] = 1.0
    plain, grown = (_labels(_fields(solid_people, 10.0, j)) > 0 for j in (_joints(0.0), joints))
    assert not (plain & ~grown).any()
    y = _points()[0, :, 0, 1].numpy()
    more = (grown & ~plain).sum(axis=(0, 2))
    assert more[(y > -6) & (y < 6)].sum() > 300
    assert more[y > 14].sum() < 0.1 * more.sum()


def test_joints_are_named_by_their_upper_bone_and_side(solid_people: People) -> None:
    fields = _fields(solid_people, 8.0, _joints(1.0))
    points, between = _points(), fields.upper == 5
    assert between.any()
    assert set(torch.unique(fields.upper).tolist()) <= {0, 5}
    front, side = points[..., 1], points[..., 0]
    for joint, where in ((DISC, front < 9), (LEFT, (front > 11) & (side > 1)), (RIGHT, (front > 11) & (side < -1))):
        assert set(torch.unique(fields.joint[between & where]).tolist()) == {joint}


def test_bones_that_are_no_neighbours_touch_at_most(solid_people: People) -> None:
    first, second = _pair(solid_people, 5.0)
    bones = [(first, NONE), (replace(second, label=8), NONE)]
    fields = bone_fields(_GRID, _points(), bones, _joints(2.0), torch.zeros(_GRID.shape_zyx))
    labels = _labels(fields)
    assert not fields.upper.any()
    assert ((labels[1:] == 5) & (labels[:-1] == 8)).sum() > 500


def test_hills_raise_every_surface(solid_people: People) -> None:
    flat, raised = (np.count_nonzero(_labels(_fields(solid_people, 12.0, _joints(0.0), h))) for h in (0.0, 0.5))
    assert raised > 1.15 * flat


def test_far_from_all_bones_there_is_no_level(solid_people: People) -> None:
    fields = _fields(solid_people, 9.0, _joints(1.0))
    assert int(fields.level[0, 0, 0]) == 0
    assert float(fields.surface_mm[0, 0, 0]) < -6
