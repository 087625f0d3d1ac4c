"""The complete workflow of `cspine audit`: CTs without labels in; checks, tables, pictures and pseudo-labels out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import RequirementError, UsageError, hashed
from cspine.io.tables import counted
from cspine.models.package import ModelPackage
from cspine.report.sheet import write_sheets
from cspine.study.audits import audit_report
from cspine.study.audits.audit import AuditFolder, AuditRecord, AuditSettings, audit_case
from cspine.study.audits.audit_cases import find_cases
from cspine.study.audits.pseudo_labels import RawDataset

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class AuditTask:
    """The task of an audit.

    Parameters
    ----------
    images : Path
        Folder of CT images.
    out : Path
        Folder of the results.
    settings : AuditSettings
        Inference, agreement, labels of the organs.
    organs : Path or None
        Folder of organ labels.
    pseudo_labels : Path or None
        Where cases that pass are written as an nnU-Net raw dataset.
    recompute : bool
        True to recompute every case.
    """

    images: Path
    out: Path
    settings: AuditSettings
    organs: Path | None = None
    pseudo_labels: Path | None = None
    recompute: bool = False


@dataclass(frozen=True)
class AuditOutcome:
    """The outcome of an audit.

    Parameters
    ----------
    records : tuple of AuditRecord
        One a case.
    files : tuple of Path
        Sheets, tables and summary.
    pseudo_labelled : int or None
        Cases of the raw dataset; None without one.
    """

    records: tuple[AuditRecord, ...]
    files: tuple[Path, ...]
    pseudo_labelled: int | None = None


def check_audit(task: AuditTask) -> None:
    """Refuse a task whose folders cannot be used, before a model is loaded; errors as `run_audit`."""
    if task.pseudo_labels is not None and task.pseudo_labels.resolve() == task.out.resolve():
        raise UsageError("`pseudo_labels` and `out` are the same folder", advice="Give two folders.")
    AuditFolder(task.out).output.check([task.images, task.organs, task.pseudo_labels])
    find_cases(task.images, task.organs)


def run_audit(
    task: AuditTask, package: ModelPackage, progress: Callable[[int, int], None] = lambda done, total: None
) -> AuditOutcome:
    """Audit a model on images that have no labels.

    Parameters
    ----------
    task : AuditTask
        Images, settings, and where to write.
    package : ModelPackage
        The model.
    progress : callable
        Gets the cases done and all of them.

    Raises
    ------
    CSpineError
        What would stop every case; a case that fails is a record with its ``error``.
    """
    folder, out, settings = AuditFolder(task.out), task.out, task.settings
    check_audit(task)
    cases = find_cases(task.images, task.organs)
    read = [task.images, task.organs, out, *{case.image.resolve().parent for case in cases}]
    dataset = RawDataset(task.pseudo_labels, read) if task.pseudo_labels is not None else None
    folder.output.begin()
    if dataset is not None:
        dataset.begin(cases)
    records: list[AuditRecord] = []
    progress(0, len(cases))
    for case in cases:
        record = audit_case(case, package, settings, folder, recompute=task.recompute)
        records.append(record)
        audit_report.write_tables(records, out)
        if dataset is not None:
            dataset.put(case, record, folder)
        _log.info("case %s: %s", hashed(case.name), _in_words(record))
        progress(len(records), len(cases))
    rows = audit_report.sheet_rows(cases, records, settings, folder)
    sheets = write_sheets(rows, len(cases), f"{package.identity.title} on {counted(len(cases), 'case')}", out)
    folder.output.finish(audit_report.summary(records, package, settings))
    files = (*sheets, out / "audit.csv", out / "levels.csv", out / "summary.json")
    return AuditOutcome(tuple(records), files, dataset.count if dataset is not None else None)


def require_share(records: Sequence[AuditRecord], share: float) -> None:
    """Refuse an audit in which too few cases have a complete column in order.

    Parameters
    ----------
    records : sequence of AuditRecord
        All cases.
    share : float
        The required share, from 0 to 1.

    Raises
    ------
    RequirementError
        If it is not reached.
    """
    found = audit_report.ordered_share(records)
    if found < share:
        raise RequirementError(
            f"{found:.0%} of {counted(len(records), 'case')} have an ordered, complete column, fewer than {share:.0%}"
        )


def _in_words(record: AuditRecord) -> str:
    if record.error:
        return "failed"
    failed = ", ".join(check.name for check in record.failed)
    return f"{record.span or 'no vertebra'}, " + (f"failed: {failed}" if failed else "passes every check")
