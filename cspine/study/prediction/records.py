"""The records of a folder of `cspine predict` about each case: records/NAME.json, and the findings of its labels."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cspine.core.findings import FINDING_KINDS, Finding
from cspine.io.nifti_files import nifti_stem
from cspine.io.output_folder import PREDICT, summary_of
from cspine.io.workspace import Records

RECORDS = "records"


@dataclass(frozen=True)
class PredictionRecord:
    """The outcome of a case.

    Parameters
    ----------
    case, subset : str
        Its name, and its subset in a study.
    folds : str
        Folds that predicted it.
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
    subset: str
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
        return [self.case, self.subset, self.folds, self.model, " ".join(self.levels), findings, took, self.error]


def records_in(folder: Path) -> Records[PredictionRecord]:
    """Return the records of the cases in a folder of `cspine predict`."""
    return Records(folder / RECORDS, _parse, asdict)


def record_of(labels: Path) -> PredictionRecord | None:
    """Return the record of the case whose labels are in this file; None where there is none, or a damaged one."""
    return records_in(labels.parent).read(nifti_stem(labels))


def _parse(content: dict[str, Any]) -> PredictionRecord:
    findings = tuple((code, level, sentence) for code, level, sentence in content["findings"])
    return PredictionRecord(**{**content, "levels": tuple(content["levels"]), "findings": findings})


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
    written = summary_of(labels.parent, PREDICT)
    settings = written.get("settings") if written is not None else None
    if not isinstance(settings, dict) or settings.get("raw") is not False:
        return None
    record = record_of(labels)
    if record is None or record.error:
        return None
    kinds = {kind.code: kind for kind in FINDING_KINDS}
    if any(code not in kinds for code, _, _ in record.findings):
        return None
    return tuple(kinds[code].about(sentence, level or None) for code, level, sentence in record.findings)
