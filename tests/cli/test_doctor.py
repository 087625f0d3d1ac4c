"""`cspine doctor` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from cspine.cli.doctor import command
from cspine.core.errors import NotReadyError
from cspine.doctor import diagnose
from cspine.doctor.diagnostic import Diagnostic, Status


def test_this_machine_is_ready(tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--json", "--output", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    output = json.loads(result.output)
    assert output["ready"] is True
    names = [check["name"] for check in output["diagnostics"]]
    assert {"cspine", "memory", "cpu", "model cervical-demo", "rendering", "output folder", "network"} <= set(names)
    assert {check["status"] for check in output["diagnostics"]} <= {"OK", "WARN"}
    assert not (tmp_path / "out").exists()


def test_a_failure_is_reported_with_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [Diagnostic("memory", Status.FAIL, "0.1 GiB", "Add memory."), Diagnostic("cpu", Status.OK, "computes")]
    monkeypatch.setattr(diagnose, "diagnose", lambda *_: lines)
    result = CliRunner().invoke(command, [])
    assert isinstance(result.exception, NotReadyError) and "memory" in str(result.exception)
    assert "Add memory." in result.output and "computes" in result.output
    output = json.loads(CliRunner().invoke(command, ["--json"]).output)
    assert output["ready"] is False and output["diagnostics"][0]["advice"] == "Add memory."
