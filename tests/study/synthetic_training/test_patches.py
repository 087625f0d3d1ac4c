"""Patches: where they are cut, how they are padded and varied, what they ask for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nnunetv2.preprocessing.normalization.default_normalization_schemes import CTNormalization

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.label_sets import label_set
from cspine.study.synthetic_training.labelled_cases import TrainingVolumes
from cspine.study.synthetic_training.patches import PatchSampler, cut, cut_turned, normalise
from cspine.study.synthetic_training.pool import Pool, PoolSettings
from cspine.study.synthetic_training.recipe import Intensity, Recipe
from tests.builders.tiny_training import tiny_recipe, write_case

_SET = label_set("cervical", auxiliary=True)


def _pool(folder: Path, hu: np.ndarray, labels: np.ndarray) -> Pool:
    write_case(folder / "case-00000.npy", CtVolume(hu, np.eye(4)), LabelVolume(labels, np.eye(4)))
    return Pool(PoolSettings(folder, folder, 1, 0, (1.0, 1.0, 1.0)))


def _plain(sampler: PatchSampler, monkeypatch: pytest.MonkeyPatch) -> PatchSampler:
    """The sampler without augmentation."""
    monkeypatch.setattr(sampler, "_augment", lambda patch: patch)
    return sampler


def _lively(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.integers(-1000, 1500, shape).astype(np.int16), rng.integers(0, 14, shape).astype(np.uint8)


# --- parts ------------------------------------------------------------------------------------------------------------


def test_a_box_within_the_array_is_a_slice() -> None:
    array = np.arange(1000).reshape(10, 10, 10)
    assert np.array_equal(cut(array, (5, 4, 6), (4, 4, 2)), array[3:7, 2:6, 5:7])
    assert np.array_equal(cut(array, (5, 5, 5), (10, 10, 10)), array)


def test_a_box_that_reaches_out_is_filled_with_zeros() -> None:
    array = np.arange(1, 1001).reshape(10, 10, 10)
    box = cut(array, (0, 9, 5), (6, 6, 14))
    assert box.dtype == array.dtype
    assert np.array_equal(box[3:, :4, 2:12], array[:3, 6:, :])
    box[3:, :4, 2:12] = 0
    assert not box.any()


def test_a_box_beside_the_array_is_empty() -> None:
    assert not cut(np.ones((4, 4, 4)), (20, 2, 2), (6, 6, 6)).any()
    assert not cut(np.ones((4, 4, 4)), (-20, 2, 2), (6, 6, 6)).any()


def test_normalisation_is_nnunets() -> None:
    hu = np.linspace(-2000, 3000, 60, dtype=np.float32).reshape(3, 4, 5)
    intensity = Intensity(low=-300, high=1200, mean=120, deviation=250)
    statistics = {"percentile_00_5": -300, "percentile_99_5": 1200, "mean": 120, "std": 250}
    expected = CTNormalization(intensityproperties=statistics).run(hu.copy())
    assert normalise(hu, intensity) == pytest.approx(expected, abs=1e-5)


def test_levels_beyond_t1_are_the_auxiliary_class() -> None:
    labels = np.array([0, 1, 7, 8, 9, 13, 19, 28], dtype=np.uint8)
    target = _SET.to_network(labels)
    assert target.dtype == np.uint8
    assert target.tolist() == [0, 1, 7, 8, 9, 9, 9, 9]


# --- the sampler ------------------------------------------------------------------------------------------------------


def test_a_volume_smaller_than_the_patch_is_padded_with_zeros_after_normalisation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hu, labels = np.full((10, 16, 9), 1000, dtype=np.int16), np.full((10, 16, 9), 3, dtype=np.uint8)
    sampler = _plain(PatchSampler(_pool(tmp_path, hu, labels), tiny_recipe(), 0), monkeypatch)
    for _ in range(5):
        images, targets = sampler.batch()
        assert images.shape == targets.shape == (2, 1, 24, 16, 16)
        for image, target in zip(images, targets, strict=True):
            inside = target == 3
            assert int(inside.sum()) == hu.size
            assert torch.allclose(image[inside], torch.tensor((1000 - 150) / 300))
            assert not bool(image[~inside].any())
            assert not bool(target[~inside].any())


def test_a_patch_shows_image_and_labels_of_one_region(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = _lively((40, 30, 35))[1]
    hu = labels.astype(np.int16) * 100
    sampler = _plain(PatchSampler(_pool(tmp_path, hu, labels), tiny_recipe(), 0), monkeypatch)
    for _ in range(5):
        images, targets = sampler.batch()
        shown = torch.round(images * 3 + 1.5)
        assert torch.equal(shown.clamp(max=9)[targets > 0], targets[targets > 0])


def test_only_left_and_right_are_mirrored_in_image_and_labels_alike(tmp_path: Path) -> None:
    hu, labels = _lively((24, 16, 16))
    sampler = PatchSampler(_pool(tmp_path, hu, labels), tiny_recipe(), 0)
    expected = torch.from_numpy(_SET.to_network(labels))
    image = torch.from_numpy(normalise(hu.astype(np.float32), Intensity()))
    seen = {False: 0, True: 0}
    for _ in range(15):
        for varied, target in zip(*sampler.batch(), strict=True):
            flipped = torch.equal(target[0], expected.flip(2))
            assert flipped or torch.equal(target[0], expected)
            likeness = [
                float(torch.corrcoef(torch.stack([varied.flatten(), i.flatten()]))[0, 1])
                for i in (image, image.flip(2))
            ]
            assert likeness[flipped] > 0.4 > abs(likeness[not flipped]) + 0.2
            seen[flipped] += 1
    assert min(seen.values()) > 5


def _shares(recipe: Recipe, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How often a patch shows the one small vertebra of a large volume."""
    labels = np.zeros((160, 120, 120), dtype=np.uint8)
    labels[78:82, 58:62, 58:62] = 4
    hu = np.zeros(labels.shape, dtype=np.int16)
    sampler = _plain(PatchSampler(_pool(folder, hu, labels), recipe, 0), monkeypatch)
    return [float((target == 4).any()) for _ in range(40) for target in sampler.batch()[1]]


