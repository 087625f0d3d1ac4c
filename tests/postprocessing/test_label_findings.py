"""Findings about labels that were not predicted here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume, relabelled
from cspine.postprocessing.label_findings import given_label_findings
from tests.builders.spine_phantom import Phantom, volumes

LABELS, CT = volumes(Phantom())


def codes(labels: LabelVolume, ct: CtVolume = CT, age: float | None = 50.0, **options: bool) -> set[tuple[str, str]]:
    findings = given_label_findings(labels, ct, age, **options)
    return {(finding.code, finding.level or "") for finding in findings}


def renamed(numbers: dict[int, int]) -> LabelVolume:
    changed = {label: numbers.get(label, label) for label in range(1, 9)}
    return replace(LABELS, labels_zyx=relabelled(LABELS.labels_zyx, changed))


def test_correct_labels_have_none() -> None:
    assert codes(LABELS) == set()
    assert codes(renamed({1: 0, 2: 0})) == set()  # who labelled them counted the levels


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ({4: 0}, ("CS-FND-002", "C4")),
        ({4: 5, 5: 4}, ("CS-FND-003", "C5")),
        ({label: 9 - label for label in range(1, 9)}, ("CS-FND-003", "T1")),
        ({5: 4}, ("CS-FND-027", "C4")),
    ],
)
def test_levels_in_another_order(numbers: dict[int, int], expected: tuple[str, str]) -> None:
    assert expected in codes(renamed(numbers))


def test_labels_beside_the_bone() -> None:
    beside = np.roll(LABELS.labels_zyx, 35, axis=2)
    assert {("CS-FND-013", level) for level in ("C2", "C7", "T1")} <= codes(replace(LABELS, labels_zyx=beside))


def test_a_vertebra_that_is_too_dense_for_bone() -> None:
    hu_zyx = CT.hu_zyx.copy()
    hu_zyx[LABELS.labels_zyx == 5] = 2500
    assert ("CS-FND-031", "C5") in codes(LABELS, replace(CT, hu_zyx=hu_zyx))


def test_a_column_that_faces_the_front() -> None:
    ct = replace(CT, hu_zyx=np.ascontiguousarray(CT.hu_zyx[:, ::-1]))
    assert ("CS-FND-046", "") in codes(replace(LABELS, labels_zyx=LABELS.labels_zyx[:, ::-1]), ct)


@pytest.mark.parametrize(("age", "is_child"), [(9.0, True), (18.0, False), (None, False)])
def test_the_age(age: float | None, is_child: bool) -> None:
    assert (("CS-FND-006", "") in codes(LABELS, age=age)) is is_child


def test_values_that_are_cut_to_a_window() -> None:
    noise = np.random.default_rng(0).normal(0, 30, CT.hu_zyx.shape)
    ct = replace(CT, hu_zyx=np.clip(CT.hu_zyx + noise, -160, 240).astype(np.int16))
    assert any(code == "CS-FND-029" for code, _ in codes(LABELS, ct))


def test_of_labels_of_bodies_no_volume_is_known() -> None:
    body = LABELS.labels_zyx.copy()
    body[:, 45:] = 0
    found = codes(replace(LABELS, labels_zyx=body), bodies_only=True)
    assert not any(code in ("CS-FND-004", "CS-FND-009") for code, _ in found)
    shrunk = np.where(np.indices(body.shape)[1] < 36, body, np.uint8(0))
    assert any(code == "CS-FND-004" for code, _ in codes(replace(LABELS, labels_zyx=shrunk)))
