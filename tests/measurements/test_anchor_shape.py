"""Levels that are named one too high or too low are noticed by the shape of what is called C1 and C2."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.shape import shapes_of
from cspine.core.volumes import LabelVolume
from cspine.io.nifti import read_labels
from cspine.measurements.anchor_shape import anchor_findings
from cspine.study.synthesis.known_spine import known_spine

DATA = os.environ.get("CSPINE_TEST_DATA")


def renamed(labels: LabelVolume, by: int) -> LabelVolume:
    """Labels whose levels lie further down by so many; those beyond C1 and T1 are lost."""
    table = np.zeros(256, dtype=np.uint8)
    table[1:9] = [level + by if 1 <= level + by <= 8 else 0 for level in range(1, 9)]
    return replace(labels, labels_zyx=table[labels.labels_zyx])


def found(labels: LabelVolume) -> list[tuple[str, str | None]]:
    shapes = shapes_of(labels.labels_zyx, labels.grid)
    return [(finding.code, finding.level) for finding in anchor_findings(labels, shapes)]


@pytest.fixture(scope="module")
def column() -> LabelVolume:
    """C1..T1 of known shape, in voxels of 1 x 1 x 1.5 mm."""
    spine = known_spine((0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0))
    return spine.draw(spine.grid((1.0, 1.0, 1.5)))


def test_right_levels_have_no_finding(column: LabelVolume) -> None:
    assert found(column) == []


def test_levels_one_too_high_give_c1_a_body(column: LabelVolume) -> None:
    assert found(renamed(column, -1)) == [("CS-FND-047", "C1")]


def test_levels_one_too_low_give_c2_the_shape_of_c1(column: LabelVolume) -> None:
    assert found(renamed(column, 1)) == [("CS-FND-047", "C2")]


@pytest.mark.parametrize("orientation", ["RAS", "PSL", "LIP"])
def test_the_order_of_the_axes_changes_nothing(column: LabelVolume, orientation: str) -> None:
    change = reorientation(column.affine_lps, orientation)
    turned = replace(column, labels_zyx=change.apply(column.labels_zyx), affine_lps=change.grid(column.grid).affine_lps)
    assert found(turned) == []
    assert found(renamed(turned, -1)) == [("CS-FND-047", "C1")]


def test_a_vertebra_that_the_image_cuts_or_a_level_alone_says_nothing(column: LabelVolume) -> None:
    wrong = renamed(column, -1)
    body = np.flatnonzero((wrong.labels_zyx == 1).any(axis=(1, 2)))
    assert found(replace(wrong, labels_zyx=wrong.labels_zyx[: body[len(body) // 2]])) == []
    assert found(replace(wrong, labels_zyx=np.where(wrong.labels_zyx == 1, wrong.labels_zyx, np.uint8(0)))) == []


@pytest.mark.skipif(not DATA, reason="CSPINE_TEST_DATA names no folder of test data")
def test_the_atlas_agrees() -> None:
    image = read_labels(Path(str(DATA)) / "neck_atlas" / "neck_atlas_1mm.nii.gz")
    atlas = replace(image, labels_zyx=np.where(image.labels_zyx <= 8, image.labels_zyx, np.uint8(0)))
    assert found(atlas) == []
    assert found(renamed(atlas, -1)) == [("CS-FND-047", "C1")]
    assert found(renamed(atlas, 1)) == [("CS-FND-047", "C2")]
