"""Findings about the image beside the vertebrae: each for its fault, none for an ordinary image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.postprocessing.image_findings import image_findings
from tests.builders.spine_phantom import volumes


def ordinary(noise_hu: float = 20.0) -> tuple[LabelVolume, CtVolume]:
    labels, ct = volumes()
    noise = np.random.default_rng(0).normal(0, noise_hu, ct.hu_zyx.shape)
    return labels, replace(ct, hu_zyx=(ct.hu_zyx + noise).astype(np.int16))


def codes(labels: LabelVolume, ct: CtVolume) -> list[str]:
    return [finding.code for finding in image_findings(ct, labels)]


def test_an_ordinary_image_has_no_finding() -> None:
    assert codes(*ordinary()) == []


def test_labels_without_a_vertebra_have_no_finding() -> None:
    labels, ct = ordinary()
    labels.labels_zyx[:] = 0
    assert codes(labels, ct) == []


@pytest.mark.parametrize(("noise_hu", "reported"), [(45.0, False), (75.0, True)])
def test_noise_is_that_of_muscle(noise_hu: float, reported: bool) -> None:
    assert ("CS-FND-036" in codes(*ordinary(noise_hu))) is reported


def test_a_gradient_of_muscle_is_no_noise() -> None:
    labels, ct = ordinary(0.0)
    ct.hu_zyx[labels.labels_zyx == 0] = 30
    ct.hu_zyx[...] += np.arange(ct.hu_zyx.shape[2], dtype=np.int16)
    assert codes(labels, ct) == []


def test_metal_beside_a_vertebra_is_reported_and_a_filling_of_a_tooth_is_not() -> None:
    for distance, expected in ((2, ["CS-FND-035"]), (14, [])):
        labels, ct = ordinary()
        z, y, x = np.argwhere(labels.labels_zyx == 3).min(axis=0)
        front = max(y - distance - 6, 0)
        ct.hu_zyx[z : z + 6, front : front + 6, x + 8 : x + 14] = 3071
        assert codes(labels, ct) == expected


def test_a_grain_of_metal_is_not_reported() -> None:
    labels, ct = ordinary()
    z, y, x = (int(v) for v in np.argwhere(labels.labels_zyx == 3).mean(axis=0))
    ct.hu_zyx[z : z + 3, y : y + 3, x : x + 3] = 3071
    assert codes(labels, ct) == []


def test_bone_that_is_hardly_denser_than_muscle_is_reported() -> None:
    labels, ct = ordinary()
    ct.hu_zyx[labels.labels_zyx != 0] -= 300
    assert codes(labels, ct) == ["CS-FND-037"]


@pytest.mark.parametrize(("thickness", "expected"), [(3.0, []), (3.3, ["CS-FND-038"])])
def test_large_voxels_are_reported(thickness: float, expected: list[str]) -> None:
    labels, ct = ordinary()
    affine = ct.affine_lps @ np.diag([1.0, 1.0, thickness, 1.0])
    assert codes(replace(labels, affine_lps=affine), replace(ct, affine_lps=affine)) == expected
