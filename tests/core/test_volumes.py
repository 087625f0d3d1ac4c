"""Labels that are counted and given other numbers."""

from __future__ import annotations

import numpy as np

from cspine.core.volumes import labels_present, relabelled


def test_a_label_without_a_new_number_becomes_background() -> None:
    labels = np.array([[[0, 1, 2], [3, 255, 1]]], dtype=np.uint8)
    changed = relabelled(labels, {1: 7, 2: 1, 255: 3})
    assert changed.tolist() == [[[0, 7, 1], [0, 3, 7]]]
    assert changed.dtype == np.uint8 and labels.max() == 255
    assert labels_present(changed) == (1, 3, 7)
