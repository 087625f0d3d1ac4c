"""The output folder of a cohort: complete results and records, one clock, and one process at a time.

A record is written before its results are renamed to their target, and is valid only if the results match it:
whenever the process is killed, the next call knows which studies are done.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from cspine.cohort.studies import COHORT_FOLDER
from cspine.core.errors import CohortError, CSpineError, OutputError, OutputNotEmptyError, UsageError
from cspine.dicom.clock import Clock
from cspine.io.files import sha256_of
from cspine.io.output import RESULT_PARTS, SUMMARY, foreign_files
from cspine.io.workspace import Claim, ForeignClaimError, Records, locked
from cspine.report.summary import Summary

_COMMAND = "cspine cohort"


class StudyRecord(BaseModel):
    """The record of one study.

    Parameters
    ----------
    name : str
        Name of the study.
    key : str
        Checksum of everything that determines the results.
    attempts : int
        Number of attempts; 2 if a worker died.
    seconds : float
        Duration of the last attempt.
    code, message, advice : str
        The error; empty if the study succeeded.
    summary : Summary or None
        Content of summary.json; None if the study failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    key: str
    attempts: int
    seconds: float
    code: str = ""
    message: str = ""
    advice: str = ""
    summary: Summary | None = None

    @classmethod
    def of_failure(cls, name: str, key: str, error: CSpineError, attempts: int, seconds: float) -> StudyRecord:
        """Return the record of a failed study."""
        return cls(
            name=name, key=key, attempts=attempts, seconds=seconds,
            code=error.code, message=error.message, advice=error.advice,
        )  # fmt: skip

    @property
    def outcome(self) -> Literal["ok", "failed"]:
        """Return whether the study has results."""
        return "ok" if self.summary is not None else "failed"


@dataclass(frozen=True)
class CohortFolder:
    """The output folder of a cohort.

    Parameters
    ----------
    root : Path
        OUT.
    """

    root: Path

    @property
    def cohort_folder(self) -> Path:
        """Return the folder of the tables and records."""
        return self.root / COHORT_FOLDER

    @property
    def staging(self) -> Path:
        """Return the folder for incomplete results, on the file system of the results."""
        return self.cohort_folder / "staging"

    def study(self, name: str) -> Path:
        """Return the folder of a study's results."""
        return self.root / name

    @property
    def _records(self) -> Records[StudyRecord]:
        folder = self.cohort_folder / "studies"
        return Records(folder, StudyRecord.model_validate, lambda record: record.model_dump(mode="json"))

    @contextmanager
    def locked(self) -> Iterator[Clock]:
        """Lock the folder, remove what a killed cohort left, and yield the clock of the cohort.

        Raises
        ------
        CohortError
            If another process has locked it, or its folder ``cohort`` has foreign content.
        OutputError
            If the folder cannot be written.
        """
        claim = Claim(self.cohort_folder / "cohort.json", _COMMAND)
        if not claim.file.is_file() and any(not path.name.startswith(".") for path in self.cohort_folder.glob("*")):
            raise CohortError(
                f"OUT has a folder {COHORT_FOLDER} that {_COMMAND} did not write", advice="Give another output folder."
            )
        in_use = CohortError(
            "another cohort is writing to this output folder",
            advice="Wait for it to end, or give another output folder.",
        )
        with locked(self.cohort_folder / ".lock", in_use):
            shutil.rmtree(self.staging, ignore_errors=True)
            try:
                yield _clock(claim)
            finally:
                shutil.rmtree(self.staging, ignore_errors=True)

    def read_record(self, name: str) -> StudyRecord | None:
        """Return the record of a study, or None if there is no readable one."""
        return self._records.read(name)

    def cached_record(self, name: str, key: str) -> StudyRecord | None:
        """Return the record of a study if it is valid: it has the key, and its results match their checksums."""
        record = self.read_record(name)
        if record is None or record.key != key:
            return None
        return record if record.summary is None or self._has(name, record.summary) else None

    def _has(self, name: str, summary: Summary) -> bool:
        target = self.study(name)
        try:
            stored = Summary.model_validate_json((target / "report" / SUMMARY).read_text(encoding="utf-8"))
            return stored == summary and all(
                (target / output.file).stat().st_size == output.bytes  # most damage shows without reading
                and sha256_of(target / output.file) == output.sha256
                for output in summary.outputs
            )
        except (OSError, ValidationError):
            return False

    def store(self, record: StudyRecord, results: Path | None, *, discard_previous: bool = False) -> None:
        """Store the record of a study, and move its results to their target.

        Parameters
        ----------
        record : StudyRecord
            Record of the study.
        results : Path or None
            Folder with ``dicom/`` and ``report/``; None if the study failed.
        discard_previous : bool
            Remove earlier results: the study failed because of its current images.

        Raises
        ------
        OutputNotEmptyError
            If the target has files that this cohort did not write.
        OutputError
            If the files cannot be written.
        """
        target = self.study(record.name)
        if results is not None:
            self.refuse_foreign(record.name)
        ours = self._is_ours(record.name)
        self._records.write(record.name, record)
        try:
            if results is None:
                if discard_previous and ours:
                    self._remove(target)
                return
            for last in (False, True):
                self._remove(target)
                try:
                    results.rename(target)
                    return
                except OSError as error:
                    # A worker that outlived its killed cohort may have stored the same results.
                    if last or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        except OSError as error:
            raise OutputError(f"cannot store the results: {error.strerror}") from error

    def _remove(self, target: Path) -> None:
        if target.exists() and not _has_foreign_files(target):
            shutil.rmtree(_move_away(target, self.staging))

    def refuse_foreign(self, name: str) -> None:
        """Raise OutputNotEmptyError if the folder of a study has files that this cohort did not write."""
        target = self.study(name)
        if not target.exists():
            return
        if not self._is_ours(name) or _has_foreign_files(target):
            raise OutputNotEmptyError(
                "the folder of the study in OUT has files that this cohort did not write",
                advice="Move them, or give another output folder.",
            )

    def _is_ours(self, name: str) -> bool:
        record = self.read_record(name)
        return record is not None and record.code != OutputNotEmptyError.code


def _clock(claim: Claim) -> Clock:
    """Return the clock of the first call of the cohort."""
    try:
        content = claim.read()
        if content is not None:
            return Clock.from_iso(content["clock"])
    except (OSError, ForeignClaimError, KeyError, TypeError, ValueError, UsageError) as error:
        raise CohortError(f"{claim.file.name} in OUT is damaged, or was not written by {_COMMAND}") from error
    clock = Clock.from_environment()
    claim.write({"clock": clock.iso})
    return clock


def _has_foreign_files(target: Path) -> bool:
    return any(path.name not in RESULT_PARTS or not path.is_dir() for path in target.iterdir()) or bool(
        foreign_files(target)
    )


def _move_away(target: Path, staging: Path) -> Path:
    """Move earlier results away atomically; the caller removes them."""
    staging.mkdir(parents=True, exist_ok=True)
    moved = staging / f"old-{target.name}"
    shutil.rmtree(moved, ignore_errors=True)
    return target.rename(moved)
