from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit

from cspine.core.anatomy import parse_name
from cspine.core.errors import InputError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.rules import load_rules
from cspine.inference.predict import Inference
from cspine.io import nifti
from cspine.pipeline.confidence import FAST_FEATURES
from cspine.pipeline.segmentation import Vertebrae
from cspine.study import calibrate_model as module
from cspine.study.calibrate_model import (
    LabelledImage,
    LabelledVertebra,
    calibrate,
    error_rows,
    fitted,
    labelled_cases,
    reliability,
)
from cspine.study.reliability_plot import write_reliability
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume


def vertebrae(count: int = 600, seed: int = 0) -> list[LabelledVertebra]:
    """Vertebrae whose level is right, and whose Dice is high, as one of two features says."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(count):
        telling, idle = rng.normal(0, 2), rng.normal(0, 1)
        dice = float(np.clip(expit(2 + telling) + rng.normal(0, 0.05), 0, 1))
        features = {"telling": telling, "idle": idle}
        found.append(LabelledVertebra(f"{number // 8}", features, bool(rng.random() < expit(1 + telling)), dice))
    return found


def test_a_curve_finds_what_tells_and_is_calibrated_on_other_cases():
    curves = fitted(vertebrae(), ("telling", "idle"))
    assert (curves.vertebrae, curves.fixed) == (600, {})
    assert curves.level.weights["telling"] == pytest.approx(1.0, abs=0.3)
    assert abs(curves.level.weights["idle"]) < 0.3
    assert curves.level.intercept == pytest.approx(1.0, abs=0.3)
    assert curves.level.error < 0.06
    assert curves.dice.error < 0.03
    assert curves.dice.at({"telling": 0.0, "idle": 0.0}) == pytest.approx(expit(2), abs=0.03)
    assert sum(each.count for each in curves.level.bins) == 600
    with pytest.raises(KeyError):
        curves.level.at({"telling": 0.0})


def test_each_folder_of_images_has_an_error_of_its_own():
    found = [replace(each, group="a" if number % 2 else "b") for number, each in enumerate(vertebrae())]
    curves = fitted(found, ("telling", "idle"))
    assert set(curves.level.errors) == set(curves.dice.errors) == {"a", "b"}
    assert all(0 < error < 0.12 for error in curves.level.errors.values())
    assert [row[1] for row in error_rows("fast", curves)] == ["all", "a", "b"]
    assert [row[1] for row in error_rows("fast", fitted(vertebrae(), ("telling", "idle")))] == ["all"]


def test_an_error_is_that_of_cases_a_curve_has_not_seen():
    rng = np.random.default_rng(1)
    names = [f"f{n}" for n in range(20)]
    lucky = [
        LabelledVertebra(str(case), dict(zip(names, rng.normal(size=20), strict=True)), bool(rng.random() < 0.5), 0.5)
        for case in range(40)
    ]
    assert fitted(lucky, names).level.error > 0.1  # noise that fits itself does not fit others


def test_bins_hold_what_was_predicted_and_observed():
    bins = reliability(np.array([0.0, 0.05, 0.55, 1.0]), np.array([0.0, 1.0, 1.0, 1.0]))
    assert [(each.predicted, each.observed, each.count) for each in bins] == [
        (0.025, 0.5, 2),
        (0.55, 1.0, 1),
        (1.0, 1.0, 1),
    ]


def test_a_model_is_calibrated_on_its_own_results(tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    truth = np.zeros((12, 8, 8), dtype=np.uint8)
    truth[:6], truth[6:] = 3, 4
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    reference = LabelVolume(truth, affine)

    def find(ct, *_):
        shift = int(ct.hu_zyx[0, 0, 0])
        labels = np.roll(truth, shift, axis=0)
        volume = LabelVolume(labels, affine)
        return Inference(labels=volume, auxiliary_zyx=labels > 9, record={}), Vertebrae(volume, ())

    monkeypatch.setattr(module, "find_vertebrae", find)
    monkeypatch.setattr(
        module, "features_of", lambda *_: dict.fromkeys(("C3", "C4"), dict.fromkeys(FAST_FEATURES, 0.0))
    )
    shifts = [0, 1, 5, 0, 1] * 6
    cases = [
        LabelledImage(CtVolume(np.full(truth.shape, shift, dtype=np.int16), affine), reference, str(number))
        for number, shift in enumerate(shifts)
    ]
    seen = []
    record = calibrate(package, cases, progress=lambda done, _: seen.append(done))
    assert (record.checksum, record.cases, record.fast.vertebrae) == (package.identity.checksum, 30, 60)
    assert seen == list(range(1, 31))
    assert record.full is None
    assert record.fast.fixed == dict.fromkeys(FAST_FEATURES, 0.0)
    features = dict.fromkeys(FAST_FEATURES, 0.0)
    assert record.fast.level.at(features) == pytest.approx(24 / 30, abs=0.02)
    assert record.fast.dice.at(features) == pytest.approx(np.mean([1, 5 / 6, 1 / 6, 1, 5 / 6]), abs=0.01)
    write_reliability(record, "tiny", tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes()[:4] == b"\x89PNG"
    with pytest.raises(InputError):
        calibrate(package, cases[:3])


def test_images_need_their_labels(tmp_path):
    images, labels = tmp_path / "images", tmp_path / "labels"
    for folder in (images, labels):
        folder.mkdir()
    nifti.write(images / "a_0000.nii.gz", np.zeros((3, 3, 3), np.int16), np.eye(4))
    with pytest.raises(InputError):
        labelled_cases(images, labels)
    nifti.write(labels / "a.nii.gz", np.zeros((3, 3, 3), np.uint8), np.eye(4))
    (case,) = labelled_cases(images, labels)
    assert (case.image.name, case.labels, case.subject) == ("a", labels / "a.nii.gz", "a")


def test_images_of_one_subject_are_in_one_fold():
    rng = np.random.default_rng(2)
    copies = []
    for subject in range(10):  # what tells subjects apart says nothing of others
        features, right = {f"f{n}": value for n, value in enumerate(rng.normal(size=20))}, subject % 2 == 0
        copies += [LabelledVertebra(f"{subject}", features, right, float(right))] * 8
    names = list(copies[0].features)
    assert fitted(copies, names).level.error > 0.2
    apart = [replace(each, subject=f"{number}") for number, each in enumerate(copies)]
    assert fitted(apart, names).level.error < 0.1


def test_labels_mean_what_their_dataset_says_and_lie_on_the_grid_of_the_image(tmp_path):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    images, labels = tmp_path / "imagesTr", tmp_path / "labelsTr"
    for folder in (images, labels):
        folder.mkdir()
    truth = np.zeros((20, 8, 9), np.uint8)
    truth[0, 0, 0] = 1
    nifti.write(images / "a_0000.nii.gz", lively_volume(truth.shape).hu_zyx, np.eye(4))
    turned = np.diag([-1.0, 1.0, 1.0, 1.0])
    turned[0, 3] = 8
    nifti.write(labels / "a.nii.gz", truth[:, :, ::-1], turned)
    (tmp_path / "dataset.json").write_text('{"labels": {"background": 0, "C5": 1}}', encoding="utf-8")
    (tmp_path / "cases.csv").write_text("case,patient\na,p1\n", encoding="utf-8")
    (case,) = labelled_cases(images, labels)
    image = case.read(load_rules(levels=package.levels))
    assert image.subject == "p1"
    assert image.reference.levels == (parse_name("C5"),)
    assert image.reference.labels_zyx[0, 0, 0] == 5
