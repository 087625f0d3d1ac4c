"""Spoilt labels: near the truth, never the truth, within the network's classes."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.study.synthetic_training.previous_stage import _give_process_away, one_hot, spoil


def _column() -> np.ndarray:
    """Four vertebrae of 14 mm with discs between them, label 1 uppermost."""
    labels = np.zeros((70, 48, 48), dtype=np.uint8)
    for number in range(4):
        labels[54 - 17 * number : 68 - 17 * number, 14:36, 12:38] = number + 1
    return labels


def _dice(one: np.ndarray, other: np.ndarray, label: int) -> float:
    first, second = one == label, other == label
    return float(2 * (first & second).sum() / (first.sum() + second.sum()))


@pytest.mark.parametrize("seed", range(6))
def test_spoilt_labels_resemble_the_truth_and_differ_from_it(seed: int) -> None:
    truth = _column()
    spoilt = spoil(truth, 1.0, np.random.default_rng(seed), last=9)
    assert spoilt.shape == truth.shape
    assert spoilt.dtype == np.uint8
    assert spoilt.max() <= 9
    assert all(0.4 < _dice(spoilt, truth, label) < 0.995 for label in (1, 2, 3, 4))


def test_faults_are_lost_mixed_up_and_invented_pieces() -> None:
    truth = _column()
    spoilt = [spoil(truth, 1.0, np.random.default_rng(seed), last=9) for seed in range(12)]
    far = np.zeros(truth.shape, dtype=bool)
    far[:, :4] = far[:, -4:] = True
    assert any((labels[far] > 0).any() for labels in spoilt), "nothing was invented"
    inner = np.zeros(truth.shape, dtype=bool)
    inner[58:64, 20:30, 18:32] = True
    assert any((labels[inner] != 1).any() for labels in spoilt), "nothing was lost or mixed up"
    assert {int(labels[inner].min()) for labels in spoilt} <= {0, 1, 2}


def test_the_same_generator_corrupts_alike_and_does_not_change_the_truth() -> None:
    truth = _column()
    first, second = (spoil(truth, 1.0, np.random.default_rng(7), last=9) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.array_equal(truth, _column())


def test_an_image_without_vertebrae_gets_at_most_inventions() -> None:
    empty = np.zeros((30, 30, 30), dtype=np.uint8)
    assert max(int((spoil(empty, 1.0, np.random.default_rng(s), last=9) > 0).sum()) for s in range(8)) < 9000


def test_channels_are_one_a_label_from_the_first() -> None:
    channels = one_hot(np.array([[[0, 1, 3]]], dtype=np.uint8), last=3)
    assert channels.dtype == np.float32
    assert channels[:, 0, 0].tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.parametrize("seed", range(8))
def test_a_process_given_away_is_one_connected_part_behind_or_beside_the_centre(seed: int) -> None:
    truth = _column()
    spoilt = truth.copy()
    _give_process_away(spoilt, 2, 9, np.random.default_rng(seed))
    changed = np.argwhere(spoilt != truth)
    assert len(changed) > 50
    assert (truth[tuple(changed.T)] == 2).all()
    upper = changed[:, 0].mean() > np.argwhere(truth == 2)[:, 0].mean()
    assert set(spoilt[tuple(changed.T)]) <= {0, 1 if upper else 3}
    complete = np.argwhere(truth == 2)
    assert len(changed) < 0.4 * len(complete)
    sideways, backward = (changed.mean(axis=0) - complete.mean(axis=0))[[2, 1]]
    assert abs(sideways) > 3 or backward > 3


def test_a_speck_has_no_process_to_give_away() -> None:
    labels = np.zeros((9, 9, 9), dtype=np.uint8)
    labels[4, 4, 3:6] = 2
    before = labels.copy()
    _give_process_away(labels, 2, 9, np.random.default_rng(0))
    assert np.array_equal(labels, before)