def test_patches_look_for_vertebrae_as_often_as_the_recipe_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    always = np.mean(_shares(tiny_recipe(foreground_share=1.0), tmp_path / "a", monkeypatch))
    never = np.mean(_shares(tiny_recipe(foreground_share=0.0), tmp_path / "b", monkeypatch))
    assert never < 0.05 < 0.25 < always


def test_levels_are_sampled_evenly_whatever_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = np.zeros((160, 60, 60), dtype=np.uint8)
    labels[:60] = 2
    labels[150:153, 30:33, 30:33] = 6
    hu = np.zeros(labels.shape, dtype=np.int16)
    sampler = _plain(PatchSampler(_pool(tmp_path, hu, labels), tiny_recipe(foreground_share=1.0), 0), monkeypatch)
    near = [bool((target == 2).sum() == 0) for _ in range(40) for target in sampler.batch()[1]]
    assert 0.35 < np.mean(near) < 0.65


def test_the_same_seed_samples_the_same_batches(tmp_path: Path) -> None:
    pool = _pool(tmp_path, *_lively((40, 30, 35)))
    first, same, other = (PatchSampler(pool, tiny_recipe(), seed) for seed in (1, 1, 2))
    for _ in range(3):
        expected, found = first.batch(), same.batch()
        assert torch.equal(expected[0], found[0])
        assert torch.equal(expected[1], found[1])
    assert not torch.equal(first.batch()[1], other.batch()[1])


# --- cascades and cases from outside ----------------------------------------------------------------------------------


def test_a_cascade_is_shown_corrupted_labels_of_the_same_region_mirrored_alike(tmp_path: Path) -> None:
    labels = np.zeros((24, 16, 16), dtype=np.uint8)
    labels[4:20, 2:14, 1:6] = 3  # on one side
    hu = np.where(labels, 800, 0).astype(np.int16)
    recipe = tiny_recipe(cascade=True, network={**tiny_recipe().network.model_dump(), "spacing": (1.0, 1.0, 1.0)})
    sampler = PatchSampler(_pool(tmp_path, hu, labels), recipe, 0)
    agreement = []
    for _ in range(10):
        images, targets = sampler.batch()
        assert images.shape == (2, 10, 24, 16, 16)
        assert set(np.unique(images[:, 1:])) <= {0.0, 1.0}
        assert float(images[:, 1:].sum(dim=1).max()) <= 1
        for image, target in zip(images, targets, strict=True):
            shown, expected = image[3] > 0, target[0] == 3
            share = float((shown & expected).sum() / expected.sum())
            agreement.append((share, float((shown & expected.flip(2)).sum() / expected.sum())))
    here, mirrored = np.median(agreement, axis=0)
    assert 3 * mirrored + 0.2 < here < 1


