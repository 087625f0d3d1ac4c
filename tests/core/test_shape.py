"""The box of what is not 0."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.geometry import Grid
from cspine.core.shape import labels_cut_within, margin_zyx, occupied_box, shapes_of
from cspine.core.volumes import LabelVolume


@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.bool_])
def test_the_box_contains_all_that_is_not_0_and_no_more(kind: type) -> None:
    array = np.zeros((6, 5, 4), dtype=kind)
    assert occupied_box(array) is None
    array[2, 1, 3] = array[4, 3, 3] = 1
    assert occupied_box(array) == (slice(2, 5), slice(1, 4), slice(3, 4))


def test_a_margin_ends_at_the_border() -> None:
    array = np.zeros((6, 5, 4))
    array[2, 1, 3] = -1
    assert occupied_box(array, (1, 2, 3)) == (slice(1, 4), slice(0, 4), slice(0, 4))


def test_a_margin_in_millimetres_is_rounded_up() -> None:
    assert margin_zyx(3.0, Grid((5, 5, 5), np.diag([1.0, 2.0, 4.0, 1.0]))) == (1, 2, 3)


def test_a_level_touches_the_edge_of_what_the_image_shows() -> None:
    labels = np.zeros((10, 5, 5), dtype=np.uint8)
    labels[2:4, 2, 2], labels[5:7, 2, 2] = 3, 4
    grid = Grid((10, 5, 5), np.eye(4))
    assert [shape.touches_edge for shape in shapes_of(labels, grid)] == [False, False]
    view = (slice(2, 9), slice(0, 5), slice(0, 5))
    assert [shape.touches_edge for shape in shapes_of(labels, grid, view)] == [True, False]


def test_labels_are_cut_where_their_grid_ends_and_the_image_goes_on() -> None:
    image = Grid((30, 20, 20), np.diag([1.0, 1.0, 2.0, 1.0]))
    labels = np.zeros((30, 20, 20), dtype=np.uint8)
    labels[0:8, 5:15, 5:15], labels[10:16, 5:15, 5:15], labels[20:30, 5:15, 5:15] = 5, 4, 3
    complete = LabelVolume(labels, image.affine_lps)
    assert labels_cut_within(complete, image) == frozenset()

    def part(z: slice, y: slice = slice(0, 20)) -> LabelVolume:
        affine = image.part((z, y, slice(0, 20))).affine_lps
        return LabelVolume(labels[z, y], affine)

    assert labels_cut_within(part(slice(3, 30)), image) == {5}
    assert labels_cut_within(part(slice(0, 14)), image) == {4}
    assert labels_cut_within(part(slice(9, 18)), image) == frozenset()
    assert labels_cut_within(part(slice(0, 18), slice(8, 20)), image) == {4, 5}
    finer = image.affine_lps @ np.diag([0.5, 0.5, 0.5, 1.0])
    finer[:3, 3] = -0.25, -0.25, -0.5
    fine = np.kron(labels, np.ones((2, 2, 2), dtype=np.uint8))
    assert labels_cut_within(LabelVolume(fine, finer), image) == frozenset()
    assert labels_cut_within(complete, Grid((60, 40, 40), finer)) == frozenset()


@pytest.mark.parametrize(
    ("first", "soft_below", "cut"), [(0, False, set()), (1, False, set()), (6, False, {4}), (6, True, set())]
)
def test_a_segmentation_is_cut_where_its_last_plane_is_large_and_bone_goes_on(
    first: int, soft_below: bool, cut: set[int]
) -> None:
    image = Grid((20, 20, 20), np.diag([1.0, 1.0, 2.0, 1.0]))
    labels = np.zeros((20, 20, 20), dtype=np.uint8)
    labels[4:14, 4:14, 4:14] = 4
    labels[4:6, 4:14, 6:14] = 0  # the tip of a process
    hu = np.where(labels > 0, 300, 40).astype(np.int16)
    part = (slice(4 + first, 14), slice(0, 20), slice(0, 20))
    hu[: 4 + first] = 40 if soft_below else hu[: 4 + first]
    stored = LabelVolume(labels[part], image.part(part).affine_lps)
    assert labels_cut_within(stored, image, hu) == cut


def test_a_label_that_was_cut_before_is_truncated() -> None:
    labels = np.zeros((9, 9, 9), dtype=np.uint8)
    labels[2:4, 2:4, 2:4], labels[5:7, 2:4, 2:4] = 4, 3
    shapes = shapes_of(labels, Grid(labels.shape, np.eye(4)), cut={4})
    assert [(each.vertebra.name, each.touches_edge) for each in shapes] == [("C3", False), ("C4", True)]
