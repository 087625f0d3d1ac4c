"""Devices and artefacts besides the anatomy: where they may lie, and what they do not change."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from cspine.study.synthesis import devices
from cspine.study.synthesis.atlas import TEETH, VESSEL, Atlas
from cspine.study.synthesis.tissue import Anatomy


@pytest.fixture
def anatomy(atlas: Atlas) -> Anatomy:
    """The tiny atlas with air around it."""
    wide = ((0, 0), (12, 12), (16, 16))
    fields = [
        torch.from_numpy(np.pad(field, wide, mode="constant", constant_values=value))
        for field, value in (
            (atlas.tissue_zyx, 0), (atlas.level_zyx, 0), (atlas.vertebra_mm, -30), (atlas.other_bone_mm, -30),
        )
    ]  # fmt: skip
    return Anatomy(*fields, 1.0)


@pytest.fixture
def hu(anatomy: Anatomy) -> torch.Tensor:
    """Water with bones of 700 HU in air."""
    image = torch.where(anatomy.tissue > 0, 40.0, -1000.0)
    image[anatomy.vertebra_mm > 0] = 700.0
    return image


def _rng() -> np.random.Generator:
    return np.random.default_rng(5)


def test_another_voltage_scales_bone_and_contrast_alone() -> None:
    hu = torch.tensor([-1000.0, -90.0, 40.0, 90.0, 390.0, 1090.0])
    devices.change_voltage(hu, 1.3)
    assert hu.tolist() == pytest.approx([-1000, -90, 40, 90, 480, 1390])


def test_contrast_fills_vessels_alone(anatomy: Anatomy, hu: torch.Tensor) -> None:
    before = hu.clone()
    devices.fill_vessels(hu, anatomy, 700.0)
    vessel = anatomy.tissue == VESSEL
    assert torch.equal(hu[~vessel], before[~vessel])
    assert float(hu[vessel].max()) == pytest.approx(700, abs=1)


def test_osteopenic_bone_is_poor_inside_and_stays_within_its_surface(anatomy: Anatomy, hu: torch.Tensor) -> None:
    before = hu.clone()
    devices.osteopenic_bone(hu, anatomy, _rng())
    deep, edge = anatomy.vertebra_mm > 2, (anatomy.vertebra_mm > 0) & (anatomy.vertebra_mm < 0.6)
    assert float(hu[deep].mean()) < 150
    assert float(hu[edge].mean()) > float(hu[deep].mean()) + 50
    assert torch.equal(hu[anatomy.vertebra_mm < -1], before[anatomy.vertebra_mm < -1])


@pytest.mark.parametrize("add", [devices.add_table, devices.add_collar, devices.add_head_holder])
def test_devices_lie_outside_the_body(
    anatomy: Anatomy, hu: torch.Tensor, add: Callable[[torch.Tensor, float, np.random.Generator], None]
) -> None:
    before = hu.clone()
    add(hu, anatomy.spacing_mm, _rng())
    body = anatomy.tissue > 0
    assert torch.equal(hu[body], before[body])
    assert bool((hu[~body] > -400).any())


def test_a_collar_keeps_its_distance_from_the_skin(anatomy: Anatomy, hu: torch.Tensor) -> None:
    body = hu > -400
    devices.add_collar(hu, anatomy.spacing_mm, _rng())
    plastic = (hu > -400) & ~body
    grown = torch.nn.functional.max_pool3d(body[None, None].float(), 3, 1, 1)[0, 0] > 0
    assert not bool((plastic & grown).any())


def test_tubes_run_in_the_airway_and_spare_the_vertebrae(anatomy: Anatomy, hu: torch.Tensor) -> None:
    before = hu.clone()
    devices.add_tubes(hu, anatomy, _rng())
    bone = anatomy.vertebra_mm > 0
    assert torch.equal(hu[bone], before[bone])
    changed = (hu != before).any(dim=1).any(dim=1)
    assert float(changed.float().mean()) > 0.6


def test_fillings_are_metal_in_teeth_and_screws_metal_at_vertebrae(anatomy: Anatomy) -> None:
    filling = devices.dental_metal(anatomy, _rng())
    assert float(filling.max()) > 10000
    assert float(filling[anatomy.tissue == TEETH].sum()) > 0.6 * float(filling.sum())
    screws = devices.screws(anatomy, _rng())
    assert float(screws.max()) > 5000
    assert float((anatomy.vertebra_mm[screws > 5000] > -8).float().mean()) > 0.7


def test_without_teeth_or_vertebrae_there_is_no_metal() -> None:
    nothing = torch.zeros(20, 20, 20)
    empty = Anatomy(nothing.to(torch.uint8), nothing.to(torch.uint8), nothing - 30, nothing - 30, 1.0)
    assert not bool(devices.dental_metal(empty, _rng()).any())
    assert not bool(devices.screws(empty, _rng()).any())
    air = nothing - 1000
    for add in (devices.add_table, devices.add_head_holder):
        add(air, 1.0, _rng())
    assert bool((air == -1000).all())
