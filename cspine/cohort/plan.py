"""A cohort: many studies, each as `cspine run` would do it, on workers that may die, in calls that may be interrupted.

How workers are started and spoken to is `ray_pool`'s; this module only knows the pool that it is given.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from cspine.cohort.folder import CohortFolder, StudyRecord
from cspine.cohort.studies import CohortStudy, readable
from cspine.cohort.worker import CohortTask, Ready, StudyAttempt
from cspine.core.errors import CohortError, CSpineError, WorkerDiedError, hashed
from cspine.core.progress import ProgressCallback
from cspine.io.workspace import fingerprint
from cspine.models.package import sha256_of

_log = logging.getLogger(__name__)

#: A study is tried again once where its worker died; another death is the study's own doing.
TRIES = 2
# Workers that die before they are ready, one after another: more of them would not help.
_DEATHS_AT_START = 3
_POLL_S = 1.0


@dataclass(frozen=True)
class Answer:
    """What a pool heard of a worker.

    Parameters
    ----------
    worker : int
        Number of the worker.
    content : Ready, StudyRecord, CSpineError or None
        None: the worker died.
    """

    worker: int
    content: Ready | StudyRecord | CSpineError | None


class Pool(Protocol):
    """Workers, each with at most one study at a time."""

    def start(self) -> int:
        """Start a worker and return its number; `wait` tells when it is ready."""

    def submit(self, worker: int, job: StudyAttempt) -> None:
        """Give a study to a worker that has none."""

    def wait(self, seconds: float) -> Sequence[Answer]:
        """Return what was heard, after ``seconds`` at most."""


@dataclass(frozen=True)
class Plan:
    """What a call has to do.

    Parameters
    ----------
    jobs : tuple of StudyAttempt
        Studies to walk.
    kept : tuple of StudyRecord
        Studies that an earlier call finished.
    """

    jobs: tuple[StudyAttempt, ...]
    kept: tuple[StudyRecord, ...]


def make_plan(
    studies: Sequence[CohortStudy], task: CohortTask, *, retry_failed: bool = False, anew: bool = False
) -> Plan:
    """Find out what is left to do.

    Parameters
    ----------
    studies : sequence of CohortStudy
        The cohort.
    task : CohortTask
        Model, settings, output folder.
    retry_failed : bool
        Walk studies that failed again.
    anew : bool
        Walk every study again.

    Raises
    ------
    CohortError
        If the rules file cannot be read, or the input of studies that have results is not there.
    """
    common = _common_key(task)
    _refuse_vanished(studies, task.folder)
    jobs, kept = [], []
    for study in studies:
        key = hashlib.sha256(f"{common}\n{fingerprint([study.source])}".encode()).hexdigest()
        record = None if anew else task.folder.kept_record(study.name, key)
        if record is None or (retry_failed and record.outcome == "failed"):
            jobs.append(StudyAttempt(study, key))
        else:
            kept.append(record)
    return Plan(tuple(jobs), tuple(kept))


def _refuse_vanished(studies: Sequence[CohortStudy], folder: CohortFolder) -> None:
    """Stop before a share that is not mounted makes failures of studies that were done."""
    gone = [study.name for study in studies if not readable(study.source) and _done(folder.read_record(study.name))]
    if gone:
        raise CohortError(
            f"the input of {len(gone)} studies that have results cannot be read any more",
            advice="Is a share not mounted? Nothing was begun. Mount it, or take them off the list.",
        )


def _done(record: StudyRecord | None) -> bool:
    return record is not None and record.outcome == "ok"


def _common_key(task: CohortTask) -> str:
    settings = task.settings
    try:
        rules = sha256_of(settings.rules_file) if settings.rules_file else ""
    except OSError as error:
        raise CohortError(f"the rules file cannot be read: {error.strerror}") from error
    parts = [task.version, task.checksum, settings.clock.iso, settings.as_text(), rules]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def records_of(plan: Plan, folder: CohortFolder) -> tuple[StudyRecord, ...]:
    """Return the records of a plan's studies that hold now, ordered by name: all of them, or as far as it came.

    Parameters
    ----------
    plan : Plan
        What was to do.
    folder : CohortFolder
        Output folder.
    """
    done = (folder.kept_record(job.study.name, job.key) for job in plan.jobs)
    records = [*plan.kept, *(record for record in done if record is not None)]
    return tuple(sorted(records, key=lambda record: record.name))


def run_plan(plan: Plan, pool: Pool, workers: int, task: CohortTask, tell: ProgressCallback) -> None:
    """Walk all studies of a plan; `records_of` tells what became of them.

    A worker gets its next study when it has finished one, so never more than ``workers`` are begun.

    Parameters
    ----------
    plan : Plan
        What to do.
    pool : Pool
        Starts workers.
    workers : int
        How many of them.
    task : CohortTask
        Model, settings, output folder.
    tell : callable
        Told the studies done and all studies.

    Raises
    ------
    CSpineError
        What would stop every study: model, device, output folder; CohortError if no worker lives.
    """
    run = _Run(pool, task, deque(plan.jobs), len(plan.kept))
    whole = len(plan.jobs) + len(plan.kept)
    tell(run.done, whole)
    for _ in range(min(workers, len(plan.jobs))):
        pool.start()
    while run.done < whole:
        for answer in pool.wait(_POLL_S):
            run.hear(answer)
            tell(run.done, whole)


@dataclass
class _Run:
    pool: Pool
    task: CohortTask
    waiting: deque[StudyAttempt]
    done: int
    begun: dict[int, StudyAttempt] = field(default_factory=dict)
    idle: list[int] = field(default_factory=list)
    deaths_at_start: int = 0

    def hear(self, answer: Answer) -> None:
        """Take in what a worker says, then give studies to the workers that have none."""
        job = self.begun.pop(answer.worker, None)
        if isinstance(answer.content, CSpineError):
            raise answer.content
        if answer.content is None:
            self._bury(job)
        else:
            self.deaths_at_start = 0
            self.idle.append(answer.worker)
            if isinstance(answer.content, StudyRecord):
                self._note(answer.content)
        while self.waiting and self.idle:
            worker = self.idle.pop(0)
            self.begun[worker] = self.waiting.popleft()
            self.pool.submit(worker, self.begun[worker])

    def _bury(self, job: StudyAttempt | None) -> None:
        """Put a new worker in the place of a dead one; its study is tried again, or has failed."""
        if job is None:
            self.deaths_at_start += 1
            if self.deaths_at_start >= _DEATHS_AT_START:
                raise CohortError(
                    f"{self.deaths_at_start} workers one after another died at their start",
                    advice="Mostly memory, or cspine is not installed on a machine of the cluster: "
                    "`cspine doctor` there tells more; --workers takes fewer.",
                )
        else:
            _log.warning("study %s: its worker died in try %d", hashed(job.study.name), job.tries)
            if job.tries < TRIES:
                self.waiting.appendleft(replace(job, tries=job.tries + 1))
            else:
                error = WorkerDiedError(f"the worker died {job.tries} times on this study")
                record = StudyRecord.of_failure(job.study.name, job.key, error, job.tries, 0.0)
                self.task.folder.put(record, None)
                self._note(record)
        if self.waiting:
            self.pool.start()

    def _note(self, record: StudyRecord) -> None:
        self.done += 1
        if record.summary is None:
            _log.warning("study %s: failed, %s", hashed(record.name), record.code)
        else:
            levels = [vertebra.level for vertebra in record.summary.vertebrae]
            _log.info("study %s: %s-%s, %.1f s", hashed(record.name), levels[0], levels[-1], record.seconds)
