"""The report of an audit about all its cases: tables, the summary, and the rows of the picture sheet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import cspine
from cspine.io import nifti
from cspine.io.tables import number, write_csv
from cspine.models.package import ModelPackage
from cspine.report.sheet_rows import SheetRow, below_neck
from cspine.study.audits.anatomy_checks import CORD, CheckOutcome
from cspine.study.audits.audit import CHECK_NAMES, AuditFolder, AuditRecord, AuditSettings, LevelRecord
from cspine.study.audits.audit_cases import AuditCase, read_organs


def write_tables(records: Sequence[AuditRecord], folder: Path) -> None:
    """Write audit.csv and levels.csv; OutputError if that fails."""
    columns = ["case", "predicted_levels", "levels"]
    for name in CHECK_NAMES:
        columns += [name, f"{name}_value"]
    columns += ["agreement_min", "failed", "findings", "error", "model_checksum", "seconds"]
    write_csv(folder / "audit.csv", columns, [_case_row(record) for record in records])
    fields = list(LevelRecord.model_fields)
    rows = [
        [record.case, level.level, number(level.volume_ml, 2), "yes" if level.touches_edge else "no"]
        + [number(getattr(level, name), 3) for name in fields[3:]]
        for record in records
        for level in record.levels
    ]
    write_csv(folder / "levels.csv", ["case", *fields], rows)


def _case_row(record: AuditRecord) -> list[str]:
    by_name = {check.name: check for check in record.checks}
    row = [record.case, record.span, str(len(record.levels))]
    for name in CHECK_NAMES:
        check = by_name.get(name)
        row += [check.outcome.value, number(check.value)] if check else ["", ""]
    notes = "; ".join(f"{check.name}: {check.note}" for check in record.failed)
    return [
        *row, number(record.agreement_min), notes, " ".join(record.findings), record.error, record.checksum,
        number(record.seconds, 1),
    ]  # fmt: skip


def ordered_share(records: Sequence[AuditRecord]) -> float:
    """Return the share of all cases with an ordered, complete column; cases with an error count as without."""
    return sum(record.ordered_and_complete for record in records) / max(len(records), 1)


def counts(records: Sequence[AuditRecord], name: str) -> tuple[int, int, int]:
    """Return how many cases pass a check, fail it, and have it not applicable."""
    outcomes = [record.outcome(name) for record in records]
    return (
        outcomes.count(CheckOutcome.PASS),
        outcomes.count(CheckOutcome.FAIL),
        outcomes.count(CheckOutcome.NOT_APPLICABLE),
    )


def summary(records: Sequence[AuditRecord], package: ModelPackage, settings: AuditSettings) -> dict[str, Any]:
    """Return the content of summary.json about all cases.

    Parameters
    ----------
    records : sequence of AuditRecord
        The cases.
    package : ModelPackage
        The model.
    settings : AuditSettings
        Settings.
    """
    identity = package.identity
    checks = {}
    for name in CHECK_NAMES:
        passed, failed, other = counts(records, name)
        values = [check.value for r in records for check in r.checks if check.name == name and check.value is not None]
        checks[name] = {
            "pass": passed,
            "fail": failed,
            "not_applicable": other,
            "share": passed / (passed + failed) if passed + failed else None,
            "mean_value": float(np.mean(values)) if values else None,
        }
    return {
        "cspine_version": cspine.__version__,
        "model": {
            "name": identity.name,
            "version": identity.version,
            "checksum": identity.checksum,
            "demonstration": identity.demonstration,
        },
        "settings": {"agreement": settings.agreement, "organ_labels": dict(settings.organ_labels)},
        "cases": len(records),
        "errors": {record.case: record.error for record in records if record.error},
        "ordered_and_complete_share": ordered_share(records),
        "passed_everything": sum(not record.failed and not record.error for record in records),
        "checks": checks,
    }


def sheet_rows(
    cases: Sequence[AuditCase], records: Sequence[AuditRecord], settings: AuditSettings, folder: AuditFolder
) -> Iterator[SheetRow]:
    """Yield the rows of the picture sheet, each read on demand.

    Parameters
    ----------
    cases, records : sequence
        The cases with their records.
    settings : AuditSettings
        For the label of the cord.
    folder : AuditFolder
        Where the labels are.
    """
    for case, record in zip(cases, records, strict=True):
        if record.error:
            yield SheetRow(case.name, good=False, headline="failed", lines=(record.error,), ct=None, labels=None)
            continue
        ct, labels = nifti.read_ct(case.image), nifti.read_labels(folder.labels(case.name))
        cord = read_organs(case, ct, settings.organ_labels).get(CORD)
        missed = record.failed
        headline = f"{record.span or 'no vertebra predicted'}: " + _in_short([check.name for check in missed])
        lines = [f"- {check.name}: {check.note}" for check in missed]
        passed = [check for check in record.checks if check.outcome is CheckOutcome.PASS and check.value is not None]
        lines += [f"{c.name} {c.note or f'{c.value:.2f}'}" for c in passed if c.name not in ("order", "complete")]
        yield SheetRow(
            case.name, not missed, headline, tuple(lines), ct, labels, outline_zyx=cord,
            full_column=below_neck(level.level for level in record.levels),
        )  # fmt: skip


def _in_short(failed: Sequence[str]) -> str:
    if not failed:
        return "passes"
    return f"fails {', '.join(failed)}" if len(failed) <= 2 else f"fails {len(failed)} checks"
