"""`cspine measure`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

import cspine
from cspine.cli.main import cli
from cspine.core.errors import OutputNotEmptyError, UsageError
from cspine.io import nifti
from tests.builders.measured_study import ct_series, labelled, segmentation


def test_values_are_printed_and_written(tmp_path: Path) -> None:
    labels = labelled(("C5",))
    ct = ct_series(tmp_path / "ct", labels)
    segmentation(labels, ct, tmp_path / "seg.dcm")
    arguments = ["-q", "measure", str(tmp_path / "seg.dcm"), str(tmp_path / "ct"), str(tmp_path / "out"), "--sex", "M"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "C5" in done.output and str(tmp_path / "out" / "dicom" / "measurements.dcm") in done.output
    again = CliRunner().invoke(cli, arguments)
    assert isinstance(again.exception, OutputNotEmptyError)


@pytest.mark.parametrize("read", ["labels", "prior"])
def test_the_results_that_are_measured_are_not_replaced(tmp_path: Path, read: str) -> None:
    labels = labelled(("C5",))
    ct = ct_series(tmp_path / "ct", labels)
    run = tmp_path / "run" / "dicom" / "segmentation.dcm"
    run.parent.mkdir(parents=True)
    segmentation(labels, ct, run)
    paths = {"labels": (tmp_path / "run", tmp_path / "run"), "prior": (run, tmp_path / "first")}[read]
    if read == "prior":
        cspine.measure(run, ct).save(tmp_path / "first")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.dcm")}
    words = ["-q", "measure", str(paths[0]), str(tmp_path / "ct"), str(paths[1]), "--overwrite"]
    done = CliRunner().invoke(cli, [*words, *(["--prior", str(paths[1])] if read == "prior" else [])])
    assert isinstance(done.exception, UsageError)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.dcm")} == before
    if read == "labels":
        with pytest.raises(UsageError):
            cspine.measure(*paths[:1], ct).save(paths[1], overwrite=True)


def test_numbers_of_another_system_need_their_scheme(tmp_path: Path) -> None:
    labels = labelled(("C5",))
    nifti.write(tmp_path / "labels.nii.gz", labels.labels_zyx * 3, labels.affine_lps)  # 15 is C5 of TotalSpineSeg
    nifti.write(tmp_path / "ct.nii.gz", (labels.labels_zyx > 0).astype("int16") * 300 - 50, labels.affine_lps)
    files = [str(tmp_path / name) for name in ("labels.nii.gz", "ct.nii.gz", "out")]
    done = CliRunner().invoke(cli, ["-q", "measure", *files, "--scheme", "totalspineseg"])
    assert done.exit_code == 0, done.output
    summary = json.loads((tmp_path / "out" / "report" / "measurements.json").read_text())
    assert [v["level"] for v in summary["vertebrae"]] == ["C5"]
    wrong = CliRunner().invoke(cli, ["-q", "measure", *files, "--scheme", "mine", "--overwrite"])
    assert isinstance(wrong.exception, UsageError)


def test_nifti_files_give_a_table(tmp_path: Path) -> None:
    labels = labelled(("C5",))
    nifti.write(tmp_path / "labels.nii.gz", labels.labels_zyx, labels.affine_lps)
    nifti.write(tmp_path / "ct.nii.gz", (labels.labels_zyx > 0).astype("int16") * 300 - 50, labels.affine_lps)
    files = [str(tmp_path / name) for name in ("labels.nii.gz", "ct.nii.gz", "out")]
    done = CliRunner().invoke(cli, ["-q", "measure", *files])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["measurements.csv", "measurements.json"]
    assert "C1, C2, C3, C4, C6, C7, T1" in done.output
