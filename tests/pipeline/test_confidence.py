from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from cspine.core.errors import NotCalibratedError
from cspine.core.findings import LOW_CONFIDENCE, NOISE, ONE_SIDED, OUT_OF_ORDER, TRUNCATED
from cspine.core.volumes import LabelVolume
from cspine.inference.predict import Inference
from cspine.inference.probability import ProbabilityField
from cspine.inference.settings import InferenceSettings
from cspine.measurements.confidence import Confidence
from cspine.models.calibration import Calibrated, Calibration, Curve
from cspine.pipeline import agreement as module
from cspine.pipeline import segmentation, steps
from cspine.pipeline.confidence import (
    FAST_FEATURES,
    calibration_for,
    confidence_findings,
    confidence_of,
    disagreement_of,
    features_of,
)
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume


def curve(intercept: float = 0.0, **weights: float) -> Curve:
    return Curve(intercept=intercept, weights=weights, error=0.0, bins=())


def calibration(level: Curve, full: bool = False, checksum: str = "x") -> Calibration:
    fast = Calibrated(level=level, dice=curve(2.0), vertebrae=9)
    more = Calibrated(level=curve(0.0, disagreement=-2.0), dice=curve(1.0), vertebrae=9) if full else None
    return Calibration(checksum=checksum, cases=1, fast=fast, full=more)


def inference(labels=(2, 2, 3, 3), seconds=(3, 3, 2, 2), share=0.2) -> Inference:
    """Four voxels in a row, of C2 and C3, each with so much probability of a second label."""
    first, second = np.array(labels, dtype=np.uint8), np.array(seconds, dtype=np.uint8)
    probabilities = np.array([[1 - share] * 4, [share] * 4], dtype=np.float32)
    field = ProbabilityField((1, 1, 4), np.eye(4), np.arange(4), np.stack([first, second]), probabilities)
    volume = LabelVolume(first[None, None], np.eye(4))
    return Inference(
        labels=volume, auxiliary_zyx=volume.labels_zyx > 9, record={}, probabilities=field, changed_share={3: 0.25}
    )


_FINDINGS = (OUT_OF_ORDER.about("x", "C3"), NOISE.about("x", "C2"), TRUNCATED.about("x", "C3"))


def test_features_tell_doubt_between_levels_and_findings():
    found = inference()
    features = features_of(found, found.labels, _FINDINGS, None)
    assert list(features) == ["C2", "C3"]
    assert tuple(features["C2"]) == FAST_FEATURES
    assert features["C2"]["log_confusion"] == pytest.approx(math.log(0.2 + 1e-4), rel=1e-4)
    assert features["C2"]["log_neighbour_confusion"] == pytest.approx(features["C3"]["log_confusion"])
    soft = 2 * 1.6 / (2 + 1.6 + 0.4)
    assert features["C2"]["logit_soft_dice"] == pytest.approx(math.log(soft / (1 - soft)), rel=1e-4)
    assert (features["C2"]["stage_change"], features["C3"]["stage_change"]) == (0.0, 0.25)
    assert (features["C2"]["serious"], features["C3"]["serious"]) == (0.0, 1.0)
    assert (features["C2"]["truncated"], features["C3"]["truncated"]) == (0.0, 1.0)
    assert features["C2"]["anchored"] == 1.0
    again = features_of(found, found.labels, (), {"C2": 0.1})
    assert (again["C2"]["disagreement"], again["C3"]["disagreement"]) == (0.1, 1.0)


def test_a_column_without_c1_and_c2_is_not_anchored():
    found = inference((4, 4, 5, 5), (5, 5, 4, 4))
    assert {each["anchored"] for each in features_of(found, found.labels, (), None).values()} == {0.0}


def test_confidence_follows_the_calibration_that_fits_the_run():
    found = inference()
    assert confidence_of(found, found.labels, ()) == {}
    known = replace(found, calibration=calibration(curve(0.0, stage_change=4.0), full=True))
    assert confidence_of(known, known.labels, ()) == {"C2": Confidence(0.5, 0.881), "C3": Confidence(0.731, 0.881)}
    full = replace(known, disagreement={"C2": 0.0, "C3": 1.0})
    assert confidence_of(full, full.labels, ()) == {"C2": Confidence(0.5, 0.731), "C3": Confidence(0.119, 0.731)}


