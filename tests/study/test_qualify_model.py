from __future__ import annotations

import numpy as np
import pytest

from cspine.core.errors import InputError
from cspine.inference.predict import Inference
from cspine.io import nifti
from cspine.models.package import ModelPackage
from cspine.pipeline import segmentation
from cspine.study.qualify_model import qualify, qualify_images
from tests.builders.nnunet_results import TinyModel
from tests.builders.stock_nnunet import lively_volume


@pytest.fixture
def package(tmp_path) -> ModelPackage:
    return TinyModel().package(tmp_path / "tiny")


def test_engines_are_compared_with_torch_in_float32(package):
    seen = []
    images = (lively_volume((20, 40, 36), seed=seed) for seed in (0, 1))
    choices = (("openvino", "float32"), ("torch", "float32"))
    record = qualify(package, images, choices, lambda done, total: seen.append(done))
    assert (record.checksum, record.cases, seen) == (package.identity.checksum, 2, [1, 2])
    openvino, torch = record.results
    assert (openvino.engine, openvino.precision) == ("openvino", "float32")
    assert openvino.mean_dice >= 0.999
    assert torch.dice == {"C1": 1.0, "C2": 1.0}
    assert ("torch", "float32") in record.sufficient


def test_images_in_files_are_read_and_counted(package, tmp_path, monkeypatch):
    for name in "ab":
        volume = lively_volume((20, 12, 12))
        nifti.write(tmp_path / "images" / f"{name}_0000.nii.gz", volume.hu_zyx, volume.affine_lps)
    seen = []

    def predict(image, package, settings):
        labels = np.full(image.hu_zyx.shape, 3, dtype=np.uint8)
        return Inference(labels=_volume(labels), auxiliary_zyx=labels > 9, record={})

    monkeypatch.setattr(segmentation, "predict", predict)
    record = qualify_images(package, tmp_path / "images", lambda done, total: seen.append((done, total)))
    assert record.cases == 2 and seen == [(1, 2), (2, 2)]


def test_dice_is_that_of_each_level_over_the_images(package, monkeypatch):
    def predict(image, package, settings):
        labels = np.zeros((1, 1, 8), dtype=np.uint8)
        labels[..., : 4 if settings.engine == "torch" else 2] = 3
        labels[..., 6:] = 4
        return Inference(labels=_volume(labels), auxiliary_zyx=labels > 9, record={})

    monkeypatch.setattr(segmentation, "predict", predict)
    (result,) = qualify(package, [lively_volume()], [("openvino", "bfloat16")]).results
    assert result.dice == {"C3": pytest.approx(2 / 3), "C4": 1.0}
    assert not result.is_sufficient


def test_images_without_a_vertebra_qualify_nothing(package, monkeypatch):
    empty = np.zeros((1, 1, 2), dtype=np.uint8)
    found = Inference(labels=_volume(empty), auxiliary_zyx=empty > 0, record={})
    monkeypatch.setattr(segmentation, "predict", lambda *_: found)
    with pytest.raises(InputError):
        qualify(package, [lively_volume()])


def _volume(labels_zyx):
    from cspine.core.volumes import LabelVolume

    return LabelVolume(labels_zyx, np.eye(4))
