"""Changed images: what changes, what does not, and how results are compared."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from cspine.core.geometry import reorientation, to_lps
from cspine.core.shape import shapes_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.pipeline import agreement
from tests.builders.spine_phantom import Phantom, volumes

SPACE = Phantom(shape_zyx=(180, 130, 120))


def test_a_shift_samples_between_the_voxels_and_says_where() -> None:
    _, ct = volumes()
    ramp = CtVolume(np.broadcast_to(np.arange(80.0, dtype=np.float32), ct.hu_zyx.shape).copy(), ct.affine_lps)
    moved = agreement.shifted(ramp, 0.25)
    assert moved.ct.hu_zyx[5, 5, 10] == pytest.approx(10.25)
    assert moved.offset_zyx == (0.25, 0.25, 0.25)
    assert np.allclose(moved.ct.affine_lps[:3, 3], to_lps(ct.affine_lps, np.array([[0.25, 0.25, 0.25]]))[0])
    assert agreement.shifted(ct, 0.25).ct.hu_zyx.dtype == np.int16


def test_a_crop_leaves_every_vertebra_complete_with_a_margin() -> None:
    labels, ct = volumes(SPACE)
    changed = agreement.cropped(ct, labels)
    z, y, x = (int(offset) for offset in changed.offset_zyx)
    cut = labels.labels_zyx[z:, y:, x:][tuple(slice(0, n) for n in changed.ct.hu_zyx.shape)]
    assert np.count_nonzero(cut) == np.count_nonzero(labels.labels_zyx)
    assert changed.ct.hu_zyx.size < ct.hu_zyx.size
    for axis in range(3):
        present = np.flatnonzero(cut.any(axis=tuple(i for i in range(3) if i != axis)))
        assert present[0] >= min(agreement.CROP_MARGIN_MM, 10) or changed.offset_zyx[axis] == 0


def test_noise_has_its_strength_and_is_the_same_for_a_name() -> None:
    _, ct = volumes()
    one, same, other = (agreement.noisy(ct, name).ct.hu_zyx for name in ("a", "a", "b"))
    assert np.array_equal(one, same) and not np.array_equal(one, other)
    assert (one.astype(float) - ct.hu_zyx).std() == pytest.approx(agreement.NOISE_HU, rel=0.02)
    assert one.dtype == np.int16
    assert agreement.noisy(CtVolume(ct.hu_zyx.astype(np.float32), ct.affine_lps), "a").ct.hu_zyx.dtype == np.float32


@pytest.mark.parametrize("target", ["RAS", "PSL", "SAR"])
def test_the_neck_loses_few_planes_at_its_ends_in_every_orientation(target: str) -> None:
    labels, ct = volumes(SPACE)
    change = reorientation(ct.affine_lps, target)
    affine = change.grid(ct.grid).affine_lps
    reoriented = CtVolume(change.apply(ct.hu_zyx), affine)
    changed = agreement.cropped(reoriented, LabelVolume(change.apply(labels.labels_zyx), affine))
    back = reorientation(affine, "LPS")
    expected = agreement.cropped(ct, labels)
    assert back.grid(changed.ct.grid).is_close(expected.ct.grid)
    assert np.array_equal(back.apply(changed.ct.hu_zyx), expected.ct.hu_zyx)


def test_noise_is_added_slice_by_slice() -> None:
    ct = CtVolume(np.zeros((64, 128, 128), dtype=np.int16), np.eye(4))
    tracemalloc.start()
    noisy = agreement.noisy(ct, "a").ct.hu_zyx
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * noisy.nbytes
    assert not ct.hu_zyx.any() and len(np.unique(noisy[0])) > 50


def bone(ct: CtVolume, truth: LabelVolume) -> LabelVolume:
    """A reader who never errs: the phantom's own label where there is bone, by position in the patient."""
    index = np.indices(ct.hu_zyx.shape)[::-1].reshape(3, -1).T.astype(float)
    point = to_lps(np.linalg.inv(truth.affine_lps), to_lps(ct.affine_lps, index))
    x, y, z = (np.clip(np.rint(point[:, i]).astype(int), 0, n - 1) for i, n in enumerate(truth.labels_zyx.shape[::-1]))
    found = truth.labels_zyx[z, y, x].reshape(ct.hu_zyx.shape)
    return LabelVolume(found, ct.affine_lps)


def test_a_reader_who_never_errs_agrees_with_himself_on_every_image() -> None:
    labels, ct = volumes(SPACE)
    shapes = shapes_of(labels.labels_zyx, labels.grid)
    found = agreement.agreement(
        labels, shapes, lambda image: bone(image, labels), agreement.changes(ct, labels, 0.4, "case")
    )
    assert list(found) == ["shift", "crop", "noise"]
    assert agreement.all_dices(found).shape == (24,)
    assert agreement.all_dices(found).min() == 1.0


def test_a_level_that_is_lost_or_grows_lowers_its_dice() -> None:
    labels, _ = volumes()
    shapes = {s.vertebra.name: s for s in shapes_of(labels.labels_zyx, labels.grid)}
    none = (0.0, 0.0, 0.0)
    lost = LabelVolume(np.where(labels.labels_zyx == 3, 0, labels.labels_zyx).astype(np.uint8), labels.affine_lps)
    assert agreement.dice_on(lost, none, labels, shapes["C3"]) == 0.0
    assert agreement.dice_on(lost, none, labels, shapes["C4"]) == 1.0
    far = labels.labels_zyx.copy()
    far[:10, :10, :10] = 4
    volume = np.count_nonzero(labels.labels_zyx == 4)
    expected = 2 * volume / (2 * volume + 1000)
    assert agreement.dice_on(LabelVolume(far, labels.affine_lps), none, labels, shapes["C4"]) == pytest.approx(expected)
