from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from cspine.cli.models import command, wanted_model
from cspine.core.errors import ModelChecksumError, ModelNotFoundError, OrientationNeededError, UsageError
from cspine.io import nifti
from cspine.models.calibration import Bin, Calibrated, Calibration, Curve
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code
from tests.builders.stock_nnunet import lively_volume


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("cspine.models.registry.shipped_folder", lambda: None)

    def invoke(*arguments: object):
        result = CliRunner().invoke(command, [str(argument) for argument in arguments])
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def test_a_model_is_installed_listed_described_and_verified(run, tmp_path):
    results = TinyModel(folds=("0", "1")).results(tmp_path / "results")
    labels = tmp_path / "labels.yaml"
    labels.write_text("T2 and below: auxiliary\n")
    assert "No models" in run("list").output
    done = run(
        "install", results, "--name", "neck", "--labels", labels, "--orientation", "RAS",
        "--folds", "1", "--licence", "CC-BY-4.0", "--model-version", "2.1", "--source-text", "a paper",
    )  # fmt: skip
    assert "Installed neck 2.1" in done.output
    assert "--model neck" in done.output
    assert (tmp_path / "data/cspine/models/neck/model.yaml").is_file()
    assert "C1..C2" in run("list").output
    described = run("info", "neck").output
    for text in ("CC-BY-4.0", "a paper", "RAS", "3: auxiliary", "3d_fullres"):
        assert text in described
    assert "fold 1: " in run("verify", "neck").output


def test_a_changed_package_fails_verification(run, tmp_path):
    package = TinyModel().package(tmp_path / "models" / "tiny")
    (package.folder / "README.md").write_text("changed")
    with raises_code(ModelChecksumError, "tiny", 1):
        run("verify", "tiny", "--models", tmp_path / "models")


def test_a_demonstration_model_says_so(run, tmp_path):
    TinyModel().package(tmp_path / "models" / "tiny", demonstration=True)
    assert "DEMONSTRATION" in run("info", "tiny", "--models", tmp_path / "models").output
    assert "DEMONSTRATION" in run("list", "--models", tmp_path / "models").output


def test_a_damaged_package_is_listed_with_its_fault(run, tmp_path):
    (tmp_path / "models" / "broken").mkdir(parents=True)
    (tmp_path / "models" / "broken" / "model.yaml").write_text("name: 1")
    assert "cannot be used" in run("list", "--models", tmp_path / "models").output


def test_what_is_missing_is_asked_for(run, tmp_path):
    results = TinyModel().results(tmp_path / "results")
    with pytest.raises(OrientationNeededError):
        run("install", results, "--into", tmp_path / "models")
    with raises_code(UsageError, "--folds", "first"):
        run("install", results, "--folds", "first")
    with pytest.raises(ModelNotFoundError):
        run("info", "neck")


def test_in_a_container_the_only_model_of_the_mounted_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models" / "neck"
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text("name: neck\n")
    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", str(tmp_path / "models"))
    assert wanted_model(None) == folder

    monkeypatch.setenv("HOLOSCAN_MODEL_PATH", str(tmp_path / "empty"))
    with pytest.raises(ModelNotFoundError):
        wanted_model(None)


def test_a_model_is_calibrated_on_folders_of_images_and_labels(run, tmp_path, monkeypatch):
    package = TinyModel().package(tmp_path / "tiny")
    curves = Calibrated(level=_curve(0.04), dice=_curve(0.02), vertebrae=48)
    record = Calibration(checksum=package.identity.checksum, cases=2, fast=curves)
    seen = []

    def calibrate(package, cases, *, full, progress):
        seen.extend((each.ct.hu_zyx.shape, each.reference.labels_zyx.shape, full) for each in cases)
        return record

    monkeypatch.setattr("cspine.study.calibrate_model.calibrate", calibrate)
    for number, name in enumerate("ab"):
        nifti.write(tmp_path / name / "images" / "x_0000.nii.gz", _hounsfield((20, 8, 9 + number)), np.eye(4))
        nifti.write(tmp_path / name / "labels" / "x.nii.gz", np.zeros((20, 8, 9 + number), np.uint8), np.eye(4))
    pairs = [f"--{kind}={tmp_path / name / kind}" for name in "ab" for kind in ("images", "labels")]
    done = run("calibrate", tmp_path / "tiny", *pairs, "--plot", tmp_path / "plot.png")
    assert [shapes for *shapes, _ in seen] == [[(20, 8, n), (20, 8, n)] for n in (9, 10)]
    assert "0.040" in done.output
    assert "0.020" in done.output
    assert Calibration.read(package) == record
    assert (tmp_path / "plot.png").is_file()
    with pytest.raises(UsageError):
        run("calibrate", tmp_path / "tiny", *pairs[:3])


def _curve(error: float) -> Curve:
    return Curve(intercept=1.0, weights={}, error=error, bins=(Bin(predicted=0.7, observed=0.8, count=48),))


def _hounsfield(shape: tuple[int, int, int]) -> np.ndarray:
    return lively_volume(shape).hu_zyx
