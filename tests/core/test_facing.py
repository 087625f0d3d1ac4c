"""Which way a column faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.facing import column_turn_deg, impossible_turn_deg
from cspine.core.shape import shapes_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.spine import measure_spine
from cspine.postprocessing.clean import postprocess
from cspine.study.synthesis.known_spine import known_spine


def turned(degrees: float, levels: tuple[str, ...] = ("C3", "C4", "C5", "C6"), step_mm: float = 1.0) -> LabelVolume:
    """A column that is turned about the long axis of the patient; positive from the back to the right."""
    spine = known_spine((0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0), (5.0, -4.0, degrees))
    spine = replace(spine, vertebrae=tuple(v for v in spine.vertebrae if v.level in levels))
    return spine.draw(spine.grid((step_mm, step_mm, step_mm)))


def ct_of(labels: LabelVolume) -> CtVolume:
    return CtVolume(np.where(labels.labels_zyx > 0, 300, 40).astype(np.int16), labels.affine_lps)


@pytest.mark.parametrize("degrees", [0.0, 30.0, -60.0, 90.0, 180.0])
@pytest.mark.parametrize("step_mm", [1.0, 3.0])
def test_the_turn_is_found(degrees: float, step_mm: float) -> None:
    labels = turned(degrees, step_mm=step_mm)
    found = column_turn_deg(labels, shapes_of(labels.labels_zyx, labels.grid))
    assert found is not None and abs((found + degrees + 180) % 360 - 180) < 10


def test_few_vertebrae_and_bodies_alone_have_no_direction() -> None:
    labels = turned(180.0, ("C1", "C4", "C5"))
    assert column_turn_deg(labels, shapes_of(labels.labels_zyx, labels.grid)) is None
    z, y, x = np.indices((60, 30, 30))
    bodies = np.where(np.hypot(y - 15, x - 15) < 9, (z // 15 + 3) * (z % 15 > 2), 0).astype(np.uint8)
    assert None is impossible_turn_deg(
        LabelVolume(bodies, np.eye(4)), shapes_of(bodies, ct_of(LabelVolume(bodies, np.eye(4))).grid)
    )


@pytest.mark.parametrize("degrees", [75.0, -75.0, 180.0])
def test_a_column_that_faces_elsewhere_is_a_finding_and_has_no_values_along_its_axes(degrees: float) -> None:
    labels = turned(degrees)
    _, findings = postprocess(labels, ct_of(labels), None)
    assert "CS-FND-046" in {finding.code for finding in findings}
    measured = measure_spine(labels, ct_of(labels))
    assert all(vertebra.volume_ml > 0 for vertebra in measured.vertebrae)
    assert measured.value("C4", "body_width_mm") is None


def test_a_few_stray_voxels_do_not_hide_it() -> None:
    spine = known_spine((0.0, 0.0, 2.0, 4.0, 6.0, 9.0, 13.0, 16.0))
    labels = spine.draw(spine.grid((0.5, 0.5, 1.5)))
    array = labels.labels_zyx[:, ::-1, ::-1].copy()
    array[3, 5, 6] = array[3, 6, 5] = 19  # every second voxel from the corner of their box is none of them
    turned = LabelVolume(array, labels.affine_lps)
    assert impossible_turn_deg(turned, shapes_of(array, turned.grid)) is not None


def test_a_head_that_is_turned_is_none() -> None:
    labels = turned(50.0)
    assert "CS-FND-046" not in {finding.code for finding in postprocess(labels, ct_of(labels), None)[1]}
