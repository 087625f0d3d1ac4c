"""A vertebra is compared with its mirror image, whatever the direction of the head."""

from __future__ import annotations

import numpy as np

from cspine.core.geometry import Grid
from cspine.core.shape import shapes_of
from cspine.core.volumes import LabelVolume
from cspine.study.audits.symmetry import mirror_dices
from tests.builders.spine_phantom import NECK, draw, spine


def test_a_vertebra_with_one_side_is_not_symmetrical() -> None:
    truth = draw(NECK)
    half = truth.copy()
    x = np.arange(truth.shape[2])
    half[(truth == 4) & (x < 36)] = 0
    half[(truth == 4) & (x > 44) & (np.arange(truth.shape[1])[:, None] > 60)] = 0
    half[:, 50:60, 46:60][truth[:, 40:50, 46:60] == 4] = 4
    labels, shapes = spine(truth=half)
    dices = mirror_dices(labels, shapes)
    assert dices["C4"] < 0.8 < min(dice for name, dice in dices.items() if name != "C4")


def test_a_rotated_head_is_as_symmetrical_as_one_that_is_not() -> None:
    rotated = Grid(NECK.shape_zyx, _rotated(NECK.grid().affine_lps, 20.0))
    shapes = shapes_of(draw(NECK), rotated)
    dices = mirror_dices(LabelVolume(draw(NECK), rotated.affine_lps), shapes)
    assert min(dices.values()) > 0.9


def _rotated(affine: np.ndarray, degrees: float) -> np.ndarray:
    angle = np.deg2rad(degrees)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return rotation @ affine
