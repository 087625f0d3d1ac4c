"""Motion between slices is reported; posture, noise, thick slices and slices without edges are not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.postprocessing.motion import displacements_mm, motion_findings, shifts_mm
from tests.builders.small_neck import small_neck
from tests.builders.spine_phantom import Phantom, volumes


def found(labels: LabelVolume, ct: CtVolume) -> list[tuple[str, str | None]]:
    return [(finding.code, finding.level) for finding in motion_findings(ct, labels)]


def displaced(ct: CtVolume, first: int, left_mm: float, back_mm: float, last: int | None = None) -> CtVolume:
    """The patient lies elsewhere from one slice to another."""
    hu = ct.hu_zyx.copy()
    pixels = (back_mm / ct.grid.spacing_xyz[1], left_mm / ct.grid.spacing_xyz[0])
    part = hu[first:last].astype(np.float32)
    hu[first:last] = np.round(ndimage.shift(part, (0, *pixels), order=1, mode="nearest"))
    return replace(ct, hu_zyx=hu)


def middle_of(labels: LabelVolume, label: int) -> int:
    return int(np.argwhere(labels.labels_zyx == label)[:, 0].mean())


def test_a_neck_at_rest_has_no_finding() -> None:
    ct, labels = small_neck()
    assert found(labels, ct) == []


@pytest.mark.parametrize(("left_mm", "back_mm"), [(3.0, 0.0), (0.0, -3.5)])
def test_a_displacement_is_reported_where_it_is(left_mm: float, back_mm: float) -> None:
    ct, labels = small_neck()
    assert found(labels, displaced(ct, middle_of(labels, 5), left_mm, back_mm)) == [("CS-FND-042", "C5")]


def test_a_patient_who_comes_back_is_reported_twice() -> None:
    ct, labels = small_neck()
    lower, upper = middle_of(labels, 6), middle_of(labels, 3)
    assert found(labels, displaced(ct, lower, 4.0, 0.0, upper)) == [("CS-FND-042", "C3"), ("CS-FND-042", "C6")]


def test_a_displacement_below_the_limit_is_not_reported() -> None:
    ct, labels = small_neck()
    assert found(labels, displaced(ct, middle_of(labels, 5), 1.0, 0.0)) == []


def test_a_displacement_of_less_than_a_pixel_is_not_reported() -> None:
    ct, labels = small_neck()
    moved = displaced(ct, middle_of(labels, 5), 3.0, 0.0)
    every = max(1, round(4.0 / ct.grid.spacing_xyz[0]))
    affine = ct.affine_lps @ np.diag([every, every, 1.0, 1.0])
    coarse = LabelVolume(labels.labels_zyx[:, ::every, ::every], affine)
    assert found(coarse, CtVolume(moved.hu_zyx[:, ::every, ::every], affine)) == []


@pytest.mark.parametrize("target", ["RAS", "PIR"])
def test_the_order_of_the_array_changes_nothing(target: str) -> None:
    ct, labels = small_neck()
    ct = displaced(ct, middle_of(labels, 5), 3.0, 0.0)
    change = reorientation(ct.affine_lps, target)
    affine = change.grid(ct.grid).affine_lps
    other = LabelVolume(change.apply(labels.labels_zyx), affine)
    assert found(other, CtVolume(change.apply(ct.hu_zyx), affine)) == [("CS-FND-042", "C5")]


@pytest.mark.parametrize("shear_mm", [0.0, 4.0, -4.0])
def test_slices_of_noise_between_vertebrae_are_not_compared(shear_mm: float) -> None:
    labels, ct = volumes(Phantom(shear_mm=shear_mm))
    noise = np.random.default_rng(0).normal(0, 40, ct.hu_zyx.shape)
    assert found(labels, replace(ct, hu_zyx=(ct.hu_zyx + noise).astype(np.int16))) == []


def test_labels_without_a_vertebra_have_no_finding() -> None:
    ct, labels = small_neck()
    assert found(replace(labels, labels_zyx=np.zeros_like(labels.labels_zyx)), ct) == []


def test_a_single_slice_and_a_uniform_image_have_no_finding() -> None:
    ct, labels = small_neck()
    flat = replace(ct, hu_zyx=np.full_like(ct.hu_zyx, 40))
    assert found(labels, flat) == []
    one = np.zeros_like(labels.labels_zyx)
    one[60] = labels.labels_zyx[60]
    assert found(replace(labels, labels_zyx=one), ct) == []


def test_shifts_are_those_of_the_slices_in_millimetres() -> None:
    ct, labels = small_neck()
    slices = ct.hu_zyx[[middle_of(labels, 5)] * 3].astype(np.float32)
    slices[1] = np.roll(slices[1], (2, -1), axis=(0, 1))
    shifts = shifts_mm(slices, (2.0, 2.0))
    assert shifts == pytest.approx(np.array([[-4.0, 2.0], [4.0, -2.0]]), abs=0.4)


def test_what_matches_far_away_is_something_else() -> None:
    rng = np.random.default_rng(0)
    first = ndimage.gaussian_filter(rng.normal(0, 800, (60, 60)), 2).clip(-200, 300).astype(np.int16)
    near, far = (ndimage.shift(first, (mm / 2, 0), order=1, mode="nearest") for mm in (8, 24))
    assert np.isfinite(shifts_mm(np.stack([first, near]), (2.0, 2.0))).all()
    assert np.isnan(shifts_mm(np.stack([first, far]), (2.0, 2.0))).all()


def test_a_steady_slope_is_no_displacement() -> None:
    bent = np.linspace(0.2, 1.2, 60)[:, None] * [1.0, 0.3]
    assert displacements_mm(bent, 1.0).max() < 1.0
    bent[30] += (3.0, 0.0)
    assert displacements_mm(bent, 1.0).argmax() in (28, 29, 30)
    bent[31] = np.nan
    assert displacements_mm(bent, 1.0).max() == pytest.approx(3.0, abs=0.3)
