"""Slices of the page: the right planes, the right way round, in grey values close to those of the CT."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.page.stacks import AXIAL_STEP_MM, MAX_AXIAL_PLANES, encode, hu_of_codes, stacks_of
from cspine.report.scene import scene_of
from tests.builders.spine_phantom import MODEL, Phantom, volumes


@pytest.mark.parametrize(("first", "last", "step"), [(-1024, -225, 16), (-224, 415, 5), (416, 2200, 24)])
def test_codes_keep_hounsfield_units_within_half_a_step(first: int, last: int, step: int) -> None:
    hu = np.arange(first, last + 1)
    assert np.abs(np.array(hu_of_codes())[encode(hu)] - hu).max() <= step / 2


def test_values_beyond_the_table_get_its_ends() -> None:
    assert encode(np.array([-3000, 30000])).tolist() == [0, len(hu_of_codes()) - 1]
    assert len(hu_of_codes()) <= 256


def test_planes_are_in_the_orientation_of_displays() -> None:
    labels, ct = volumes(Phantom(labels=(2, 3, 4)))
    marked = labels.labels_zyx.copy()
    x = np.arange(marked.shape[2])
    marked[(marked == 3) & (x > 42)] = 5  # x grows to the patient's left
    sagittal, coronal, axial = stacks_of(scene_of(ct, LabelVolume(marked, labels.affine_lps, MODEL)))

    def middle(stack: object, label: int) -> np.ndarray:
        return np.argwhere(stack.labels_nyx == label).mean(axis=0)  # type: ignore[attr-defined]

    for stack in (coronal, axial):  # the patient's left is on the right
        assert middle(stack, 5)[2] > middle(stack, 3)[2] and stack.sides == ("R", "L")
    for stack in (sagittal, coronal):  # the head is up
        assert middle(stack, 2)[1] < middle(stack, 4)[1]
    assert middle(axial, 2)[0] < middle(axial, 4)[0]  # from head to foot
    plane = sagittal.labels_nyx[sagittal.start]
    columns = np.flatnonzero((plane == 4).any(axis=0))
    counts = (plane == 4)[:, columns].sum(axis=0)
    assert counts[:10].sum() > counts[-10:].sum() and sagittal.sides == ("A", "P")  # the body is in front


@pytest.mark.parametrize("target", ["RAS", "PSL"])
def test_the_orientation_of_the_array_changes_nothing(target: str) -> None:
    labels, ct = volumes(Phantom(labels=(3, 4)))
    change = reorientation(ct.affine_lps, target)
    affine = change.grid(ct.grid).affine_lps
    other = scene_of(
        CtVolume(change.apply(ct.hu_zyx), affine), LabelVolume(change.apply(labels.labels_zyx), affine, MODEL)
    )
    for one, two in zip(stacks_of(scene_of(ct, labels)), stacks_of(other), strict=True):
        assert np.array_equal(one.codes_nyx, two.codes_nyx) and np.array_equal(one.labels_nyx, two.labels_nyx)


@pytest.mark.parametrize("spacing", [(0.3, 0.3, 0.8), (0.35, 0.35, 3.0)])
def test_pixels_and_planes_keep_to_a_size(spacing: tuple[float, float, float]) -> None:
    shape = (int(170 / spacing[2]), int(90 / spacing[1]), int(80 / spacing[0]))
    labels, ct = volumes(Phantom(labels=(3, 4), shape_zyx=shape, spacing_xyz=spacing))
    sagittal, _, axial = stacks_of(scene_of(ct, labels))
    assert axial.pixel_mm == pytest.approx((spacing[0] * 2, spacing[0] * 2))
    assert len(axial.codes_nyx) <= min(MAX_AXIAL_PLANES, 170 / (AXIAL_STEP_MM - spacing[2] / 2) + 1)
    assert len(sagittal.positions) == len(sagittal.codes_nyx)
    assert sagittal.positions[sagittal.start] == "along the column"


def test_grey_values_are_those_of_the_ct() -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    _, _, axial = stacks_of(scene_of(ct, labels))
    hu = np.array(hu_of_codes())[axial.codes_nyx]
    assert np.abs(hu[axial.labels_nyx == 3] - 400).max() <= 3
