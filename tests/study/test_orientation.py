"""References that are turned or mirrored, with predictions that are turned alike."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.study.evaluation.evaluate import Inputs, evaluate
from cspine.study.orientation import (
    BACK_TO_FRONT,
    DISPLACED,
    MIRRORED,
    UPSIDE_DOWN,
    orientation_doubt,
    orientation_notes,
)
from tests.builders.spine_phantom import Phantom, draw, hu_of

PHANTOM = Phantom()
AFFINE = PHANTOM.grid().affine_lps
# Beside the middle of the image, as every patient.
TRUTH = np.roll(draw(PHANTOM), 9, axis=2)
CT = CtVolume(hu_of(TRUTH > 0), AFFINE)
Turn = Callable[[np.ndarray], np.ndarray]


def turned(turn: Turn) -> LabelVolume:
    """The labels as a tool writes them that turns the array and keeps its affine."""
    return LabelVolume(np.ascontiguousarray(turn(TRUTH)), AFFINE)


@pytest.mark.parametrize(
    ("turn", "with_image", "without"),
    [
        (lambda a: a, "", ""),
        (lambda a: a[::-1], UPSIDE_DOWN, UPSIDE_DOWN),
        (lambda a: a[:, ::-1], BACK_TO_FRONT, BACK_TO_FRONT),
        (lambda a: a[:, ::-1, ::-1], BACK_TO_FRONT, BACK_TO_FRONT),  # RAS read as LPS
        (lambda a: a[:, :, ::-1], MIRRORED, ""),  # a vertebra is symmetric: the labels alone cannot show it
    ],
    ids=["right", "head to foot", "front to back", "RAS as LPS", "left to right"],
)
def test_turned_labels_are_noticed(turn: Turn, with_image: str, without: str) -> None:
    assert orientation_doubt(turned(turn), CT) == with_image
    assert orientation_doubt(turned(turn)) == without


@pytest.mark.parametrize("sign_xyz", [(-1, -1, 1), (-1, 1, 1), (1, 1, -1)])
def test_another_order_of_the_voxels_is_no_doubt(sign_xyz: tuple[int, int, int]) -> None:
    affine = AFFINE.copy()
    array = TRUTH
    for axis, sign in enumerate(sign_xyz):
        if sign < 0:
            array = np.flip(array, 2 - axis)
            affine[:3, 3] += affine[:3, axis] * (array.shape[2 - axis] - 1)
            affine[:3, axis] *= -1
    assert orientation_doubt(LabelVolume(np.ascontiguousarray(array), affine), CT) == ""


def test_labels_beside_the_image_are_noticed() -> None:
    affine = AFFINE.copy()
    affine[0, 0] *= -1
    assert orientation_doubt(LabelVolume(TRUTH, affine), CT) == DISPLACED


@pytest.mark.parametrize("kept", [(), (3,), (3, 4)])
def test_few_vertebrae_show_nothing(kept: tuple[int, ...]) -> None:
    labels = np.where(np.isin(TRUTH, kept), TRUTH, 0).astype(np.uint8)[::-1, ::-1]
    assert orientation_doubt(LabelVolume(np.ascontiguousarray(labels), AFFINE)) == ""


def test_a_flexed_neck_is_not_turned() -> None:
    phantom = Phantom(shape_zyx=(170, 130, 80), shear_mm=7.0)
    assert orientation_doubt(LabelVolume(draw(phantom), phantom.grid().affine_lps)) == ""


@pytest.mark.parametrize(
    ("turn", "images", "doubt"),
    [
        (lambda a: a[::-1], False, UPSIDE_DOWN),
        (lambda a: a[:, :, ::-1], True, MIRRORED),
        (lambda a: a[:, :, ::-1], False, ""),
        (lambda a: a, True, ""),
    ],
)
def test_an_evaluation_whose_files_are_turned_alike_says_so(
    turn: Turn, images: bool, doubt: str, tmp_path: Path
) -> None:
    for folder in ("references", "predictions"):
        nifti.write(tmp_path / folder / "a.nii.gz", turned(turn).labels_zyx, AFFINE)
    nifti.write(tmp_path / "images" / "a_0000.nii.gz", CT.hu_zyx, AFFINE)
    inputs = Inputs(images=tmp_path / "images") if images else None
    out = tmp_path / "out"
    found = evaluate(tmp_path / "predictions", tmp_path / "references", out=out, inputs=inputs)
    assert found.results[0].mean_dice == 1.0
    notes = json.loads((out / "summary.json").read_text())["notes"]
    assert notes == orientation_notes([("a", doubt)]) == list(found.notes)
    assert len(notes) == bool(doubt)
