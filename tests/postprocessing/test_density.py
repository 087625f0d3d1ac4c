"""Labels on soft tissue are removed: entire levels in air or fat, components in muscle."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.postprocessing.clean import postprocess
from cspine.postprocessing.density import remove_non_bone
from tests.builders.spine_phantom import Phantom, volumes


def with_component(hu: int, edge: int) -> tuple[LabelVolume, CtVolume, tuple[slice, ...]]:
    """A phantom with a cube of C3 behind its spinous process, detached by 3 mm."""
    labels, ct = volumes()
    c3 = np.argwhere(labels.labels_zyx == 3)
    z, y, x = int(c3[:, 0].mean()), int(c3[:, 1].max()) + 4, int(c3[:, 2].mean())
    box = (slice(z - edge // 2, z + edge - edge // 2), slice(y, y + edge), slice(x, x + edge))
    labels.labels_zyx[box] = 3
    ct.hu_zyx[box] = hu
    return labels, ct, box


def test_a_detached_component_of_soft_tissue_is_removed_and_reported() -> None:
    labels, ct, box = with_component(35, 8)
    bone = labels.labels_zyx.copy()
    bone[box] = 0
    findings, removed = remove_non_bone(labels.labels_zyx, ct)
    assert np.array_equal(labels.labels_zyx, bone)
    assert [(finding.code, finding.level) for finding in findings] == [("CS-FND-013", "C3")]
    assert removed == {3: [512.0]}


def test_a_small_component_of_soft_tissue_is_removed_without_a_finding() -> None:
    labels, ct, box = with_component(35, 5)
    findings, removed = remove_non_bone(labels.labels_zyx, ct)
    assert not labels.labels_zyx[box].any()
    assert (findings, removed) == ([], {3: [125.0]})


@pytest.mark.parametrize("hu", [61, 400])
def test_a_detached_component_of_bone_stays(hu: int) -> None:
    labels, ct, box = with_component(hu, 8)
    assert remove_non_bone(labels.labels_zyx, ct) == ([], {})
    assert (labels.labels_zyx[box] == 3).all()


@pytest.mark.parametrize("gap_mm", [3, 14])
def test_a_component_in_air_does_not_take_the_vertebra_with_it(gap_mm: int) -> None:
    labels, ct = volumes(Phantom(shape_zyx=(170, 140, 80)))
    c3 = np.argwhere(labels.labels_zyx == 3)
    z, y = int(c3[:, 0].mean()), int(c3[:, 1].max()) + gap_mm
    cube = (slice(z - 8, z + 8), slice(y, y + 32), slice(20, 60))
    assert not labels.labels_zyx[cube].any()
    labels.labels_zyx[cube], ct.hu_zyx[cube] = 3, -1000
    assert (labels.labels_zyx[cube] == 3).sum() > len(c3)  # larger than the vertebra
    cleaned, findings = postprocess(labels, ct, 50.0)
    assert (cleaned.labels_zyx == 3).sum() >= 0.95 * len(c3)
    assert not cleaned.labels_zyx[cube].any()
    assert {(finding.code, finding.level) for finding in findings} == {("CS-FND-013", "C3")}


def test_a_vertebra_with_little_mineral_stays() -> None:
    labels, ct = volumes()
    ct.hu_zyx[labels.labels_zyx == 4] = -20
    before = labels.labels_zyx.copy()
    assert remove_non_bone(labels.labels_zyx, ct) == ([], {})
    assert np.array_equal(labels.labels_zyx, before)


def test_a_removed_component_is_no_fragment() -> None:
    labels, ct, _ = with_component(35, 8)
    codes = [finding.code for finding in postprocess(labels, ct, 50.0)[1]]
    assert codes == ["CS-FND-013"]
    labels, ct, _ = with_component(400, 8)
    assert [finding.code for finding in postprocess(labels, ct, 50.0)[1]] == ["CS-FND-005"]