def test_labelled_cases_give_their_share_of_the_patches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hu, labels = np.zeros((30, 20, 20), dtype=np.int16), np.full((30, 20, 20), 2, dtype=np.uint8)
    case = TrainingVolumes("real", hu + 500, np.full(hu.shape, 7, dtype=np.uint8))
    pool = _pool(tmp_path, hu, labels)
    for share, low, high in ((0.0, 0, 0), (0.5, 0.3, 0.7), (1.0, 1, 1)):
        sampler = _plain(PatchSampler(pool, tiny_recipe(labelled_share=share), 0, [case]), monkeypatch)
        seen = [bool((target == 7).any()) for _ in range(40) for target in sampler.batch()[1]]
        assert low <= np.mean(seen) <= high


def test_a_share_of_the_labelled_images_ends_at_some_level(tmp_path: Path) -> None:
    hu, labels = np.full((30, 20, 20), 500, dtype=np.int16), np.full((30, 20, 20), 7, dtype=np.uint8)
    case = TrainingVolumes("real", hu, labels)
    pool = _pool(tmp_path, hu, labels)
    for share in (0.0, 1.0):
        sampler = PatchSampler(pool, tiny_recipe(labelled_share=1.0, blank_share=share), 0, [case])
        found = []
        for _ in range(10):
            ended_hu, ended = sampler._ended(case)
            blank = (ended_hu <= 0).all(axis=(1, 2))
            assert np.array_equal(blank, (ended == 0).all(axis=(1, 2)))
            found.append(bool(blank.any()))  # an end may lie at the very edge
        assert (sum(found) >= 7) if share else not any(found)
    assert (case.hu_zyx == 500).all()


def test_a_box_that_is_not_rotated_is_the_plain_box() -> None:
    hu, labels = _lively((30, 28, 26))
    cut_hu, cut_labels, inside = cut_turned(hu, labels, (15, 14, 13), (10, 12, 8), np.eye(3))
    assert np.abs(cut_hu - cut(hu, (15, 14, 13), (10, 12, 8))).max() < 0.5
    assert np.array_equal(cut_labels, cut(labels, (15, 14, 13), (10, 12, 8)))
    assert inside.all()


def test_a_rotated_box_shows_image_and_labels_of_one_region_at_their_angle() -> None:
    labels = np.zeros((40, 40, 40), dtype=np.uint8)
    labels[:, 18:22, :] = 5
    hu = labels.astype(np.int16) * 100
    quarter = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # about z
    cut_hu, cut_labels, _ = cut_turned(hu, labels, (20, 20, 20), (16, 16, 16), quarter)
    assert (cut_labels[:, 2, 6:10] == 5).any()
    assert (cut_labels[:, 2] > 0).sum() == (cut_labels[:, 12] > 0).sum()
    assert np.array_equal(cut_hu > 250, cut_labels > 0)
    half = cut_turned(hu, labels, (20, 20, 20), (16, 16, 16), 0.5 * np.eye(3))[1]
    assert (half > 0).mean() == pytest.approx(2 * (cut_labels > 0).mean(), rel=0.15)


def test_a_box_beyond_the_image_is_marked_as_outside() -> None:
    hu, labels = _lively((12, 12, 12))
    _, cut_labels, inside = cut_turned(hu, labels, (0, 6, 6), (10, 10, 10), np.eye(3))
    assert not inside[:5].any()
    assert inside[5:].all()
    assert not cut_labels[:5].any()


def test_a_share_of_the_cases_is_cut_to_a_narrow_field_of_view(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hu = np.full((110, 90, 90), 700, dtype=np.int16)
    labels = np.full(hu.shape, 3, dtype=np.uint8)
    network = {**tiny_recipe().network.model_dump(), "spacing": (2.0, 2.0, 2.0), "patch_size": (64, 80, 80)}
    seen = {}
    for share in (0.0, 1.0):
        recipe = tiny_recipe(network=network, narrow_share=share)
        sampler = _plain(PatchSampler(_pool(tmp_path / str(share), hu, labels), recipe, 0), monkeypatch)
        seen[share] = [target[0] == 3 for _ in range(6) for target in sampler.batch()[1]]
    assert min(int(inside.any(0).any(0).sum()) for inside in seen[0.0]) > 65
    widths = [int(inside.any(0).any(0).sum()) for inside in seen[1.0]]
    assert min(widths) >= 8
    assert max(widths) <= 61
    assert len(set(widths)) > 4
