"""Changes of a bone's form: each moves the part that it names, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from cspine.study.synthesis.neck.column import PosedBone
from cspine.study.synthesis.neck.form import FormChange, distance_to, hills, random_form
from cspine.study.synthesis.neck.people import People

NONE = FormChange(
    spinous_length=1.0,
    spinous_slope=0.0,
    spinous_spread=0.0,
    transverse_left=1.0,
    transverse_right=1.0,
    body_height=1.0,
    twist=0.0,
    offset_mm=0.0,
    arch_offset_mm=0.0,
)


@pytest.fixture(scope="module")
def bone(solid_people: People) -> PosedBone:
    form = solid_people.atlas.bones[5]
    return PosedBone(5, form, "atlas", np.zeros(3), np.eye(3), np.ones(3))


def _reach(bone: PosedBone, change: FormChange) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest coordinates of the surface."""
    axis = torch.arange(-40, 40.1, 0.5)
    z, y, x = torch.meshgrid(torch.arange(-12, 12.1, 0.5), axis, axis, indexing="ij")
    points = torch.stack([x, y, z], dim=-1).reshape(-1, 3)
    inside = points[distance_to(bone, change, points)[0] > 0].numpy()
    return inside.min(axis=0), inside.max(axis=0)


def test_without_a_change_the_bone_is_its_form(bone: PosedBone) -> None:
    low, high = _reach(bone, NONE)
    assert low == pytest.approx([-12, -7, -3.2], abs=0.6)
    assert high == pytest.approx([12, 26, 3.2], abs=0.6)


@pytest.mark.parametrize(
    ("change", "side", "axis", "by"),
    [
        ({"spinous_length": 4.0}, 1, 1, 6.0),
        ({"offset_mm": 1.0}, 0, 1, -1.0),
        ({"offset_mm": 1.0}, 1, 2, 1.0),
        ({"body_height": 1.5}, 1, 2, 1.6),
        ({"arch_offset_mm": 1.0}, 1, 0, 1.0),
    ],
)
def test_a_change_moves_its_part(bone: PosedBone, change: dict[str, float], side: int, axis: int, by: float) -> None:
    before, after = _reach(bone, NONE), _reach(bone, replace(NONE, **change))
    assert after[side][axis] - before[side][axis] == pytest.approx(by, abs=0.6)


def test_the_arch_alone_grows_with_its_offset(bone: PosedBone) -> None:
    before, after = _reach(bone, NONE), _reach(bone, replace(NONE, arch_offset_mm=1.0))
    assert after[0][1] == pytest.approx(before[0][1], abs=0.3)  # the front of the body


def test_points_are_given_in_the_frame_of_the_bone_in_millimetres_of_the_patient(bone: PosedBone) -> None:
    rotated = replace(bone, axes=np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), scale_xyz=np.array([2.0, 1, 1]))
    distance, local = distance_to(rotated, NONE, torch.tensor([[0.0, 17.0, 0.0], [0.0, 22.0, 0.0]]))
    assert local[0].tolist() == pytest.approx([17.0, 0, 0])
    assert distance[0] > 0 > distance[1]  # the body is 9 mm wide on each side, twice that here


def test_beyond_the_lattice_the_distance_goes_on(bone: PosedBone) -> None:
    near, far = distance_to(bone, NONE, torch.tensor([[60.0, 0, 0], [100.0, 0, 0]]))[0]
    assert float(near - far) == pytest.approx(40, abs=1)
    assert float(near) == pytest.approx(-48, abs=4)


def test_strength_nought_changes_nothing_but_the_thickness() -> None:
    change = random_form(np.random.default_rng(0), 5, 0.0, 0.3)
    assert change == replace(NONE, offset_mm=0.3, arch_offset_mm=0.25)


def test_c1_has_neither_spinous_process_nor_body() -> None:
    change = random_form(np.random.default_rng(0), 1, 1.0, 0.0)
    assert (change.spinous_length, change.body_height, change.spinous_slope, change.twist) == (1.0, 1.0, 0.0, 0.0)


def test_hills_are_small_and_smooth() -> None:
    field = hills((30, 30, 30), 1.0, np.random.default_rng(2))
    assert field.shape == (30, 30, 30)
    assert 0.01 < float(field.std()) < 0.8
    assert float(field.diff(dim=0).abs().mean()) < float(field.std())
