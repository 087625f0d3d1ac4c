"""Whether values are Hounsfield units."""

from __future__ import annotations

import re

import numpy as np
import pytest

from cspine.core.errors import NotHounsfieldError
from cspine.core.hounsfield import doubt_hounsfield, require_hounsfield
from tests.builders.raises import raises_code


def _neck(air: float = 0.4, noise: float = 15.0) -> np.ndarray:
    """A neck of air, fat, muscle, trabecular and cortical bone, in HU, shape (z, y, x)."""
    share = {-1000: air, -100: 0.2, 50: 0.3, 350: 0.07, 900: 0.03}
    rng = np.random.default_rng(0)
    counts = np.array(list(share.values())) / sum(share.values())
    values = rng.choice(list(share), size=(32, 48, 48), p=counts)
    return np.rint(values + rng.normal(0, noise, values.shape)).astype(np.int16)


@pytest.mark.parametrize("air", [0.0, 0.4, 6.0])
@pytest.mark.parametrize("noise", [5.0, 60.0])
def test_a_neck_is_in_hounsfield_units_whatever_its_field_of_view(air: float, noise: float) -> None:
    assert doubt_hounsfield(_neck(air, noise)) is None


@pytest.mark.parametrize("offset", [-1024, -1000, 1000, 1024])
@pytest.mark.parametrize("air", [0.2, 0.4, 2.0])
def test_values_with_the_offset_of_stored_values_are_refused(offset: int, air: float) -> None:
    shifted = _neck(air) + np.int16(offset)
    doubt = doubt_hounsfield(shifted)
    assert doubt is not None and doubt.is_certain
    with raises_code(NotHounsfieldError):
        require_hounsfield(shifted, "the image")


def test_another_offset_is_doubtful_and_not_refused() -> None:
    shifted = _neck() + np.int16(500)
    doubt = doubt_hounsfield(shifted)
    assert doubt is not None and not doubt.is_certain
    require_hounsfield(shifted, "the image")


@pytest.mark.parametrize("scale", [0.5, 1.5, 2.0])
def test_air_elsewhere_than_at_minus_1000_is_doubtful(scale: float) -> None:
    doubt = doubt_hounsfield((_neck() * scale).astype(np.float32))
    assert doubt is not None and not doubt.is_certain
    assert min(abs(float(number) + 1000 * scale) for number in re.findall(r"-\d+", doubt.reason)) <= 20


@pytest.mark.parametrize("window", [(-160, 240), (-1024, 240), (-200, 300), (-125, 3000)])
def test_values_that_were_cut_to_a_window_are_doubtful(window: tuple[int, int]) -> None:
    doubt = doubt_hounsfield(np.clip(_neck(), *window))
    assert doubt is not None and not doubt.is_certain
    assert "exactly" in doubt.reason


def test_the_ends_of_what_a_scanner_stores_are_no_window() -> None:
    values = _neck(air=2.0)
    values[:, :2] = 3071
    assert doubt_hounsfield(np.clip(values, -1024, 3071)) is None


@pytest.mark.parametrize("noise", [150.0, 250.0])
def test_noise_of_tissue_below_fat_is_no_air(noise: float) -> None:
    assert doubt_hounsfield(_neck(0.0, noise)) is None


def test_lung_may_be_the_only_air() -> None:
    values = _neck(air=0.0)
    values[:, :20] = np.rint(np.random.default_rng(1).normal(-850, 40, (32, 20, 48)))
    assert doubt_hounsfield(values) is None


def test_tissue_of_one_value_in_a_drawn_image_was_not_cut() -> None:
    values = np.full((20, 40, 40), 40, np.int16)
    values[:, :10], values[:, 20:24] = -90, 400
    assert doubt_hounsfield(values) is None


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value: float) -> None:
    values = _neck().astype(np.float32)
    values[0, 0, 0] = value
    with raises_code(NotHounsfieldError):
        require_hounsfield(values, "the image")


def test_padding_far_below_air_is_no_value_of_the_patient() -> None:
    values = _neck(air=3.0)
    values[:, :20] = -3024
    assert doubt_hounsfield(values) is None


@pytest.mark.parametrize("scale", [1 / 2000, 1 / 400])
def test_values_on_another_scale_are_refused(scale: float) -> None:
    with raises_code(NotHounsfieldError):
        require_hounsfield((_neck() * scale).astype(np.float32), "the image")


def test_a_huge_value_costs_no_memory() -> None:
    values = _neck().astype(np.float32)
    values[0, 0, 0] = 1e30
    assert doubt_hounsfield(values) is None


@pytest.mark.parametrize("offset", [990, 1010])
def test_nearly_the_offset_of_stored_values_is_refused_too(offset: int) -> None:
    with raises_code(NotHounsfieldError):
        require_hounsfield(_neck() + np.int16(offset), "the image")
