"""Copies that are blank below a level: what is lost, what remains, and what is expected of it."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.core.errors import InputError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.evaluation.blanked import blanked_cases, case_name

_LAST = 6


def _neck(flipped: bool = False) -> tuple[CtVolume, LabelVolume]:
    """C1..C6, four slices each; each reaches one slice into the one below. The first slice is the lowest."""
    labels = np.zeros((30, 8, 8), dtype=np.uint8)
    for label in range(1, _LAST + 1):
        low = 4 * (_LAST - label) + 3
        labels[low : low + 4, :5, 2:6] = label
        labels[low - 1, 5:, 3:5] = label  # the spinous process
    hu = np.random.default_rng(0).integers(-200, 900, labels.shape).astype(np.int16)
    hu[0, 0, 0] = -777
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    if flipped:
        affine[2, 2] = -2.0
        affine[2, 3] = 58.0
        return CtVolume(hu[::-1].copy(), affine), LabelVolume(labels[::-1].copy(), affine)
    return CtVolume(hu, affine), LabelVolume(labels, affine)


def test_there_is_a_copy_for_each_level_from_c3_down() -> None:
    assert [copy.below.name for copy in blanked_cases(*_neck())] == ["C3", "C4", "C5", "C6"]


@pytest.mark.parametrize("flipped", [False, True])
def test_below_the_level_the_image_is_blank_and_above_it_as_it_was(flipped: bool) -> None:
    ct, labels = _neck()
    copies = list(blanked_cases(*_neck(flipped)))
    assert len(copies) == 4
    for copy in copies:
        end = 4 * (_LAST - copy.below.label) + 2
        assert (copy.ct.hu_zyx[:end] == -777).all()
        assert np.array_equal(copy.ct.hu_zyx[end:], ct.hu_zyx[end:])
        assert not copy.labels.labels_zyx[:end].any()
        assert np.array_equal(copy.labels.labels_zyx[end:], labels.labels_zyx[end:])
        assert copy.blank_mm == 2.0 * end
        assert copy.ct.grid.is_close(ct.grid) and copy.labels.grid.is_close(ct.grid)


def test_the_row_says_what_is_complete_cut_and_expected() -> None:
    copy = next(copy for copy in blanked_cases(*_neck()) if copy.below.name == "C4")
    row = copy.row("pat")
    assert row["case"] == case_name("pat", vertebra("C4")) == "pat-above-C4"
    assert row["complete"] == "C1 C2 C3 C4"
    assert row["expected"] == "C1 C2 C3 C4"
    assert row["cut"] == "C5:0.23"  # the uppermost of its four slices
    assert copy.remaining["C5"] == pytest.approx(20 / 86)
    assert "C6" not in copy.remaining


def test_images_and_labels_of_different_grids_are_refused() -> None:
    ct, labels = _neck()
    with pytest.raises(InputError):
        list(blanked_cases(ct, LabelVolume(labels.labels_zyx[1:], labels.affine_lps)))
