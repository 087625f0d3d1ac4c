"""Tables, summary and sheet of an audit of phantom cases."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cspine.study.audits import audit_report
from cspine.study.audits.anatomy_checks import CheckOutcome
from cspine.study.audits.audit import AuditFolder, AuditRecord
from cspine.study.audits.audit_cases import find_cases
from tests.builders.audit_cases import ORGANS, done, stand_in, tiny_package

__all__ = ["done", "stand_in"]


def test_tables_and_summary_count_every_case(done: tuple[Path, AuditRecord]) -> None:
    folder, record = done
    broken = AuditRecord(case="b", key="", model="m", checksum="c", seconds=0, error="[CS-IN-001] no")
    audit_report.write_tables([record, broken], folder)
    with (folder / "audit.csv").open(newline="") as lines:
        first, second = csv.DictReader(lines)
    assert (first["case"], first["predicted_levels"], first["order"], first["agreement"]) == (
        "a",
        "C1-T1",
        "pass",
        "n/a",
    )
    assert (second["error"], second["order"]) == ("[CS-IN-001] no", "")
    with (folder / "levels.csv").open(newline="") as lines:
        levels = list(csv.DictReader(lines))
    assert [row["level"] for row in levels] == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1"]
    assert float(levels[2]["to_next_mm"]) == pytest.approx(18, abs=1) and levels[2]["agreement_mean"] == ""
    summary = audit_report.summary([record, broken], tiny_package(folder, seed=9), ORGANS)
    assert summary["ordered_and_complete_share"] == audit_report.ordered_share([record, broken]) == 0.5
    assert summary["checks"]["order"]["pass"] == 1 and summary["errors"] == {"b": "[CS-IN-001] no"}


def test_rows_of_the_sheet_say_what_failed(done: tuple[Path, AuditRecord]) -> None:
    folder, record = done
    case = find_cases(folder, folder)[0]
    failing = record.model_copy(
        update={
            "checks": (
                *record.checks[1:],
                record.checks[0].model_copy(update={"outcome": CheckOutcome.FAIL, "note": "C4"}),
            )
        }
    )
    broken = AuditRecord(case="a", key="", model="m", checksum="c", seconds=0, error="no")
    rows = list(audit_report.sheet_rows([case] * 3, [record, failing, broken], ORGANS, AuditFolder(folder / "out")))
    assert [row.good for row in rows] == [True, False, False]
    assert rows[0].headline == "C1-T1: passes" and rows[0].outline_zyx is not None and rows[0].outline_zyx.any()
    assert rows[1].headline == "C1-T1: fails order" and rows[1].lines[0] == "- order: C4"
    assert rows[2].labels is None and rows[2].lines == ("no",)
