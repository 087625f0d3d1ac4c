import numpy as np
import pytest

from cspine.postprocessing.components import (
    clean_components,
    contact_faces,
    find_pieces,
    lies_within,
)

ONE_MM = (1.0, 1.0, 1.0)


def two_vertebrae() -> np.ndarray:
    labels = np.zeros((60, 40, 40), dtype=np.uint8)
    labels[35:50, 10:30, 10:30] = 3
    labels[10:30, 10:30, 10:30] = 4
    return labels


def test_pieces_are_sorted_by_size_and_carry_their_box() -> None:
    labels = two_vertebrae()
    labels[55:58, 2:4, 3:4] = 3
    numbers, pieces = find_pieces(labels)
    assert [p.label for p in pieces] == [4, 3, 3]
    assert pieces[2].box_zyx == (slice(55, 58), slice(2, 4), slice(3, 4))
    assert np.count_nonzero(numbers == pieces[2].number) == pieces[2].voxels == 6


def test_contact_counts_faces_by_label_at_the_border_of_the_array_too() -> None:
    labels = np.zeros((4, 4, 4), dtype=np.uint8)
    labels[0, 0, 0], labels[0, 0, 1] = 3, 4
    numbers, pieces = find_pieces(labels)
    third = next(p for p in pieces if p.label == 3)
    assert contact_faces(labels, numbers, third) == ({4: 1}, 6)


def test_an_island_is_removed() -> None:
    labels = two_vertebrae()
    expected = labels.copy()
    labels[55:59, 2:6, 2:6] = 3
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert np.array_equal(cleaned, expected)
    assert cleaning.removed_mm3 == {3: 64.0}


def test_a_second_fragment_next_to_its_vertebra_is_kept_and_reported() -> None:
    labels = two_vertebrae()
    labels[35:45, 33:38, 12:20] = 3
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert np.array_equal(cleaned, labels)
    assert cleaning.fragments_mm3 == {3: [400.0]}


def test_a_large_piece_far_from_its_vertebra_is_no_fragment() -> None:
    labels = two_vertebrae()
    labels[0:8, 30:38, 32:40] = 3
    cleaned, _ = clean_components(labels, ONE_MM, 1.0)
    assert not (cleaned[:9, 30:, 31:] == 3).any()


def test_a_leak_into_the_next_vertebra_is_given_to_it() -> None:
    labels = two_vertebrae()
    labels[12:18, 10:16, 10:16] = 3
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert np.array_equal(cleaned, two_vertebrae())
    assert cleaning.moved_mm3 == {(3, 4): 216.0}


def test_a_small_label_embedded_in_another_vertebra_is_given_to_it() -> None:
    labels = two_vertebrae()
    labels[15:20, 15:20, 15:20] = 5
    cleaned, _ = clean_components(labels, ONE_MM, 1.0)
    assert np.array_equal(cleaned, two_vertebrae())


def test_a_large_piece_is_not_reassigned() -> None:
    labels = two_vertebrae()
    labels[10:30, 10:23, 10:30] = 3  # nearly as large as the body of 3: which is which is not for a rule to say
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert cleaning.moved_mm3 == {}
    assert {3, 4} == set(np.unique(cleaned)) - {0}


def test_a_piece_larger_than_articular_processes_is_not_reassigned() -> None:
    labels = two_vertebrae()
    labels[12:27, 12:27, 12:27] = 3  # 3.4 ml
    assert clean_components(labels, (1.0, 1.0, 1.0), 1.0)[1].moved_mm3 == {}
    assert clean_components(labels, (0.5, 0.5, 0.5), 0.125)[1].moved_mm3 == {}  # too large a share of its own body


def test_thresholds_are_cubic_millimetres() -> None:
    labels = two_vertebrae()
    labels[35:39, 33:37, 12:16] = 3  # 64 voxels
    fine, _ = clean_components(labels, (0.5, 0.5, 0.5), 0.125)
    coarse, _ = clean_components(labels, (2.0, 2.0, 2.0), 8.0)
    assert np.count_nonzero(fine == 3) < np.count_nonzero(coarse == 3)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.5, 0.5)])
def test_distance_is_that_of_the_bones_and_not_of_their_boxes(spacing: tuple[float, float, float]) -> None:
    labels = np.zeros((12, 60, 60), dtype=np.uint8)
    labels[4:8, 5:55, 5:9] = labels[4:8, 5:9, 5:55] = 3  # an L, whose box holds the other piece
    labels[4:8, 40:44, 40:44] = 3
    numbers, pieces = find_pieces(labels)
    pair = (pieces[1], pieces[0])
    gap = 32 * spacing[1]  # from 8 to 40
    assert not lies_within(gap - 0.1, numbers, pair, spacing)
    assert lies_within(gap + 0.1, numbers, pair, spacing)


def test_a_piece_within_the_box_of_its_vertebra_but_away_from_its_bone_is_no_fragment() -> None:
    labels = np.zeros((30, 60, 60), dtype=np.uint8)
    labels[4:20, 5:55, 5:15] = labels[4:20, 5:15, 5:55] = 3
    labels[8:16, 40:46, 40:46] = 3
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert not cleaned[8:16, 40:46, 40:46].any()
    assert cleaning.removed_mm3 == {3: 288.0}


def test_a_patch_of_a_rare_level_is_its_neighbours_bone() -> None:
    labels = two_vertebrae()
    labels[labels == 3], labels[labels == 4] = 19, 20  # T12 over L1
    right = labels.copy()
    labels[35:38, 10:26, 10:30] = 28  # 0.96 ml of T13, at the lower end of T12
    cleaned, cleaning = clean_components(labels, ONE_MM, 1.0)
    assert np.array_equal(cleaned, right)
    assert cleaning.moved_mm3 == {(28, 19): 960.0}


def test_a_rare_level_of_some_size_or_one_that_the_border_cuts_stays() -> None:
    labels = two_vertebrae()
    labels[labels == 3], labels[labels == 4] = 19, 28
    assert np.array_equal(clean_components(labels, ONE_MM, 1.0)[0], labels)  # 8 ml
    labels[32:35, 10:30, 10:30] = 28
    cut = labels[32:]  # 1.2 ml of T13 in view, between T12 and the border
    assert np.array_equal(clean_components(cut, ONE_MM, 1.0)[0], cut)
