"""`cspine series`: the table and the JSON."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cspine.cli.series import command
from cspine.core.errors import RulesError, UnknownSeriesError, UsageError
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import Stack, build, save_all

_DESCRIPTION = CtSeriesDescription(uid_seed="a", patient_name="Secret^Name", patient_id="ID-4711", kernel="B70f")


def _study(folder: Path) -> Path:
    save_all(build(Stack(shape_zyx=(40, 4, 4), description=_DESCRIPTION)), folder / "a")
    save_all(build(Stack(description=CtSeriesDescription(uid_seed="b", study_seed="other"))), folder / "b")
    (folder / "notes.txt").write_text("x")
    return folder


def _run(*arguments: str) -> str:
    result = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_the_table_shows_every_series_with_its_decision_and_no_name(tmp_path: Path) -> None:
    output = _run(str(_study(tmp_path)))
    assert "chosen" in output
    assert "rejected" in output
    assert "2 patients, 2 studies, 2 series." in output
    assert "1 not DICOM" in output
    assert "Secret" not in output
    assert "ID-4711" not in output


def test_json_is_for_machines(tmp_path: Path) -> None:
    document = json.loads(_run(str(_study(tmp_path)), "--json"))
    series = [s for study in document["studies"] for s in study["series"]]
    assert {s["series_uid"]: s["chosen"] for s in series}[_DESCRIPTION.series_uid] is True
    assert sorted(s["slices"] for s in series) == [6, 40]
    assert document["skipped"]["not_dicom"] == 1
    assert "Secret" not in json.dumps(document)


def test_a_series_uid_says_which_study_is_meant(tmp_path: Path) -> None:
    uid = CtSeriesDescription(uid_seed="b").series_uid
    document = json.loads(_run(str(_study(tmp_path)), "--json", "--series-uid", uid))
    assert [s["reason"] for s in document["studies"][0]["series"]] == ["chosen by UID"]
    with pytest.raises(UnknownSeriesError):
        CliRunner().invoke(command, [str(tmp_path), "--series-uid", "1.2"], catch_exceptions=False)


def test_a_nifti_file_has_no_series(tmp_path: Path) -> None:
    (tmp_path / "ct.nii.gz").write_bytes(b"")
    with pytest.raises(UsageError):
        CliRunner().invoke(command, [str(tmp_path / "ct.nii.gz")], catch_exceptions=False)


def test_a_rules_file_is_used(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("require: {kernel: SOFT}")
    study = _study(tmp_path / "in")
    document = json.loads(_run(str(study), "--json", "--rules", str(rules)))
    assert not any(s["chosen"] for study in document["studies"] for s in study["series"])
    rules.write_text("nonsense: 1")
    with pytest.raises(RulesError):
        CliRunner().invoke(command, [str(study), "--rules", str(rules)], catch_exceptions=False)