def test_of_vertebrae_whose_like_was_not_calibrated_nothing_is_stated():
    found = inference()
    calibrated = calibration(curve(0.0))
    known = calibrated.fast.model_copy(update={"fixed": {"anchored": 1.0}})
    unknown = calibrated.fast.model_copy(update={"fixed": {"anchored": 0.0}})
    for fast, levels in ((known, {"C2", "C3"}), (unknown, set())):
        stated = replace(found, calibration=calibrated.model_copy(update={"fast": fast}))
        assert confidence_of(stated, found.labels, ()).keys() == levels


def test_of_a_vertebra_that_lacks_a_half_nothing_is_stated():
    run = replace(inference(), calibration=calibration(curve(1.0)))
    assert list(confidence_of(run, run.labels, ())) == ["C2", "C3"]
    assert list(confidence_of(run, run.labels, (ONE_SIDED.about("x", "C3"),))) == ["C2"]


def test_a_doubtful_level_is_a_finding():
    found = confidence_findings({"C3": Confidence(0.79, 0.9), "C4": Confidence(0.8, 0.1)})
    assert [(each.code, each.level) for each in found] == [(LOW_CONFIDENCE.code, "C3")]


def test_what_was_not_calibrated_is_refused_before_the_network_runs(tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    monkeypatch.setattr(segmentation, "predict", lambda *_: pytest.fail("it ran"))
    with pytest.raises(NotCalibratedError):
        steps.infer(lively_volume(), package, RunSettings(confidence="full"))
    assert calibration_for(package, "fast") is None
    record = calibration(curve(), checksum=package.identity.checksum)
    record.write(package)
    assert calibration_for(package, "fast") == record
    assert calibration_for(package, "off") is None
    with pytest.raises(NotCalibratedError):
        calibration_for(package, "full")


def test_a_run_states_the_confidence_in_each_vertebra(tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    calibration(curve(-1.0), full=True, checksum=package.identity.checksum).write(package)
    ct = lively_volume()
    labels = np.zeros(ct.hu_zyx.shape, dtype=np.uint8)
    labels[5:12, 10:30, 10:30], labels[14:22, 10:30, 10:30] = 3, 4
    volume = LabelVolume(labels, ct.affine_lps, package.identity)
    monkeypatch.setattr(segmentation, "clean", lambda *_, **__: Vertebrae(volume, ()))
    monkeypatch.setattr(module, "find_vertebrae", lambda image, *_: (None, Vertebrae(_moved(volume, image), ())))
    settings = RunSettings(inference=InferenceSettings("cpu"))
    found = steps.infer(ct, package, settings)
    cleaned = steps.clean(found, ct, None, settings)
    assert set(cleaned.confidence) == {"C3", "C4"}
    assert {each.level_probability for each in cleaned.confidence.values()} == {0.269}
    assert [each.level for each in cleaned.findings if each.code == LOW_CONFIDENCE.code] == ["C3", "C4"]
    full = steps.infer(ct, package, replace(settings, confidence="full"))
    assert full.disagreement is not None
    assert full.disagreement.keys() == {"C3", "C4"}
    assert full.disagreement["C3"] == pytest.approx(0.0, abs=1e-6)
    assert steps.clean(full, ct, None, settings).confidence["C3"].expected_dice == 0.731
    off = steps.infer(ct, package, replace(settings, confidence="off"))
    assert steps.clean(off, ct, None, settings).confidence == {}


def _moved(volume: LabelVolume, image) -> LabelVolume:
    """The labels on the grid of an altered image: equal up to what interpolation decides."""
    offset = np.rint((image.affine_lps[:3, 3] - volume.affine_lps[:3, 3]) / np.diag(volume.affine_lps)[:3] - 1e-6)
    x, y, z = offset.astype(int)
    part = volume.labels_zyx[z:, y:, x:][tuple(slice(0, n) for n in image.hu_zyx.shape)]
    padded = np.zeros(image.hu_zyx.shape, dtype=np.uint8)
    padded[tuple(slice(0, n) for n in part.shape)] = part
    return LabelVolume(padded, image.affine_lps)


def test_disagreement_is_the_lost_overlap_with_altered_images(monkeypatch, tmp_path):
    package = TinyModel().package(tmp_path / "tiny")
    ct = lively_volume()
    labels = np.zeros(ct.hu_zyx.shape, dtype=np.uint8)
    labels[8:16, 16:30, 14:30] = 3
    volume = LabelVolume(labels, ct.affine_lps)

    def nothing(image, *_):
        return None, Vertebrae(LabelVolume(np.zeros(image.hu_zyx.shape, np.uint8), image.affine_lps), ())

    monkeypatch.setattr(module, "find_vertebrae", nothing)
    assert disagreement_of(ct, volume, package, InferenceSettings("cpu")) == {"C3": pytest.approx(1.0, abs=0.2)}
