"""Axes of vertebrae."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.surfaces.frame import frames_of
from cspine.surfaces.vertebrae import vertebra_solids
from tests.builders.solid_vertebrae import STEP_MM, column, two_balls


@pytest.mark.parametrize("turn", [0.0, 20.0])
def test_the_axes_of_a_column(turn: float) -> None:
    labels = column(turn_deg=turn)
    frames = frames_of(vertebra_solids(labels))
    for i, frame in enumerate(frames):
        assert frame is not None
        np.testing.assert_allclose(frame.up, (0, 0, 1), atol=0.02)
        expected = np.array([np.sin(np.radians(turn)), -np.cos(np.radians(turn)), 0])
        assert np.degrees(np.arccos(frame.anterior @ expected)) < 6
        assert frame.left @ np.array([1, 0, 0]) > 0.8
        np.testing.assert_allclose(frame.origin_lps, (0, 0, -i * STEP_MM), atol=1.5)
        assert frame.canal_width_mm == pytest.approx(20, abs=2.5)
        assert frame.canal_front_mm == pytest.approx(7, abs=2)


def test_a_vertebra_cut_by_the_edge_does_not_tilt_its_neighbour() -> None:
    labels = column()
    cut = labels.labels_zyx[14:]
    frames = frames_of(vertebra_solids(type(labels)(cut, labels.affine_lps)))
    assert frames[1] is not None
    np.testing.assert_allclose(frames[1].up, (0, 0, 1), atol=0.02)


def test_a_bone_without_a_canal_has_no_axes() -> None:
    assert frames_of(vertebra_solids(two_balls(20.0))) == [None, None]
