"""A worker of a cohort: it loads the model once and runs studies as `cspine run` does."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

import cspine
from cspine.cohort.folder import CohortFolder, StudyRecord
from cspine.cohort.studies import CohortStudy
from cspine.core.errors import (
    CohortError,
    CSpineError,
    ModelError,
    OutputError,
    OutputNotEmptyError,
    Subject,
    as_defect,
)
from cspine.dicom.archive import open_input
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage, load_package
from cspine.pipeline.outputs import with_summary
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import read_headers
from cspine.pipeline.study import run_study


@dataclass(frozen=True)
class CohortTask:
    """The settings that are the same for every study.

    Parameters
    ----------
    model : Path
        Folder of the model package; the same on every machine of a cluster.
    checksum : str
        Checksum of that package.
    version : str
        Version of cspine.
    settings : RunSettings
        Settings of each run, with the clock of the cohort. The summary is always written: the tables are made of it.
    folder : CohortFolder
        Output folder.
    threads : int
        CPU threads per study.
    """

    model: Path
    checksum: str
    settings: RunSettings
    folder: CohortFolder
    threads: int = 1
    version: str = field(default=cspine.__version__)

    def __post_init__(self) -> None:
        settings = replace(self.settings, outputs=with_summary(self.settings.outputs))
        object.__setattr__(self, "settings", settings)


@dataclass(frozen=True)
class StudyAttempt:
    """One attempt at one study.

    Parameters
    ----------
    study : CohortStudy
        The study.
    key : str
        Checksum of everything that determines the results.
    number : int
        Number of the attempt, from 1.
    """

    study: CohortStudy
    key: str
    number: int = 1


@dataclass(frozen=True)
class WorkerReady:
    """A worker is ready to run studies.

    Parameters
    ----------
    process : int
        Process ID of the worker.
    """

    process: int


class StudyWorker:
    """One worker process of a cohort.

    Parameters
    ----------
    task : CohortTask
        Task of the cohort.
    """

    def __init__(self, task: CohortTask) -> None:
        self._task = task
        self._package: ModelPackage | None = None

    def ready(self) -> WorkerReady | CSpineError:
        """Load the model; an error is returned, because it would affect every study."""
        try:
            if cspine.__version__ != self._task.version:
                raise CohortError(f"a worker has cspine {cspine.__version__}, the cohort {self._task.version}")
            self._package = load_package(self._task.model)
            if self._package.identity.checksum != self._task.checksum:
                raise CohortError("the model package on a worker differs from that of the cohort")
        except Exception as unexpected:  # Ray would wrap a raised exception
            return as_defect(unexpected)
        return WorkerReady(os.getpid())

    def run(self, attempt: StudyAttempt) -> StudyRecord | CSpineError:
        """Run one study and store its results and its record.

        Parameters
        ----------
        attempt : StudyAttempt
            The attempt.

        Returns
        -------
        StudyRecord or CSpineError
            An error if no study could be written.
        """
        folder, name = self._task.folder, attempt.study.name
        # A worker of a killed cohort may still be running: each attempt has its own folder.
        results = folder.staging / f"{name}-{secrets.token_hex(4)}"
        started = time.perf_counter()
        try:
            try:
                record = self._run_study(attempt, results, started)
                folder.store(record, results)
            except Exception as unexpected:  # one study must not stop the others
                error = as_defect(unexpected)
                if _stops_the_cohort(error):
                    return error
                record = StudyRecord.of_failure(name, attempt.key, error, attempt.number, _since(started))
                folder.store(record, None, discard_previous=error.subject is Subject.IMAGES)
        except CSpineError as error:
            return error
        finally:
            shutil.rmtree(results, ignore_errors=True)
        return record

    def _run_study(self, attempt: StudyAttempt, results: Path, started: float) -> StudyRecord:
        assert self._package is not None
        self._task.folder.refuse_foreign(attempt.study.name)
        with open_input(attempt.study.source) as files, StudyOutput(results) as output:
            summary = run_study(read_headers(files), self._package, self._task.settings, output)
        return StudyRecord(
            name=attempt.study.name, key=attempt.key, attempts=attempt.number, seconds=_since(started), summary=summary
        )


def _stops_the_cohort(error: CSpineError) -> bool:
    """Return whether every study would fail in the same way, for example with a model replaced during the cohort."""
    return isinstance(error, (OutputError, ModelError)) and not isinstance(error, OutputNotEmptyError)


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 1)
