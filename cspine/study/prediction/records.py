"""What a folder of `cspine predict` says of each case: records/NAME.json, and the findings of its labels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cspine.core.findings import FINDING_KINDS, Finding
from cspine.io import nifti
from cspine.study.output_folder import PREDICT, told_by

RECORDS = "records"


@dataclass(frozen=True)
class CaseRecord:
    """What became of a case.

    Parameters
    ----------
    case, part : str
        Its name, and its part in a study.
    folds : str
        Folds that drew it.
    model : str
        Checksum of the model.
    source : str
        Fingerprint of its files.
    levels : tuple of str
        Vertebrae found.
    findings : tuple of tuple of str
        Code, level and sentence of each finding.
    seconds : float
        Time that it took.
    error : str
        Why it failed; empty where it did not.
    """

    case: str
    part: str
    folds: str
    model: str
    source: str
    levels: tuple[str, ...] = ()
    findings: tuple[tuple[str, str, str], ...] = ()
    seconds: float = 0.0
    error: str = ""

    def row(self) -> list[str]:
        """Return its row of predictions.csv."""
        findings = "; ".join(f"{code} {level}".rstrip() for code, level, _ in self.findings)
        took = "" if self.error else f"{self.seconds:.1f}"
        return [self.case, self.part, self.folds, self.model, " ".join(self.levels), findings, took, self.error]


def record_path(labels: Path) -> Path:
    """Return where the record of a case lies, of which this is the file of labels."""
    return labels.parent / RECORDS / f"{nifti.case_name(labels)}.json"


def read_record(path: Path) -> CaseRecord | None:
    """Return the record in a file; None where there is none, or a damaged one."""
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        levels, findings = tuple(told["levels"]), tuple((c, le, s) for c, le, s in told["findings"])
        return CaseRecord(**{**told, "levels": levels, "findings": findings})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def findings_of_labels(labels: Path) -> tuple[Finding, ...] | None:
    """Return the findings that `cspine predict` had of some labels.

    Parameters
    ----------
    labels : Path
        File of the labels of a case.

    Returns
    -------
    tuple of Finding or None
        None where the file is not of such a folder, where its labels were not cleaned (``--raw``), or where a finding
        is of a kind that this version does not know.
    """
    told = told_by(labels.parent, PREDICT)
    settings = told.get("settings") if told is not None else None
    if not isinstance(settings, dict) or settings.get("raw") is not False:
        return None
    record = read_record(record_path(labels))
    if record is None or record.error:
        return None
    kinds = {kind.code: kind for kind in FINDING_KINDS}
    if any(code not in kinds for code, _, _ in record.findings):
        return None
    return tuple(kinds[code].about(sentence, level or None) for code, level, sentence in record.findings)
