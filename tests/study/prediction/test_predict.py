"""The table of predictions lists what the input has now, whatever earlier calls wrote into the folder."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import cspine
from cspine.core.errors import hashed
from cspine.core.findings import Finding
from cspine.core.volumes import LabelVolume
from cspine.dicom.scan import scan_folder
from cspine.io import nifti
from cspine.models.package import load_package
from cspine.study.prediction import prediction as module
from cspine.study.prediction.predict import PredictionTask, run_prediction
from cspine.study.prediction.prediction_cases import PredictionCase
from tests.builders.bright_studies import write_bright_study


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def drawn(
        case: PredictionCase, prediction: object, settings: object, path: Path
    ) -> tuple[LabelVolume, tuple[Finding, ...]]:
        labels = LabelVolume(np.zeros((2, 2, 2), np.uint8), np.eye(4))
        nifti.write(path, labels.labels_zyx, labels.affine_lps)
        return labels, ()

    monkeypatch.setattr(module, "_drawn", drawn)


def predicted(source: Path, out: Path, model: Path) -> tuple[list[str], list[str]]:
    """Predict, and return the cases of the table and the notes."""
    notes: list[str] = []
    task = PredictionTask(out, source, settings=cspine.InferenceSettings(device="cpu"))
    run_prediction(task, load_package(model), warn=notes.append)
    with (out / "predictions.csv").open(newline="") as lines:
        cases = [row["case"] for row in csv.DictReader(lines)]
    assert json.loads((out / "summary.json").read_text())["cases"] == len(cases)
    return cases, notes


def test_a_study_whose_name_changes_is_listed_once(bright_model: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    write_bright_study(source / "visit" / "one", "one")
    assert predicted(source, out, bright_model) == (["visit"], [])
    write_bright_study(source / "visit" / "two", "two")
    cases, (note,) = predicted(source, out, bright_model)
    assert cases == sorted(hashed(study.series[0].study_uid) for study in scan_folder(source).studies())
    assert "visit" in note and (out / "visit.nii.gz").is_file()


def test_a_case_that_left_the_input_leaves_the_table(bright_model: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        nifti.write(tmp_path / "in" / f"{name}.nii.gz", np.zeros((2, 2, 2), np.int16), np.eye(4))
    assert predicted(tmp_path / "in", tmp_path / "out", bright_model)[0] == ["a", "b"]
    shutil.move(tmp_path / "in" / "a.nii.gz", tmp_path)
    assert predicted(tmp_path / "in", tmp_path / "out", bright_model)[0] == ["b"]
