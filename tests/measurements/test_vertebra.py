import re

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.measurements.vertebra import measure_vertebrae


def one_block() -> tuple[LabelVolume, CtVolume]:
    labels = np.zeros((20, 30, 40), dtype=np.uint8)
    labels[5:9, 10:20, 12:18] = 3
    hu = np.full(labels.shape, 40, dtype=np.int16)
    hu[5:7, 10:20, 12:18], hu[7:9, 10:20, 12:18] = 300, 500
    affine = np.diag([0.5, 0.7, 2.0, 1.0])
    affine[:3, 3] = (-100.0, 50.0, -300.0)
    return LabelVolume(labels, affine), CtVolume(hu, affine)


def test_a_block_is_measured_in_patient_units() -> None:
    (block,) = measure_vertebrae(*one_block())
    assert (block.level, block.label, block.touches_edge) == ("C3", 3, False)
    assert block.volume_ml == pytest.approx(4 * 10 * 6 * 0.5 * 0.7 * 2.0 / 1000)
    assert (block.mean_hu, block.std_hu) == (400.0, 100.0)
    assert block.centroid_lps_mm == pytest.approx((-100 + 14.5 * 0.5, 50 + 14.5 * 0.7, -300 + 6.5 * 2))
    assert block.extent_mm == pytest.approx((6 * 0.5, 10 * 0.7, 4 * 2.0))


@pytest.mark.parametrize("target", ["RAS", "SPL", "AIR"])
def test_the_orientation_of_the_array_changes_nothing(target: str) -> None:
    labels, ct = one_block()
    change = reorientation(labels.affine_lps, target)
    affine = change.grid(labels.grid).affine_lps
    reoriented = measure_vertebrae(
        LabelVolume(change.apply(labels.labels_zyx), affine), CtVolume(change.apply(ct.hu_zyx), affine)
    )
    (expected,) = measure_vertebrae(labels, ct)
    assert reoriented[0].centroid_lps_mm == pytest.approx(expected.centroid_lps_mm)
    assert reoriented[0].extent_mm == pytest.approx(expected.extent_mm)
    assert reoriented[0].volume_ml == pytest.approx(expected.volume_ml)


def test_reaching_an_outermost_plane_is_marked() -> None:
    labels, ct = one_block()
    labels.labels_zyx[9:, 12, 14] = 3
    assert measure_vertebrae(labels, ct)[0].touches_edge


def test_levels_come_from_head_to_foot() -> None:
    labels, ct = one_block()
    labels.labels_zyx[0:3, 0:3, 0:3] = 28
    labels.labels_zyx[0:3, 5:8, 0:3] = 20
    labels.labels_zyx[0:3, 10:13, 0:3] = 19
    assert [m.level for m in measure_vertebrae(labels, ct)] == ["C3", "T12", "T13", "L1"]


def test_another_grid_is_refused() -> None:
    labels, ct = one_block()
    with pytest.raises(ValueError, match=re.escape(str(ct.hu_zyx.shape))):
        measure_vertebrae(LabelVolume(labels.labels_zyx[1:], labels.affine_lps), ct)
