"""`cspine evaluate`: a table that a person reads and a CSV that a program reads."""

import csv

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
    told = invoke(
        "--reference", tmp_path / "labels", "--images", tmp_path / "images", "--out", tmp_path / "scores.csv"
    ).output
    assert "DEMONSTRATION" in told and "1 cases" in told
    rows = rows_of(tmp_path / "scores.csv")
    assert [row["level"] for row in rows] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert all(float(row["dice"]) > 0.6 for row in rows)


def test_predictions_are_scored_and_a_missing_level_counts_as_zero(tmp_path):
    reference = np.zeros((20, 20, 20), dtype=np.uint8)
    reference[2:8, 4:16, 4:16] = 2
    reference[10:16, 4:16, 4:16] = 3
    found = np.where(reference == 3, 0, reference).astype(np.uint8)
    for folder, labels in (("reference", reference), ("found", found)):
        images.write(tmp_path / folder / "a.nii.gz", labels, np.eye(4))
    out = tmp_path / "scores.csv"
    invoke("--reference", tmp_path / "reference", "--prediction", tmp_path / "found", "--out", out)
    scores = {row["level"]: (row["dice"], row["hd95_mm"]) for row in rows_of(out)}
    assert scores["C2"] == ("1.0000", "0.000")
    assert scores["C3"] == ("0.0000", "inf")
    assert scores["C4"] == ("nan", "nan")


def test_one_of_prediction_and_images_is_needed(tmp_path):
    with pytest.raises(UsageError):
        invoke("--reference", tmp_path)
    with pytest.raises(InputError):
        invoke("--reference", tmp_path, "--prediction", tmp_path)
