"""`cspine audit`: tables, pictures and exit codes; and once with the shipped model."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import cspine
from cspine.cli.audit import command
from cspine.core.errors import (
    InputError,
    ModelError,
    OutputError,
    RequirementError,
    SomeStudiesFailedError,
    UsageError,
    hashed,
)
from cspine.io import nifti
from cspine.study.audits import audit, run_audit
from tests.builders.audit_cases import StandIn, stand_in, write_case
from tests.builders.raises import raises_code
from tests.builders.small_neck import small_neck

__all__ = ["stand_in"]


def invoke(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments], catch_exceptions=False)


def test_the_shipped_model_is_audited(tmp_path: Path) -> None:
    ct, _ = small_neck()
    nifti.write(tmp_path / "in" / "neck_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    result = invoke("--images", tmp_path / "in", "--out", tmp_path / "out", "--no-agreement", "--device", "cpu")
    assert result.exit_code == 0 and "DEMONSTRATION" in result.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["model"]["name"] == "cervical-demo" and summary["ordered_and_complete_share"] == 1.0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "audit.csv", "levels.csv", "summary.json", "sheet.png", "labels", "auxiliary", "cases",
    }  # fmt: skip


def test_it_goes_on_where_it_stopped(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path / "in", "a")
    common = ("--images", tmp_path / "in", "--out", tmp_path / "out", "--organs", tmp_path / "in", "--no-agreement")
    assert invoke(*common).exit_code == 0
    write_case(tmp_path / "in", "b")
    assert invoke(*common, "--pseudo-labels", tmp_path / "raw").exit_code == 0
    assert stand_in.asked == 2
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["numTraining"] == 2
    invoke(*common, "--recompute")
    assert stand_in.asked == 4
    with (tmp_path / "out" / "audit.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["case"], row["order"], row["cord_ring"]) for row in rows] == [
        ("a", "pass", "pass"),
        ("b", "pass", "pass"),
    ]


@pytest.mark.usefixtures("stand_in")
def test_a_share_may_be_required(tmp_path: Path) -> None:
    write_case(tmp_path / "in", "a", cord=False)
    write_case(tmp_path / "in", "b", cord=False, lost=3)
    common = ("--images", tmp_path / "in", "--out", tmp_path / "out", "--no-agreement")
    assert invoke(*common, "--require", "0.5").exit_code == 0
    with raises_code(RequirementError, "50%", 2):
        invoke(*common, "--require", "0.6")
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_the_function_takes_what_the_command_takes(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path / "in", "a")
    write_case(tmp_path / "in", "b", lost=3)
    settings = audit.AuditSettings(agreement=False)
    places = (tmp_path / "in", tmp_path / "out")
    found = cspine.study.audit(
        *places, organs=tmp_path / "in", settings=settings, pseudo_labels=tmp_path / "raw", require=0.5
    )
    assert found.pseudo_labelled == 1 and stand_in.asked == 2
    with raises_code(RequirementError, "50%", 2):
        cspine.study.audit(*places, organs=tmp_path / "in", settings=settings, require=0.6, recompute=True)
    assert stand_in.asked == 4
    with raises_code(UsageError, "--pseudo-labels", "--out"):
        cspine.study.audit(*places, pseudo_labels=tmp_path / "out")


@pytest.mark.usefixtures("stand_in")
def test_a_case_that_cannot_be_read_does_not_stop_the_others(tmp_path: Path) -> None:
    write_case(tmp_path / "in", "b", cord=False)
    (tmp_path / "in" / "a_ct.nii.gz").write_bytes(b"no image")
    arguments = ["--images", str(tmp_path / "in"), "--out", str(tmp_path / "out"), "--no-agreement"]
    result = CliRunner().invoke(command, arguments)
    assert isinstance(result.exception, SomeStudiesFailedError) and result.exception.message == "1 of 2 cases failed"
    assert re.search(r"failed: a \[CS-IN-001\] .*a_ct\.nii\.gz", result.output)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert list(summary["errors"]) == ["a"] and summary["checks"]["order"]["pass"] == 1


def test_what_cannot_be_used_is_refused_before_any_work(tmp_path: Path) -> None:
    with raises_code(UsageError, "--organ-labels", "--organs"):
        invoke("--images", tmp_path, "--out", tmp_path / "out", "--organ-labels", "cord=3")
    with raises_code(InputError, "*.nii.gz", tmp_path):
        invoke("--images", tmp_path, "--out", tmp_path / "out")
    with raises_code(UsageError, "'cord'"):
        invoke("--images", tmp_path, "--out", tmp_path / "out", "--organs", tmp_path, "--organ-labels", "cord")
    with raises_code(UsageError, "--pseudo-labels", "--out"):
        invoke("--images", tmp_path, "--out", tmp_path / "out", "--pseudo-labels", tmp_path / "out")
    (tmp_path / "file").write_text("")
    with raises_code(OutputError, tmp_path / "file"):
        invoke("--images", tmp_path, "--out", tmp_path / "file")
    assert invoke("--images", tmp_path, "--out", tmp_path / "out", "--require", "2").exit_code == 2


def test_no_input_is_overwritten(tmp_path: Path, stand_in: StandIn) -> None:
    raw, linked = tmp_path / "raw", tmp_path / "linked"
    write_case(raw / "imagesTr", "a", cord=False)
    linked.mkdir()
    (linked / "a_ct.nii.gz").symlink_to(raw / "imagesTr" / "a_ct.nii.gz")
    write_case(tmp_path / "set" / "images", "a", cord=False)
    (tmp_path / "set" / "labels").mkdir()
    (tmp_path / "set" / "labels" / "a.nii.gz").write_bytes(b"reference")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.nii.gz")}
    for folder in (raw / "imagesTr", linked):
        with raises_code(UsageError, "--pseudo-labels", "imagesTr/"):
            invoke("--images", folder, "--out", tmp_path / "out", "--no-agreement", "--pseudo-labels", raw)
    with raises_code(UsageError, "--out", "labels", "summary.json"):
        invoke("--images", tmp_path / "set" / "images", "--out", tmp_path / "set", "--no-agreement")
    assert stand_in.asked == 0 and not (tmp_path / "out").exists()
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.nii.gz")} == before


def test_pseudo_labels_of_an_interrupted_audit_are_gone_on_with(tmp_path: Path, stand_in: StandIn) -> None:
    write_case(tmp_path / "in", "a", cord=False)
    write_case(tmp_path / "in", "b", cord=False)
    folders = ("--images", tmp_path / "in", "--out", tmp_path / "out", "--pseudo-labels", tmp_path / "raw")
    stand_in.fails_with = ModelError("stopped")
    with pytest.raises(ModelError):
        invoke(*folders, "--no-agreement")
    assert json.loads((tmp_path / "raw" / "dataset.json").read_text())["numTraining"] == 0
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"] is False
    assert "2 pseudo-labelled cases" in invoke(*folders, "--no-agreement").output
    (tmp_path / "in" / "a_ct.nii.gz").unlink()
    assert "1 pseudo-labelled cases" in invoke(*folders, "--no-agreement").output
    assert [path.name for path in (tmp_path / "raw" / "labelsTr").iterdir()] == ["b.nii.gz"]


def test_no_name_of_a_case_is_logged(tmp_path: Path, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    for module in (run_audit, audit):
        monkeypatch.setattr(module._log, "info", lambda text, *values: lines.append(text % values))
    write_case(tmp_path / "in", "doe_jane", cord=False)
    for _ in range(2):
        invoke("--images", tmp_path / "in", "--out", tmp_path / "out", "--no-agreement")
    assert stand_in.asked == 1
    assert len(lines) == 3 and all(hashed("doe_jane") in line and "jane" not in line for line in lines)
