from __future__ import annotations

import numpy as np
import pytest

from cspine.core.volumes import CtVolume
from cspine.postprocessing.bone_edge import extend_to_bone_edge

#: Bone along each axis, and the part of it that has a label.
BONE, LABEL = slice(4, 24), slice(5, 23)


def block(spacing_zyx=(1.0, 1.0, 1.0), bone_hu: int = 600) -> tuple[np.ndarray, CtVolume]:
    """A block of bone in muscle, whose label leaves out its outermost voxels."""
    hu = np.full((28, 28, 28), 50, dtype=np.int16)
    hu[BONE, BONE, BONE] = bone_hu
    labels = np.zeros(hu.shape, dtype=np.uint8)
    labels[LABEL, LABEL, LABEL] = 3
    return labels, CtVolume(hu, np.diag([*reversed(spacing_zyx), 1.0]))


def test_a_vertebra_is_extended_to_the_edge_of_its_bone_and_no_further():
    labels, ct = block()
    ct.hu_zyx[BONE, BONE, 24:26] = 500  # bone beyond the reach
    extend_to_bone_edge(labels, ct)
    assert (labels[LABEL, LABEL, 4:24] == 3).all()
    assert not labels[..., 24:].any()
    assert (labels[4, LABEL, LABEL] == 3).all()
    assert not labels[4, 4].any()  # an edge of the block is two steps away
    assert not labels[ct.hu_zyx < 300].any()


def test_an_edge_is_relative_to_the_density_of_the_bone_beside_it():
    labels, ct = block(bone_hu=250)
    ct.hu_zyx[4, LABEL, LABEL] = 180  # 65 % of the way from muscle
    ct.hu_zyx[23, LABEL, LABEL] = 165
    extend_to_bone_edge(labels, ct)
    assert (labels[4, LABEL, LABEL] == 3).all()
    assert not labels[23].any()


def test_muscle_is_never_added():
    labels, ct = block(bone_hu=140)
    ct.hu_zyx[4] = 145
    before = labels.copy()
    extend_to_bone_edge(labels, ct)
    assert np.array_equal(labels, before)


def test_metal_is_not_added():
    labels, ct = block()
    ct.hu_zyx[4] = 3000
    extend_to_bone_edge(labels, ct)
    assert not labels[4].any()


def test_a_piece_of_a_vertebra_stays_as_it_is():
    labels, ct = block((0.5, 0.5, 0.5))  # 0.7 ml
    before = labels.copy()
    extend_to_bone_edge(labels, ct)
    assert np.array_equal(labels, before)


@pytest.mark.parametrize("as_label", [True, False])
def test_the_space_to_another_bone_stays_open(as_label):
    labels, ct = block()
    ct.hu_zyx[:] = 600
    other = np.zeros(labels.shape, dtype=bool)
    other[:, :, 25:] = True
    if as_label:
        labels[other] = 4
    extend_to_bone_edge(labels, ct, None if as_label else other)
    assert (labels[14, 14, 4:25] == [3] * 19 + [0] * 2).all()
    assert (labels[14, 14, 25:] == (4 if as_label else 0)).all()


def test_neighbours_that_touch_keep_their_border():
    labels, ct = block()
    ct.hu_zyx[:] = 600
    labels[LABEL, LABEL, 14:] = np.where(labels[LABEL, LABEL, 14:], 4, 0)
    extend_to_bone_edge(labels, ct)
    assert not (labels[:, :, :14] == 4).any()
    assert not (labels[:, :, 14:] == 3).any()


def test_the_reach_is_a_distance_and_a_long_voxel_is_no_step():
    fine, ct = block((0.9, 0.5, 0.5))
    fine[LABEL, LABEL, 5] = 0
    extend_to_bone_edge(fine, ct)
    assert (fine[14, 14, 4:24] == 3).all()  # two voxels of half a millimetre
    coarse, ct = block((3.0, 1.0, 1.0))
    extend_to_bone_edge(coarse, ct)
    assert not coarse[4].any()  # 3 mm might cross a disc
    assert (coarse[LABEL, LABEL, 4] == 3).all()
