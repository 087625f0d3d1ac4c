"""The output folder of a cohort: results and records appear whole, one clock and one process at a time.

A record is written before its results are renamed into place, and counts only where the results are those that it
tells of: whenever the process is killed, the next call sees what is done.
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

from cspine.cohort.studies import OWN
from cspine.core.errors import CohortError, CSpineError, OutputError, OutputNotEmptyError, UsageError
from cspine.dicom.clock import Clock
from cspine.io.output import PREVIEW, SEGMENTATION, SUMMARY
from cspine.io.workspace import Claim, ForeignClaimError, Records, locked
from cspine.report.summary import Summary

_COMMAND = "cspine cohort"
_RESULTS = {"dicom", "report", f"dicom/{SEGMENTATION}", f"report/{SUMMARY}", f"report/{PREVIEW}"}


class StudyRecord(BaseModel):
    """What became of one study.

    Parameters
    ----------
    name : str
        Name of the study.
    key : str
        Checksum of all that decides about its results.
    tries : int
        How often it was begun: 2 where its worker died.
    seconds : float
        Time of the last try.
    code, message, advice : str
        Of the error; empty where it is done.
    summary : Summary or None
        As summary.json has it; None where it failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    key: str
    tries: int
    seconds: float
    code: str = ""
    message: str = ""
    advice: str = ""
    summary: Summary | None = None

    @classmethod
    def of_failure(cls, name: str, key: str, error: CSpineError, tries: int, seconds: float) -> StudyRecord:
        """Return the record of a study that failed."""
        return cls(
            name=name, key=key, tries=tries, seconds=seconds,
            code=error.code, message=error.message, advice=error.advice,
        )  # fmt: skip

    @property
    def outcome(self) -> Literal["ok", "failed"]:
        """Whether there are results."""
        return "ok" if self.summary is not None else "failed"


@dataclass(frozen=True)
class CohortFolder:
    """Where a cohort writes.

    Parameters
    ----------
    root : Path
        OUT.
    """

    root: Path

    @property
    def own(self) -> Path:
        """Folder of the tables and records."""
        return self.root / OWN

    @property
    def unfinished(self) -> Path:
        """Folder in which results grow; on the file system of the results, so that a rename is enough."""
        return self.own / "unfinished"

    def study(self, name: str) -> Path:
        """Return the folder of a study's results."""
        return self.root / name

    @property
    def _records(self) -> Records[StudyRecord]:
        return Records(self.own / "studies", StudyRecord.model_validate, lambda record: record.model_dump(mode="json"))

    @contextmanager
    def held(self) -> Iterator[Clock]:
        """Hold the folder for one cohort at a time, clean of what a killed one left, and give the cohort's clock.

        Raises
        ------
        CohortError
            If another process holds it, or ``cohort`` in it is somebody else's.
        OutputError
            If it cannot be written.
        """
        claim = Claim(self.own / "cohort.json", _COMMAND)
        if not claim.file.is_file() and any(not path.name.startswith(".") for path in self.own.glob("*")):
            raise CohortError(f"OUT has a folder {OWN} that is not of {_COMMAND}", advice="Give another folder.")
        in_use = CohortError(
            "another cohort is writing to this output folder", advice="Wait for it, or give another output folder."
        )
        with locked(self.own / ".lock", in_use):
            shutil.rmtree(self.unfinished, ignore_errors=True)
            try:
                yield _clock(claim)
            finally:
                shutil.rmtree(self.unfinished, ignore_errors=True)

    def read_record(self, name: str) -> StudyRecord | None:
        """Return the record of a study, or None where there is none that can be read."""
        return self._records.read(name)

    def kept_record(self, name: str, key: str) -> StudyRecord | None:
        """Return the record of a study where it still holds: the same key, and its results are there."""
        record = self.read_record(name)
        if record is None or record.key != key:
            return None
        return record if record.summary is None or self._has(name, record.summary) else None

    def _has(self, name: str, summary: Summary) -> bool:
        place = self.study(name)
        try:
            there = Summary.model_validate_json((place / "report" / SUMMARY).read_text(encoding="utf-8"))
            sizes = [(place / output.file).stat().st_size for output in summary.outputs]
        except (OSError, ValidationError):
            return False
        return there == summary and sizes == [output.bytes for output in summary.outputs]

    def put(self, record: StudyRecord, results: Path | None, *, outdated: bool = False) -> None:
        """Keep the record of a study, and move its results into place.

        Parameters
        ----------
        record : StudyRecord
            What became of it.
        results : Path or None
            Folder with its ``dicom/`` and ``report/``; None where it failed.
        outdated : bool
            It failed because of what its files hold now: older results of this cohort go.

        Raises
        ------
        OutputNotEmptyError
            If files that this cohort did not write stand in the way.
        OutputError
            If the files cannot be written.
        """
        place = self.study(record.name)
        if results is not None:
            self.refuse_foreign(record.name)
        ours = self._is_ours(record.name)
        self._records.write(record.name, record)
        try:
            if results is None:
                if outdated and ours:
                    self._remove(place)
                return
            for last in (False, True):
                self._remove(place)
                try:
                    results.rename(place)
                    return
                except OSError as error:
                    # A worker that outlived its killed cohort may have put the same results there.
                    if last or error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                        raise
        except OSError as error:
            raise OutputError(f"the results cannot be put in place: {error.strerror}") from error

    def _remove(self, place: Path) -> None:
        if place.exists() and not _foreign(place):
            shutil.rmtree(_set_aside(place, self.unfinished))

    def refuse_foreign(self, name: str) -> None:
        """Raise OutputNotEmptyError if the folder of a study holds what this cohort did not write."""
        place = self.study(name)
        if not place.exists():
            return
        if not self._is_ours(name) or _foreign(place):
            raise OutputNotEmptyError(
                "the folder of the study in OUT holds files that this cohort did not write",
                advice="Move them away, or give another output folder.",
            )

    def _is_ours(self, name: str) -> bool:
        record = self.read_record(name)
        return record is not None and record.code != OutputNotEmptyError.code


def _clock(claim: Claim) -> Clock:
    """Return the clock that the cohort began with."""
    try:
        begun = claim.read()
        if begun is not None:
            return Clock.from_iso(begun["clock"])
    except (OSError, ForeignClaimError, KeyError, TypeError, ValueError, UsageError) as error:
        raise CohortError(f"{claim.file.name} in OUT is damaged, or is not of {_COMMAND}") from error
    clock = Clock.from_environment()
    claim.write({"clock": clock.iso})
    return clock


def _foreign(place: Path) -> bool:
    return any(path.relative_to(place).as_posix() not in _RESULTS for path in place.rglob("*"))


def _set_aside(place: Path, unfinished: Path) -> Path:
    """Take older results out of sight at once; they are removed afterwards."""
    unfinished.mkdir(parents=True, exist_ok=True)
    aside = unfinished / f"old-{place.name}"
    shutil.rmtree(aside, ignore_errors=True)
    return place.rename(aside)
