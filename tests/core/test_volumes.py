"""Labels that are counted and given other numbers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.geometry import Grid
from cspine.core.volumes import LabelVolume, labels_present, relabelled


def test_labels_that_were_resampled_resolve_what_their_own_grid_did() -> None:
    labels = LabelVolume(np.zeros((4, 4, 4), np.uint8), np.diag([0.5, 1.0, 2.0, 1.0]))
    assert labels.resolution_xyz == (0.5, 1.0, 2.0)
    sagittal = np.array([[0.0, 0, 3, 0], [0.7, 0, 0, 0], [0, 0.7, 0, 0], [0, 0, 0, 1]])  # slices along x
    before = replace(labels, resampled_from=Grid((4, 4, 4), sagittal))
    assert before.resolution_xyz == pytest.approx((3.0, 1.0, 2.0))


def test_labels_that_are_read_only_share_an_array_that_stays_as_it_was() -> None:
    labels = LabelVolume(np.ones((2, 2, 2), np.uint8), np.eye(4), cut=frozenset({1}))
    locked = labels.read_only()
    with pytest.raises(ValueError, match="read-only"):
        locked.array[0] = 0
    labels.array[0] = 3
    assert np.shares_memory(locked.array, labels.array) and locked.cut == {1}


def test_a_label_without_a_new_number_becomes_background() -> None:
    labels = np.array([[[0, 1, 2], [3, 255, 1]]], dtype=np.uint8)
    changed = relabelled(labels, {1: 7, 2: 1, 255: 3})
    assert changed.tolist() == [[[0, 7, 1], [0, 3, 7]]]
    assert changed.dtype == np.uint8 and labels.max() == 255
    assert labels_present(changed) == (1, 3, 7)
