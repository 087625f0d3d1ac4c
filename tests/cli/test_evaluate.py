"""`cspine evaluate`: a table that a person reads, tables that a program reads, and pictures."""

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner

from cspine import images
from cspine.cli.evaluate import command
from cspine.errors import InputError, UsageError
from tests.builders.small_neck import small_neck


def invoke(*arguments: object):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def rows_of(path):
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_a_model_is_scored_on_images(tmp_path):
    ct, reference = small_neck()
    images.write(tmp_path / "images" / "neck_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    images.write(tmp_path / "labels" / "neck.nii.gz", reference.labels_zyx, reference.affine_lps)
    out = tmp_path / "out"
    told = invoke("--reference", tmp_path / "labels", "--images", tmp_path / "images", "--out", out).output
    assert "DEMONSTRATION" in told and "1 cases" in told and "level accuracy" in told
    rows = rows_of(out / "scores.csv")
    assert [row["level"] for row in rows] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert all(float(row["dice"]) > 0.6 for row in rows)
    (case,) = rows_of(out / "cases.csv")
    assert (case["case"], case["ok"], case["level_accuracy"]) == ("neck", "yes", "1.000")
    assert case["wrong_without_finding"] == "no"
    assert json.loads((out / "summary.json").read_text())["cases_wrong_without_finding"] == 0
    assert {path.name for path in out.iterdir()} == {"scores.csv", "cases.csv", "summary.json", "sheet.png", "labels"}


def two_folders(tmp_path, change):
    reference = np.zeros((24, 24, 24), dtype=np.uint8)
    reference[2:8, 4:16, 4:16] = 3
    reference[10:16, 4:16, 4:16] = 2
    for folder, labels in (("reference", reference), ("found", change(reference))):
        images.write(tmp_path / folder / "a.nii.gz", labels.astype(np.uint8), np.eye(4))
    return "--reference", tmp_path / "reference", "--prediction", tmp_path / "found"


def test_predictions_are_scored_and_a_missing_level_counts_as_zero(tmp_path):
    told = invoke(*two_folders(tmp_path, lambda labels: np.where(labels == 3, 0, labels)), "--out", tmp_path / "out")
    scores = {row["level"]: (row["dice"], row["hd95_mm"]) for row in rows_of(tmp_path / "out" / "scores.csv")}
    assert scores["C2"] == ("1.0000", "0.000")
    assert scores["C3"] == ("0.0000", "inf")
    assert scores["C4"] == ("nan", "nan")
    (case,) = rows_of(tmp_path / "out" / "cases.csv")
    assert (case["missed_levels"], case["wrong_levels"], case["ok"]) == ("C3", "", "no")
    assert (case["findings"], case["wrong_without_finding"]) == ("n/a", "n/a")
    assert "0.500 of 2 vertebrae" in told.output
    assert (tmp_path / "out" / "sheet.png").is_file() and not (tmp_path / "out" / "labels").exists()


def test_a_wrong_level_is_counted_without_an_output_folder_too(tmp_path):
    told = invoke(*two_folders(tmp_path, lambda labels: np.where(labels == 3, 4, labels))).output
    lines = {line.split("│")[1].strip(): line.split("│")[2].strip() for line in told.splitlines() if "│" in line}
    assert lines["cases with a wrong level"] == "1" and lines["wrong level without a finding"] == "n/a"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["found", "reference"]


def test_one_of_prediction_and_images_is_needed(tmp_path):
    with pytest.raises(UsageError):
        invoke("--reference", tmp_path)
    with pytest.raises(InputError):
        invoke("--reference", tmp_path, "--prediction", tmp_path)


def test_the_output_is_a_folder(tmp_path):
    with pytest.raises(UsageError, match="give a folder"):
        invoke("--reference", tmp_path, "--prediction", tmp_path, "--out", tmp_path / "scores.csv")
