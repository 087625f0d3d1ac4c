"""What a worker of a cohort does: it holds the checked model and walks studies as `cspine run` does."""

from __future__ import annotations

import os
import secrets
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import cspine
from cspine.cohort.folder import CohortFolder, StudyRecord
from cspine.cohort.studies import CohortStudy
from cspine.core.errors import CohortError, CSpineError, OutputError, OutputNotEmptyError, Subject, as_defect
from cspine.dicom.archive import open_input
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage, load_package
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import read_headers
from cspine.pipeline.study import run_study


@dataclass(frozen=True)
class CohortTask:
    """What is the same for every study.

    Parameters
    ----------
    model : Path
        Folder of the model package, on every machine of a cluster.
    checksum : str
        Checksum of that package.
    version : str
        Version of cspine.
    settings : RunSettings
        Settings of each run, with the cohort's clock.
    folder : CohortFolder
        Where results go.
    threads : int
        Threads of one study on a CPU.
    """

    model: Path
    checksum: str
    settings: RunSettings
    folder: CohortFolder
    threads: int = 1
    version: str = field(default=cspine.__version__)


@dataclass(frozen=True)
class StudyAttempt:
    """One try of one study.

    Parameters
    ----------
    study : CohortStudy
        The study.
    key : str
        Checksum of all that decides about its results.
    tries : int
        Number of this try, from 1.
    """

    study: CohortStudy
    key: str
    tries: int = 1


@dataclass(frozen=True)
class Ready:
    """A worker can take studies.

    Parameters
    ----------
    process : int
        Its process id.
    """

    process: int


class StudyWorker:
    """One process of a cohort.

    Parameters
    ----------
    task : CohortTask
        What is the same for every study.
    """

    def __init__(self, task: CohortTask) -> None:
        self._task = task
        self._package: ModelPackage | None = None

    def ready(self) -> Ready | CSpineError:
        """Load the model; an error is returned, for it would stop every study."""
        try:
            if cspine.__version__ != self._task.version:
                raise CohortError(f"a worker has cspine {cspine.__version__}, the cohort {self._task.version}")
            self._package = load_package(self._task.model)
            if self._package.identity.checksum != self._task.checksum:
                raise CohortError("a worker finds another model in the folder of the model")
        except Exception as unforeseen:  # it would be wrapped on its way
            return as_defect(unforeseen)
        return Ready(os.getpid())

    def run(self, job: StudyAttempt) -> StudyRecord | CSpineError:
        """Walk one study and put its results and its record in place.

        Parameters
        ----------
        job : StudyAttempt
            The study.

        Returns
        -------
        StudyRecord or CSpineError
            An error where no study could be written.
        """
        folder, name = self._task.folder, job.study.name
        # A worker of a killed cohort may live a moment longer: each has a folder of its own.
        results = folder.unfinished / f"{name}-{secrets.token_hex(4)}"
        begun = time.perf_counter()
        try:
            try:
                record = self._walked(job, results, begun)
                folder.put(record, results)
            except Exception as unforeseen:  # one study must not stop the others
                error = as_defect(unforeseen)
                if isinstance(error, OutputError) and not isinstance(error, OutputNotEmptyError):
                    return error
                record = StudyRecord.of_failure(name, job.key, error, job.tries, _since(begun))
                folder.put(record, None, outdated=error.subject is Subject.IMAGES)
        except CSpineError as error:
            return error
        finally:
            shutil.rmtree(results, ignore_errors=True)
        return record

    def _walked(self, job: StudyAttempt, results: Path, begun: float) -> StudyRecord:
        assert self._package is not None
        self._task.folder.refuse_foreign(job.study.name)
        with open_input(job.study.source) as files, StudyOutput(results) as output:
            summary = run_study(read_headers(files), self._package, self._task.settings, output)
        return StudyRecord(name=job.study.name, key=job.key, tries=job.tries, seconds=_since(begun), summary=summary)


def _since(begun: float) -> float:
    return round(time.perf_counter() - begun, 1)
