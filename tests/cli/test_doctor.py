"""`cspine doctor` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cspine.cli.doctor import command
from cspine.core.errors import NotReadyError
from cspine.doctor import examine
from cspine.doctor.check import Check, Verdict


def test_this_machine_is_ready(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--json", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    told = json.loads(result.output)
    assert told["ready"] is True
    names = [check["name"] for check in told["checks"]]
    assert {"cspine", "memory", "cpu", "model cervical-demo", "pictures", "output folder", "network"} <= set(names)
    assert {check["verdict"] for check in told["checks"]} <= {"OK", "WARN"}
    assert not (tmp_path / "out").exists()


def test_what_is_missing_is_told_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Check("memory", Verdict.FAIL, "0.1 GiB", "Add memory."), Check("cpu", Verdict.OK, "computes")]
    monkeypatch.setattr(examine, "examine", lambda *_: lines)
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, NotReadyError) and "memory" in str(result.exception)
    assert "Add memory." in result.output and "computes" in result.output
    told = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert told["ready"] is False and told["checks"][0]["advice"] == "Add memory."
