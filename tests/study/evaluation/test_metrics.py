"""Scores against hand-computed values, a brute-force computation with scipy, and what VerSe calls identified."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from cspine.core.anatomy import CERVICAL_LEVELS, vertebra
from cspine.core.errors import InputError
from cspine.core.volumes import LabelVolume
from cspine.study.evaluation.metrics import LevelMatch, Score, match_levels, neighbours, score_levels
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import volumes
from tests.builders.surfaces import surface_distances

NECK, _ = volumes()
_SPACING_XYZ = (0.5, 1.0, 2.0)


def _volume(labels_zyx: np.ndarray) -> LabelVolume:
    affine = np.diag([*_SPACING_XYZ, 1.0])
    affine[:3, 3] = (-10.0, 5.0, 100.0)
    return LabelVolume(labels_zyx.astype(np.uint8), affine)


def _box(*ranges: tuple[int, int], label: int = 3, shape: tuple[int, int, int] = (20, 24, 28)) -> np.ndarray:
    labels = np.zeros(shape)
    labels[tuple(slice(*r) for r in ranges)] = label
    return labels


def _score(reference: np.ndarray, prediction: np.ndarray, level: str = "C3") -> Score:
    (score,) = score_levels(_volume(reference), _volume(prediction), [vertebra(level)])
    return score


def _brute_force(reference: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """Dice and HD95 of two masks, by all distances between all border voxels."""
    dice = 2 * (reference & prediction).sum() / (reference.sum() + prediction.sum())
    borders = [np.argwhere(m & ~ndimage.binary_erosion(m)) * _SPACING_XYZ[::-1] for m in (reference, prediction)]
    distances = cdist(borders[0], borders[1])
    return dice, max(np.percentile(distances.min(axis=0), 95), np.percentile(distances.min(axis=1), 95))


def test_equal_boxes_agree_wholly() -> None:
    box = _box((4, 10), (5, 15), (6, 16))
    assert _score(box, box) == Score("C3", 1.0, 0.0, 0.0, 0.6, 0.6, True, 0.0, 0.0)


@pytest.mark.parametrize(("axis", "millimetres"), [(0, 2.0), (1, 1.0), (2, 0.5)])
def test_a_shifted_box_is_as_far_as_a_step_of_that_axis(axis: int, millimetres: float) -> None:
    ranges = [(4, 10), (5, 15), (6, 16)]
    shifted = [(a + (i == axis), b + (i == axis)) for i, (a, b) in enumerate(ranges)]
    score = _score(_box(*ranges), _box(*shifted))
    length = ranges[axis][1] - ranges[axis][0]
    assert score.dice == pytest.approx((length - 1) / length)
    assert score.hd95_mm == pytest.approx(millimetres)


def test_the_95th_percentile_ignores_a_single_far_voxel() -> None:
    box = _box((4, 10), (5, 15), (6, 16))
    spike = box.copy()
    spike[7, 20, 10] = 3
    score = _score(box, spike)
    assert score.hd95_mm == 0
    assert score.dice == pytest.approx(2 * 600 / 1201)


@pytest.mark.parametrize("seed", range(5))
def test_random_masks_equal_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = [ndimage.gaussian_filter(rng.standard_normal((18, 20, 22)), 2.0) > 0.02 for _ in range(2)]
    score = _score(masks[0] * 3, masks[1] * 3)
    dice, distance = _brute_force(masks[0], masks[1])
    assert score.dice == pytest.approx(dice, abs=1e-6)
    assert score.hd95_mm == pytest.approx(distance, abs=1e-4)
    assert distance > 0


def test_the_order_of_the_two_images_does_not_matter() -> None:
    first, second = _box((4, 10), (5, 15), (6, 16)), _box((4, 14), (5, 11), (9, 20))
    one, other = _score(first, second), _score(second, first)
    assert (one.dice, one.hd95_mm) == pytest.approx((other.dice, other.hd95_mm))


def test_a_mask_at_the_edge_of_the_image_has_a_border_there() -> None:
    first, second = _box((0, 6), (0, 10), (0, 10)), _box((0, 6), (0, 10), (0, 14))
    score = _score(first, second)
    assert (score.dice, score.hd95_mm) == pytest.approx(_brute_force(first > 0, second > 0))


def test_levels_are_compared_one_by_one_in_the_order_given() -> None:
    reference, prediction = _box((4, 10), (5, 15), (6, 16)), _box((4, 10), (5, 15), (6, 16), label=4)
    reference[15:18, 5:9, 5:9] = prediction[15:18, 5:9, 5:9] = 7
    scores = score_levels(_volume(reference), _volume(prediction), [vertebra("C7"), *CERVICAL_LEVELS])
    assert [s.level for s in scores] == ["C7", "C3", "C4", "C7"]
    by_level = {s.level: s.dice for s in scores}
    assert (by_level["C3"], by_level["C4"], by_level["C7"]) == (0.0, 0.0, 1.0)


def test_a_level_that_only_one_image_has_is_wholly_wrong_and_one_that_none_has_does_not_count() -> None:
    box, nothing = _box((4, 10), (5, 15), (6, 16)), _box((0, 0), (0, 0), (0, 0))
    missed, false = _score(box, nothing), _score(nothing, box)
    assert missed == Score("C3", 0.0, None, None, 0.6, 0.0, False, None, 0.0)
    assert false == Score("C3", 0.0, None, None, 0.0, 0.6, None, None)
    assert missed.missed and not missed.false and false.false and not false.missed
    assert (missed.volume_error_ml, false.volume_error_ml) == (-0.6, 0.6)
    assert score_levels(_volume(nothing), _volume(nothing), CERVICAL_LEVELS) == []


def test_different_grids_are_refused() -> None:
    box = _box((4, 10), (5, 15), (6, 16))
    moved = LabelVolume(box.astype(np.uint8), _volume(box).affine_lps.copy())
    moved.affine_lps[0, 3] += 0.2
    for other in (moved, _volume(box[:-1])):
        for compare in (score_levels, match_levels):
            with raises_code(InputError) as refused:
                compare(_volume(box), other, CERVICAL_LEVELS)
            assert "DICOM" not in refused.value.advice


def test_each_vertebra_has_the_level_of_most_of_its_labelled_voxels() -> None:
    labels = NECK.labels_zyx.copy()
    third = np.argwhere(labels == 3)
    labels[tuple(third[: int(len(third) * 0.7)].T)] = 4  # most of C3 is C4
    fifth = np.argwhere(labels == 5)
    labels[tuple(fifth[: int(len(fifth) * 0.7)].T)] = 0  # what is left of C5 is C5
    labels[tuple(np.argwhere(NECK.labels_zyx == 6)[50:].T)] = 0  # nearly nothing of C6
    matches = {m.level: m for m in match_levels(NECK, LabelVolume(labels, NECK.affine_lps), CERVICAL_LEVELS)}
    assert matches["C3"] == LevelMatch("C3", "C4") and matches["C3"].wrong
    assert matches["C5"].right
    assert matches["C6"].predicted is None and not matches["C6"].wrong and not matches["C6"].right


def test_a_sliver_of_a_reference_vertebra_does_not_count() -> None:
    sliver = NECK.labels_zyx.copy()
    sliver[tuple(np.argwhere(sliver == 8)[400:].T)] = 0
    matches = match_levels(LabelVolume(sliver, NECK.affine_lps), NECK, CERVICAL_LEVELS)
    assert [match.level for match in matches] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7"]


def test_a_number_that_no_level_has_is_background() -> None:
    labels = NECK.labels_zyx.copy()
    labels[NECK.labels_zyx == 3] = 30
    labels[tuple(np.argwhere(NECK.labels_zyx == 4)[::2].T)] = 26
    found = LabelVolume(labels, NECK.affine_lps)
    matches = {m.level: m for m in match_levels(NECK, found, CERVICAL_LEVELS)}
    assert matches["C3"].predicted is None and matches["C4"].right
    assert len(match_levels(found, NECK, CERVICAL_LEVELS)) == 7


def _centred(*positions: tuple[int, int]) -> LabelVolume:
    """Cubes of 3 voxels of 2 mm along z, each with its label and its centre."""
    labels = np.zeros((60, 6, 6), dtype=np.uint8)
    for label, z in positions:
        labels[z - 1 : z + 2, 1:4, 1:4] = label
    return LabelVolume(labels, np.diag([2.0, 2.0, 2.0, 1.0]))


def _identified(reference: LabelVolume, found: LabelVolume) -> dict[str, bool | None]:
    return {score.level: score.identified for score in score_levels(reference, found, CERVICAL_LEVELS)}


def test_a_vertebra_is_identified_where_the_nearest_centroid_is_its_own_within_20_mm() -> None:
    reference = _centred((4, 40), (5, 30), (6, 20))
    assert _identified(reference, reference) == {"C4": True, "C5": True, "C6": True}
    # 8 mm away, and still the nearest.
    assert _identified(reference, _centred((4, 44), (5, 30), (6, 8)))["C4"]
    assert _identified(_centred((4, 40)), _centred((4, 50))) == {"C4": True}
    assert _identified(_centred((4, 40)), _centred((4, 51))) == {"C4": False}
    # One level off: the nearest centroid carries the neighbour's label.
    assert _identified(reference, _centred((5, 40), (6, 30), (7, 20))) == {
        "C4": False, "C5": False, "C6": False, "C7": None,
    }  # fmt: skip
    # A level that is not asked for may be the nearest, too.
    assert _identified(reference, _centred((4, 44), (20, 40))) == {"C4": False, "C5": False, "C6": False}


def test_distance_of_centroids_and_volumes_are_in_millimetres_and_millilitres() -> None:
    (score,) = score_levels(_centred((4, 40)), _centred((4, 43)), CERVICAL_LEVELS)
    assert score.centroid_distance_mm == pytest.approx(6.0)
    assert (score.reference_ml, score.predicted_ml) == pytest.approx((27 * 8 / 1000,) * 2)
    assert score.dice == 0.0 and score.hd95_mm == pytest.approx(6.0)


def test_all_levels_of_a_complete_column_equal_those_of_each_mask_alone() -> None:
    found = NECK.labels_zyx.copy()
    found[NECK.labels_zyx == 3] = 0
    found = np.roll(found, (1, -2), axis=(0, 1))
    for score in score_levels(NECK, LabelVolume(found, NECK.affine_lps), CERVICAL_LEVELS):
        label = vertebra(score.level).label
        if label != 3:
            masks = [volume == label for volume in (NECK.labels_zyx, found)]
            alone = surface_distances(*masks, NECK.grid.spacing_xyz[::-1])
            assert (score.hd95_mm, score.assd_mm) == (alone.hd95_mm, alone.assd_mm)
            assert score.dice == 2 * (masks[0] & masks[1]).sum() / (masks[0].sum() + masks[1].sum())


def test_volume_given_to_a_neighbour_is_what_carries_the_label_above_or_below() -> None:
    reference = _box((4, 14), (5, 15), (6, 16))
    prediction = reference.copy()
    prediction[4:6] *= 4 / 3  # two of ten slices to C4
    prediction[6:7] *= 2 / 3  # one to C2
    prediction[7:8] *= 5 / 3  # one to C5, no neighbour
    prediction[8:9] = 0
    (score,) = score_levels(_volume(reference), _volume(prediction.round()), [vertebra("C3")])
    assert score.given_to_neighbour == pytest.approx(0.3)


def test_neighbours_are_the_levels_above_and_below() -> None:
    found = {name: [level.name for level in neighbours(vertebra(name))] for name in ("C1", "C7", "T12", "T13", "L1")}
    assert found == {
        "C1": ["C2"],
        "C7": ["C6", "T1"],
        "T12": ["T11", "T13", "L1"],
        "T13": ["T12", "L1"],
        "L1": ["T12", "T13", "L2"],
    }
