"""What an image is padded with, and the vertebrae that end there."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from cspine.core.padding import imaged_box, labels_at_padding, not_scanned, shapes_in_image, with_cut_labels
from cspine.core.shape import occupied_box, shapes_of
from cspine.core.volumes import CtVolume, LabelVolume

SHAPE = (40, 60, 60)
AFFINE = np.diag([1.0, 1.0, 1.5, 1.0])
Z, Y, X = np.indices(SHAPE)


def two_cylinders() -> LabelVolume:
    """C3 above, C4 below, with a diameter of 20 mm in the middle of the image."""
    labels = np.zeros(SHAPE, np.uint8)
    inside = np.hypot(Y - 30, X - 30) < 10
    labels[(Z >= 22) & (Z < 34) & inside], labels[(Z >= 6) & (Z < 18) & inside] = 3, 4
    return LabelVolume(labels, AFFINE)


LABELS = two_cylinders()
HU = np.where(LABELS.labels_zyx > 0, 350, 40).astype(np.int16)


def padded(outside: NDArray[np.bool_], value: int = -1024) -> tuple[LabelVolume, CtVolume]:
    """Replace a part of the image by padding, and the labels there by background."""
    hu, labels = HU.copy(), LABELS.labels_zyx.copy()
    hu[outside], labels[outside] = value, 0
    return LabelVolume(labels, AFFINE), CtVolume(hu, AFFINE)


def test_planes_of_one_value_around_an_image_show_nothing() -> None:
    hu = np.random.default_rng(0).normal(0, 10, (8, 6, 5)).astype(np.int16)
    assert imaged_box(hu) == (slice(0, 8), slice(0, 6), slice(0, 5))
    hu[:2], hu[6:], hu[:, :, 4] = -1024, -1024, -1024
    hu[4] = -1024  # a plane within the image
    assert imaged_box(hu) == (slice(2, 6), slice(0, 6), slice(0, 4))
    assert imaged_box(np.full((3, 2, 2), 40)) == (slice(0, 3), slice(0, 2), slice(0, 2))
    assert imaged_box(np.zeros((3, 2, 2))) == (slice(0, 3), slice(0, 2), slice(0, 2))


CUTS = {
    "wedge through the lower vertebra": ((Z - 10) < 0.3 * (Y - 30), {4}),
    "round field of view": (np.hypot(Y - 0, X - 30) > 34, {3, 4}),
    "wedge beside both": ((X - 48) > 0.2 * (Z - 20), set()),
}


@pytest.mark.parametrize("value", [-1024, -3024, 0])
@pytest.mark.parametrize("name", CUTS)
def test_a_vertebra_that_ends_at_padding_is_cut(name: str, value: int) -> None:
    outside, expected = CUTS[name]
    labels, ct = padded(outside, value)
    assert labels_at_padding(labels.labels_zyx, ct.hu_zyx, ct.grid) == expected
    assert {shape.vertebra.label for shape in shapes_in_image(labels, ct) if shape.touches_edge} == expected
    assert with_cut_labels(labels, ct).cut == expected


@pytest.mark.parametrize("value", [-1024, 0])
@pytest.mark.parametrize("name", CUTS)
def test_labels_in_padding_were_not_scanned(name: str, value: int) -> None:
    outside, cut = CUTS[name]
    _, ct = padded(outside, value)
    box = occupied_box(LABELS.labels_zyx)
    assert box is not None
    beyond = not_scanned(LABELS.labels_zyx[box], ct.hu_zyx, box)
    expected = outside[box] & (LABELS.labels_zyx[box] != 0)
    assert (beyond is not None) == bool(cut)
    if beyond is not None:
        assert not (beyond & ~expected).any()
        assert (beyond & expected).sum() > 0.95 * expected.sum()


def test_labels_in_blank_slices_were_not_scanned() -> None:
    hu = HU.copy()
    hu[:12] = -1024
    hu[25, 30, 30] = -1024  # a voxel of that value within a vertebra
    box = (slice(8, 30), slice(15, 45), slice(15, 45))
    beyond = not_scanned(LABELS.labels_zyx[box], hu, box)
    assert beyond is not None
    expected = LABELS.labels_zyx[box] != 0
    expected[4:] = False
    assert np.array_equal(beyond, expected)
    assert not_scanned(LABELS.labels_zyx[box], HU, box) is None


def test_single_voxels_and_regions_within_the_image_are_no_padding() -> None:
    hu = HU.copy()
    hu[0, 0, 0] = hu[-1, -1, -1] = -1024  # corners of air
    hu[(Z == 20) & (np.hypot(Y - 30, X - 30) < 10)] = -1024  # gas in a disc, clipped
    hu[24:30, 18:24, 26:34] = -1024  # a streak, clipped
    assert not labels_at_padding(LABELS.labels_zyx, hu, LABELS.grid)


def test_a_vertebra_beside_skin_is_complete_where_air_is_clipped() -> None:
    hu = np.where(X > 52, -1024, HU).astype(np.int16)
    assert not labels_at_padding(LABELS.labels_zyx, hu, LABELS.grid)


def test_labels_on_a_grid_of_their_own_are_judged_on_that_of_the_image() -> None:
    labels, ct = padded(CUTS["wedge through the lower vertebra"][0])
    planes = slice(2, 34)  # ends with C3, as a segmentation without empty planes
    affine = AFFINE.copy()
    affine[2, 3] = 2 * AFFINE[2, 2]
    stored = LabelVolume(labels.labels_zyx[planes], affine)
    assert with_cut_labels(stored, ct, ends_with_labels=True).cut == {4}
    assert with_cut_labels(stored, ct).cut == {3, 4}
    assert with_cut_labels(stored, None) is stored
    bordered = with_cut_labels(stored, ct, ends_with_labels=True)
    assert [shape.touches_edge for shape in shapes_of(bordered.labels_zyx, bordered.grid)] == [False, False]
    assert with_cut_labels(bordered, ct).cut == {4}
