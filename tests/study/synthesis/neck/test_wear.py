"""Joints: worn as often as asked for, more on one side; tables of plausible values."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.study.synthesis.neck.wear import DISC, LEFT, RIGHT, random_joints, values_at


def test_no_joint_is_worn_where_the_probability_is_0() -> None:
    joints = random_joints(np.random.default_rng(0), 0.0)
    assert not joints.growth_mm.any() and not joints.sclerosis.any()
    assert not joints.vacuum.any() and not joints.bridged.any()
    assert joints.gap_mm[:, (LEFT, RIGHT)].min() >= 0.5
    assert joints.gap_mm[:, DISC].min() >= 1.2


def test_wear_narrows_grows_and_hardens_a_joint() -> None:
    joints = random_joints(np.random.default_rng(1), 1.0)
    worn = joints.growth_mm > 0
    assert worn.any() and not worn[12:].any()
    assert joints.gap_mm[worn].max() <= 1.2
    assert joints.sclerosis[worn].min() >= 0.3
    assert joints.sclerosis_hu.min() >= 600 and joints.sclerosis_hu.max() <= 1400
    assert not (joints.growth_mm[~worn].any() or joints.sclerosis[~worn].any())


def test_most_joints_are_worn_and_often_one_side_more() -> None:
    shares = []
    for seed in range(40):
        worn = random_joints(np.random.default_rng(seed), 1.0).growth_mm[3:8] > 0
        shares.append(worn[:, (LEFT, RIGHT)].mean(axis=0))
    assert np.max(shares, axis=1).min() == 1.0
    assert np.mean(np.ptp(shares, axis=1) > 0.3) > 0.4
    assert {int(np.argmin(share)) for share in shares} == {0, 1}


def test_bridged_joints_have_no_gap_and_are_facets_below_c1() -> None:
    found = np.zeros((32, 3), dtype=bool)
    for seed in range(40):
        joints = random_joints(np.random.default_rng(seed), 1.0)
        assert not joints.gap_mm[joints.bridged].any()
        found |= joints.bridged
    assert found.any() and not found[:, DISC].any() and not found[1].any()


def test_values_are_those_of_upper_label_and_joint() -> None:
    table = np.arange(96).reshape(32, 3)
    values = values_at(table, torch.tensor([2, 5, 0], dtype=torch.uint8), torch.tensor([DISC, RIGHT, LEFT]))
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx([6, 17, 1])
