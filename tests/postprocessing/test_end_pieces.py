"""Small pieces with a level that cannot lie where they are, at both ends of the column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.core.volumes import LabelVolume
from cspine.postprocessing.clean import Scope, postprocess
from cspine.postprocessing.end_pieces import assign_end_pieces
from tests.builders.spine_phantom import Phantom, volumes


def spinous_tip(labels: LabelVolume, label: int) -> tuple[np.ndarray, ...]:
    """Index of the rear 8 mm of a spinous process."""
    points = np.argwhere(labels.labels_zyx == label)
    return tuple(points[points[:, 1] > points[:, 1].max() - 8].T)


@pytest.mark.parametrize(("owner", "wrong"), [(6, 7), (6, 8), (2, 1)])
def test_the_tip_of_a_spinous_process_is_no_vertebra(owner: int, wrong: int) -> None:
    levels = tuple(range(2, 7))
    labels, _ = volumes(Phantom(labels=levels))
    truth = labels.labels_zyx.copy()
    labels.labels_zyx[spinous_tip(labels, owner)] = wrong
    findings = assign_end_pieces(labels.labels_zyx, labels.grid)
    assert np.array_equal(labels.labels_zyx, truth)
    assert [finding.code for finding in findings] == ["CS-FND-034"]


def test_a_piece_that_touches_no_vertebra_is_removed() -> None:
    labels, _ = volumes(Phantom(labels=(2, 3, 4, 5)))
    truth = labels.labels_zyx.copy()
    z, y, _ = np.argwhere(truth == 5).max(axis=0)
    labels.labels_zyx[z - 6 : z, y + 4 : y + 9, 36:44] = 6
    assert len(assign_end_pieces(labels.labels_zyx, labels.grid)) == 1
    assert np.array_equal(labels.labels_zyx, truth)


def test_the_upper_edge_of_the_next_vertebra_stays() -> None:
    labels, _ = volumes(Phantom(labels=(2, 3, 4, 5, 6)))
    below = np.argwhere(labels.labels_zyx == 6)
    top = below[:, 0].max()
    labels.labels_zyx[tuple(below[below[:, 0] < top].T)] = 0
    before = labels.labels_zyx.copy()
    assert 0 < (before == 6).sum() < 900
    assert assign_end_pieces(labels.labels_zyx, labels.grid) == []
    assert np.array_equal(labels.labels_zyx, before)


def test_too_few_levels_and_a_complete_neck_are_left_alone() -> None:
    labels, _ = volumes(Phantom(labels=(3, 4)))
    labels.labels_zyx[spinous_tip(labels, 4)] = 5
    for each in (labels, volumes()[0]):
        before = each.labels_zyx.copy()
        assert assign_end_pieces(each.labels_zyx, each.grid) == []
        assert np.array_equal(each.labels_zyx, before)


def test_a_level_of_a_cervical_model_that_skips_one_is_renumbered_and_reported() -> None:
    labels, ct = volumes(Phantom(labels=(1, 2, 3, 4, 5, 6, 7)))
    truth = labels.labels_zyx.copy()
    labels.labels_zyx[truth == 7] = 8
    cleaned, findings = postprocess(labels, ct, 50.0)
    assert np.array_equal(cleaned.labels_zyx, truth)
    assert [finding.code for finding in findings] == ["CS-FND-026"]
    left, findings = postprocess(labels, ct, 50.0, scope=Scope(solve_levels=False))
    assert np.array_equal(left.labels_zyx, labels.labels_zyx)
    assert "CS-FND-002" in [finding.code for finding in findings]


def test_a_vertebra_that_the_image_cuts_is_not_united_with_its_neighbour() -> None:
    labels, ct = volumes()
    bottom = int(np.argwhere(labels.labels_zyx == 7)[:, 0].min()) + 2
    cut, hu = np.ascontiguousarray(labels.labels_zyx[bottom:]), np.ascontiguousarray(ct.hu_zyx[bottom:])
    half = np.argwhere(cut == 7)
    cut[tuple(half[half[:, 2] > half[:, 2].mean() + 2].T)] = 8  # a half of what is left looks like T1
    volume = LabelVolume(cut, labels.affine_lps, labels.model)
    codes = {finding.code for finding in postprocess(volume, replace(ct, hu_zyx=hu), 50.0)[1]}
    assert "CS-FND-001" in codes
    assert not {"CS-FND-025", "CS-FND-026"} & codes


def test_no_level_that_the_model_lacks_is_assigned() -> None:
    labels, ct = volumes(Phantom(labels=(5, 6, 7, 8)))
    labels.labels_zyx[labels.labels_zyx == 7] = 4
    few = Scope(levels=tuple(vertebra(name) for name in ("C4", "C5", "C6", "T1")))
    cleaned, _ = postprocess(labels, ct, 50.0, scope=few)
    assert set(np.unique(cleaned.labels_zyx)) <= {0, 4, 5, 6, 8}
