"""Surfaces of labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial import cKDTree

from cspine.core.anatomy import vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.volumes import LabelVolume
from cspine.surfaces.surface import is_closed
from cspine.surfaces.vertebrae import vertebra_solids, vertebra_surfaces
from tests.builders.solid_vertebrae import column, two_balls


def test_every_vertebra_of_a_column_keeps_to_its_label() -> None:
    found = vertebra_surfaces(column())
    assert [each.surface.vertebra.name for each in found] == ["C3", "C4", "C5"]
    for each in found:
        assert is_closed(each.surface.triangles)
        assert each.is_within_limits
        assert each.fidelity.distance_max_voxels < 1


def test_touching_labels_give_surfaces_that_do_not_overlap() -> None:
    upper, lower = (each.surface for each in vertebra_surfaces(two_balls(12.0)))
    # The voxels at z = 0 belong to the upper ball: neither surface reaches beyond their lower faces.
    assert upper.points_lps[:, 2].min() > -0.6
    assert lower.points_lps[:, 2].max() < -0.4
    assert is_closed(upper.triangles)
    assert is_closed(lower.triangles)


@pytest.mark.parametrize("gap", [0.5, 2.0])
def test_a_gap_is_kept(gap: float) -> None:
    upper, lower = (each.surface for each in vertebra_surfaces(two_balls(13.0), gap))
    nearest = cKDTree(upper.points_lps).query(lower.points_lps)[0].min()
    assert gap - 0.15 < nearest < gap + 0.4


def test_fragments_are_omitted_and_cavities_filled_and_both_are_reported() -> None:
    labels = column(("C4",))
    edited = labels.labels_zyx.copy()
    edited[2:4, 2:4, 2:5] = vertebra("C4").label
    solid = vertebra_solids(LabelVolume(edited, labels.affine_lps))[0]
    assert solid.omitted_mm3 == 12
    inner = tuple(np.argwhere(_eroded(edited == vertebra("C4").label))[0])
    edited[inner] = 0
    solid = vertebra_solids(LabelVolume(edited, labels.affine_lps))[0]
    assert solid.filled_mm3 == 1


def test_a_vertebra_at_the_edge_is_closed_and_marked() -> None:
    labels = column(("C4",))
    first = int(np.argwhere(labels.labels_zyx)[:, 0].min()) + 3
    found = vertebra_surfaces(LabelVolume(labels.labels_zyx[first:], labels.affine_lps))[0]
    assert found.solid.touches_edge
    assert is_closed(found.surface.triangles)


def test_labels_without_a_vertebra_are_refused() -> None:
    with pytest.raises(NoVertebraError):
        vertebra_surfaces(LabelVolume(np.full((5, 5, 5), 26, dtype=np.uint8), np.eye(4)))


def _eroded(mask: np.ndarray) -> np.ndarray:
    return ndimage.binary_erosion(mask, iterations=2)
