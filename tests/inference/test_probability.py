from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax

from cspine.core.geometry import Grid
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.engines.choose import choose_engine
from cspine.inference.preprocess import NetworkImage
from cspine.inference.probability import OTHER, FieldCollector, ProbabilityField, evidence_of
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageRun, level_table, run_stage
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume

CPU = InferenceSettings("cpu")


def field(labels, probabilities, voxels=None, shape=(1, 1, 8)) -> ProbabilityField:
    labels = np.array(labels, dtype=np.uint8)
    found = np.arange(labels.shape[1]) if voxels is None else np.array(voxels)
    return ProbabilityField(shape, np.eye(4), found, labels, np.array(probabilities, dtype=np.float32))


def test_the_two_best_classes_are_kept_with_their_probabilities():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, (5, 6, 7, 8)).astype(np.float32)
    logits[0, :, :3] += 20  # background without doubt
    whole, parts = (FieldCollector(np.array([0, 1, 2, 3, OTHER], dtype=np.uint8)) for _ in range(2))
    whole.add(logits)
    assert len(list(parts.passing(iter([logits[:, :2], logits[:, 2:]])))) == 2
    box = (slice(0, 6), slice(0, 7), slice(0, 8))
    image = NetworkImage(logits[0], box, (6, 7, 8), (1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    found, again = (each.field(image, (0, 1, 2), Grid((6, 7, 8), np.eye(4))) for each in (whole, parts))
    voxels, labels, probabilities = found.voxels, found.labels, found.probabilities
    assert np.array_equal(found.affine_lps, np.eye(4))
    assert np.array_equal(voxels, again.voxels)
    assert np.array_equal(labels, again.labels)
    assert np.array_equal(probabilities, again.probabilities)
    truth = softmax(logits.reshape(5, -1)[:, voxels], axis=0)
    order = np.argsort(-truth, axis=0)[:2]
    assert np.array_equal(labels, np.array([0, 1, 2, 3, OTHER])[order])
    assert probabilities == pytest.approx(np.take_along_axis(truth, order, axis=0), abs=1e-6)
    left_out = np.setdiff1d(np.arange(logits[0].size), voxels)
    assert left_out.size
    assert softmax(logits.reshape(5, -1)[:, left_out], axis=0)[0].min() > 0.9


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_a_field_lies_where_the_image_lies(axes, order, tmp_path):
    model = TinyModel(transpose=order, spacing=tuple(np.array([2.0, 1.5, 1.2])[list(order)]))
    stage = model.package(tmp_path / "tiny").stages[0]
    plain = lively_volume((24, 44, 36), (2.0, 1.5, 1.2))
    affine = plain.affine_lps.copy()
    affine[:3, :3] = plain.affine_lps[:3, :3][:, [2 - axis for axis in reversed(axes)]]
    volume = CtVolume(np.ascontiguousarray(plain.hu_zyx.transpose(axes)), affine)
    run = StageRun(stage, CPU, choose_engine("cpu", engine="torch"), lambda done, total: None, keeps_probabilities=True)
    result = run_stage(volume, None, run)
    labels = LabelVolume(level_table(stage)[result.labels_zyx], volume.affine_lps)
    found = result.probabilities.sampled(labels)
    winners = result.probabilities.labels[0]
    assert len(winners) > 1000
    assert np.array_equal(found, np.where(winners == OTHER, 0, winners))
    assert np.count_nonzero(labels.labels_zyx) == np.count_nonzero(found)


def test_evidence_is_what_the_probabilities_say_of_the_result():
    # Three voxels of C1, of which one is doubtful; two of C2; a removed one of C1; background that may be C2.
    found = field(
        [[1, 1, 1, 2, 2, 1, 0], [0, 0, 2, 1, 0, 0, 2]],
        [[1.0, 0.9, 0.6, 0.8, 1.0, 0.9, 0.7], [0.0, 0.1, 0.4, 0.2, 0.0, 0.1, 0.3]],
    )
    labels = LabelVolume(np.array([[[1, 1, 1, 2, 2, 0, 0, 0]]], dtype=np.uint8), np.eye(4))
    evidence = evidence_of(found, labels)
    assert evidence[1].confusion == pytest.approx(0.4 / 3)
    assert evidence[1].soft_dice == pytest.approx(2 * 2.5 / (3 + 2.5 + 0.2))
    assert evidence[2].confusion == pytest.approx(0.1)
    assert evidence[2].soft_dice == pytest.approx(2 * 1.8 / (2 + 1.8 + 0.4 + 0.3))


def test_a_renamed_level_has_the_evidence_of_its_new_name():
    found = field([[1, 1], [0, 2]], [[1.0, 0.8], [0.0, 0.2]], shape=(1, 1, 2))
    evidence = evidence_of(found, LabelVolume(np.array([[[2, 2]]], dtype=np.uint8), np.eye(4)))
    assert set(evidence) == {2}
    assert evidence[2].confusion == pytest.approx(0.9)
    assert evidence[2].soft_dice == pytest.approx(2 * 0.2 / (2 + 0.2))


def test_nothing_is_known_outside_of_the_field():
    labels = LabelVolume(np.array([[[0, 3]]], dtype=np.uint8), np.eye(4))
    assert evidence_of(field([[1], [0]], [[1.0], [0.0]], shape=(1, 1, 1)), labels) == {}
