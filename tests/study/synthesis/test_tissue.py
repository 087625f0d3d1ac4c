"""Hounsfield units of tissues and bone surfaces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from cspine.study.synthesis import atlas as tissues
from cspine.study.synthesis.tissue import Anatomy, draw_hu

_SHAPE = (30, 40, 40)


def _plane(spacing_mm: float = 1.0) -> Anatomy:
    """Muscle between air (rows 0 to 4) and, from row 20 on, a vertebra whose surface lies between rows 19 and 20."""
    tissue = torch.full(_SHAPE, tissues.MUSCLE, dtype=torch.uint8)
    tissue[:, :5] = 0
    rows = (torch.arange(_SHAPE[1]).float() - 19.5) * spacing_mm
    vertebra = rows[None, :, None].expand(_SHAPE).contiguous()
    return Anatomy(tissue, torch.full(_SHAPE, 3, dtype=torch.uint8), vertebra, torch.full(_SHAPE, -30.0), spacing_mm)


def _hu(anatomy: Anatomy, seed: int) -> np.ndarray:
    return draw_hu(anatomy, np.random.default_rng(seed)).numpy()


def test_the_same_generator_gives_the_same_image() -> None:
    assert np.array_equal(_hu(_plane(), 1), _hu(_plane(), 1))
    assert not np.array_equal(_hu(_plane(), 1), _hu(_plane(), 2))


@pytest.mark.parametrize("seed", [0, 1, 3, 4, 5])  # without an air pocket there
def test_air_is_air_muscle_is_soft_and_the_steepest_edge_is_the_surface_of_the_bone(seed: int) -> None:
    hu = _hu(_plane(), seed)
    assert np.median(hu[:, :5]) == -1000
    assert -130 < np.median(hu[:, 6:10]) < 110
    profile = np.median(hu, axis=(0, 2))[8:]
    assert int(np.argmax(np.diff(profile))) == 19 - 8


@pytest.mark.parametrize("seed", range(5))
def test_a_cortical_shell_encloses_trabecular_bone(seed: int) -> None:
    profile = np.median(_hu(_plane(0.5), seed), axis=(0, 2))
    assert profile[20:22].max() > 1.2 * np.median(profile[30:])
    assert np.median(profile[30:]) > -95


def test_a_voxel_on_the_surface_has_its_share_of_bone() -> None:
    full, half = _plane(), _plane()
    half = Anatomy(half.tissue, half.level, half.vertebra_mm + 0.5, half.other_bone_mm, 1.0)
    inside, on = _hu(full, 7)[:, 20], _hu(half, 7)[:, 19]
    soft = _hu(full, 7)[:, 19]
    assert np.median(soft) < np.median(on) < np.median(inside)
    assert np.median(on) == pytest.approx((np.median(soft) + np.median(inside)) / 2, rel=0.2)


def test_every_level_has_its_own_density() -> None:
    anatomy = _plane()
    anatomy.level[:, :, 20:] = 4
    hu = _hu(anatomy, 3)
    assert abs(np.median(hu[:, 25:, :20]) - np.median(hu[:, 25:, 20:])) > 2


def test_teeth_are_brighter_than_bone_and_outside_there_is_only_air() -> None:
    anatomy = _plane()
    anatomy.tissue[10:14, 8:12, 8:12] = tissues.TEETH
    for seed in range(5):
        hu = _hu(anatomy, seed)
        assert np.median(hu[10:14, 8:12, 8:12]) >= 900
        assert hu[:, 0].max() <= -1000 + 1e-3


def test_nothing_is_synthesized_without_a_body() -> None:
    empty = Anatomy(
        torch.zeros(_SHAPE, dtype=torch.uint8),
        torch.zeros(_SHAPE, dtype=torch.uint8),
        torch.full(_SHAPE, -30.0),
        torch.full(_SHAPE, -30.0),
        1.0,
    )
    assert (_hu(empty, 0) == -1000).all()


def test_air_pockets_keep_off_the_bone() -> None:
    seen = 0
    for seed in range(20):
        hu = _hu(_plane(), seed)
        seen += int((hu[:, 6:16] < -800).any())
        assert hu[:, 18:].min() > -500
    assert seen > 3
