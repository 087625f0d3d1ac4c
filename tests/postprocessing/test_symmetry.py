"""A vertebra on one side of the midline is reported; a bent, rotated or complete neck is not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from cspine.core.shape import shapes_of
from cspine.core.volumes import LabelVolume
from cspine.postprocessing.symmetry import side_findings
from tests.builders.spine_phantom import Phantom, volumes


def found(labels: LabelVolume) -> list[tuple[str, str | None]]:
    findings = side_findings(shapes_of(labels.labels_zyx, labels.grid), labels.labels_zyx, labels.affine_lps)
    return [(finding.code, finding.level) for finding in findings]


def half(labels: LabelVolume, label: int, side: str) -> None:
    middle = labels.labels_zyx.shape[2] // 2
    columns = slice(middle, None) if side == "left" else slice(0, middle)
    part = labels.labels_zyx[..., columns]
    part[part == label] = 0


@pytest.mark.parametrize("label", [1, 5, 8])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_vertebra_with_one_half_is_reported(label: int, side: str) -> None:
    labels, _ = volumes()
    half(labels, label, side)
    level = f"C{label}" if label < 8 else "T1"
    assert found(labels) == [("CS-FND-032", level)]


@pytest.mark.parametrize("label", [4, 8])
def test_a_fragment_of_one_side_does_not_blame_its_neighbours(label: int) -> None:
    labels, _ = volumes()
    level = labels.labels_zyx == label
    columns = np.flatnonzero(level.any(axis=(0, 1)))
    level[..., columns[-len(columns) // 4] :] = False  # the left quarter stays
    labels.labels_zyx[level] = 0
    assert found(labels) == [("CS-FND-032", f"C{label}" if label < 8 else "T1")]


def test_a_complete_neck_has_no_finding() -> None:
    assert found(volumes(Phantom(shear_mm=3.0))[0]) == []


def test_a_neck_bent_to_the_side_with_a_rotated_head_has_no_finding() -> None:
    labels, _ = volumes()
    bent = np.stack([np.roll(rows, round(0.2 * z), axis=1) for z, rows in enumerate(labels.labels_zyx - 0)])
    bent = np.roll(bent, -17, axis=2)
    head = bent == 1
    bent[head] = 0
    turned = ndimage.rotate(head.astype(np.uint8), 30, axes=(1, 2), reshape=False, order=0).astype(bool)
    bent[turned & (bent == 0)] = 1
    assert found(LabelVolume(bent, labels.affine_lps, labels.model)) == []


def test_a_small_part_of_a_level_and_two_levels_alone_have_no_finding() -> None:
    labels, _ = volumes()
    half(labels, 8, "left")
    points = np.argwhere(labels.labels_zyx == 8)
    labels.labels_zyx[tuple(points[900:].T)] = 0
    assert found(labels) == []
    pair, _ = volumes(Phantom(labels=(3, 4)))
    half(pair, 3, "left")
    assert found(pair) == []
