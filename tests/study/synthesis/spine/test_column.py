"""Positions of the vertebrae of a patient."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest

from cspine.core.anatomy import SACRUM, vertebra
from cspine.study.synthesis.spine.column import level_of, sequence, stand
from cspine.study.synthesis.spine.forms import SpineForms


def names(labels: tuple[int, ...]) -> list[str]:
    return ["S" if label == SACRUM else vertebra(label).name for label in labels]


@pytest.mark.parametrize("thoracic", [11, 12, 13])
@pytest.mark.parametrize("lumbar", [4, 5, 6])
def test_a_sequence_has_the_counts_that_are_asked_for(thoracic: int, lumbar: int) -> None:
    found = names(sequence(np.random.default_rng(0), thoracic, lumbar))
    assert found[:7] == [f"C{i}" for i in range(1, 8)]
    assert found[7 : 7 + thoracic] == [f"T{i}" for i in range(1, thoracic + 1)]
    assert found[7 + thoracic :] == [*(f"L{i}" for i in range(1, lumbar + 1)), "S"]


def test_most_patients_have_twelve_and_five_and_a_few_others() -> None:
    rng = np.random.default_rng(1)
    lengths = Counter(tuple(Counter(n[0] for n in names(sequence(rng, None, None))).items()) for _ in range(300))
    usual = (("C", 7), ("T", 12), ("L", 5), ("S", 1))
    assert 0.65 < lengths[usual] / 300 < 0.9
    assert len(lengths) >= 5


@pytest.mark.parametrize("seed", range(4))
def test_bones_stand_below_each_other_a_plausible_step_apart(solid_forms: SpineForms, seed: int) -> None:
    rng = np.random.default_rng(seed)
    poses = stand(solid_forms, sequence(rng, 13, 6), rng)
    assert [level_of(pose) for pose in poses] == names(tuple(pose.label for pose in poses))
    assert poses[0].origin_mm.tolist() == [0, 0, 0]
    for upper, lower in pairwise(poses):
        assert upper.origin_mm[2] > lower.origin_mm[2]
        assert 10 < np.linalg.norm(upper.origin_mm - lower.origin_mm) < 60
    for pose in poses:
        assert pose.axes.T @ pose.axes == pytest.approx(np.eye(3), abs=1e-9)
        assert np.linalg.det(pose.axes) == pytest.approx(1)
        assert (pose.canal_mm - pose.origin_mm) @ pose.axes[:, 1] > 5  # the canal lies behind the body


def test_the_same_numbers_give_the_same_patient(solid_forms: SpineForms) -> None:
    labels = sequence(np.random.default_rng(0), 12, 5)
    one, other, third = (stand(solid_forms, labels, np.random.default_rng(seed)) for seed in (5, 5, 6))
    assert all(np.array_equal(a.origin_mm, b.origin_mm) for a, b in zip(one, other, strict=True))
    assert not np.array_equal(one[-1].origin_mm, third[-1].origin_mm)
