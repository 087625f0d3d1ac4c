"""What is open after an audit, what the exchange format explains, and that no answer is no clean answer."""

from __future__ import annotations

import json
import sys
from typing import Any

import audit
import pytest

_FOUND = {"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.0"]}


def report(*packages: dict[str, Any]) -> dict[str, Any]:
    return {"dependencies": [{"name": "numpy", "version": "1.0", "vulns": []}, *packages]}


def vex(state: str, identifier: str) -> dict[str, Any]:
    return {"vulnerabilities": [{"id": identifier, "analysis": {"state": state}}]}


def test_a_vulnerability_is_open_until_it_is_explained() -> None:
    found = report({"name": "torch", "version": "1.0", "vulns": [_FOUND]})
    assert audit.open_vulnerabilities(found, set()) == ["torch 1.0: PYSEC-1 (2.0)"]
    for identifier in ("PYSEC-1", "CVE-1"):
        assert audit.open_vulnerabilities(found, audit.explained(vex("not_affected", identifier))) == []
    assert len(audit.open_vulnerabilities(found, audit.explained(vex("exploitable", "CVE-1")))) == 1


def test_a_package_that_was_not_looked_up_is_an_error() -> None:
    with pytest.raises(audit.UnreachableError, match="torch"):
        audit.open_vulnerabilities(report({"name": "torch", "skip_reason": "not found"}), set())


@pytest.mark.parametrize("program", ["raise SystemExit(3)", "raise SystemExit(0)", "import absent_module"])
def test_a_program_that_gives_no_report_is_an_error(program: str, monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    (tmp_path / "pip_audit.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(audit.UnreachableError):
        audit.ask(["numpy==1.0"], "osv")


@pytest.mark.parametrize(
    ("found", "exit_code"), [([], 0), ([_FOUND], 1), (None, 2)], ids=["none known", "one known", "no answer"]
)
def test_the_exit_code_tells_them_apart(found: list[Any] | None, exit_code: int, monkeypatch) -> None:
    def ask(listed: list[str], service: str) -> dict[str, Any]:
        if found is None:
            raise audit.UnreachableError("no route")
        return report({"name": listed[0], "version": "1", "vulns": found})

    monkeypatch.setattr(audit, "ask", ask)
    monkeypatch.setattr(sys, "argv", ["audit.py"])
    with pytest.raises(SystemExit) as stopped:
        audit.main()
    assert stopped.value.code == exit_code


def test_every_package_of_both_images_is_asked_about() -> None:
    lock = {"torch": ("2.13.0+cpu", ""), "numpy": ("1.0", "")}
    assert audit.requirements(lock) == {"torch==2.13.0", "numpy==1.0"}


def test_the_exchange_file_is_cyclonedx_and_explains_each_entry() -> None:
    document = json.loads(audit.VEX.read_text())
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    for each in document["vulnerabilities"]:
        assert each["id"] and each["analysis"]["state"] and each["analysis"]["detail"] and each["affects"]
