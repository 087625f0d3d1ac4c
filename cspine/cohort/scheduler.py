"""Scheduling of a cohort: which studies to run, on workers that may die, in calls that may be interrupted.

`ray_pool` starts the workers and communicates with them; this module only uses the `Pool` protocol.
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
from cspine.cohort.studies import CohortStudy, is_readable
from cspine.cohort.worker import CohortTask, StudyAttempt, WorkerReady
from cspine.core.errors import CohortError, CSpineError, WorkerDiedError, hashed
from cspine.core.progress import ProgressCallback
from cspine.io.files import sha256_of
from cspine.io.workspace import fingerprint

_log = logging.getLogger(__name__)

#: Attempts at a study whose worker dies; after the second death the study itself is the likely cause.
MAX_ATTEMPTS = 2
# Consecutive workers that may die before they are ready.
_MAX_DEATHS_AT_START = 3
_POLL_S = 1.0


@dataclass(frozen=True)
class WorkerEvent:
    """An event of a worker.

    Parameters
    ----------
    worker : int
        Number of the worker.
    content : WorkerReady, StudyRecord, CSpineError or None
        None if the worker died.
    """

    worker: int
    content: WorkerReady | StudyRecord | CSpineError | None


class Pool(Protocol):
    """Workers, each with at most one study at a time."""

    def start(self) -> int:
        """Start a worker and return its number; `wait` returns an event when it is ready."""

    def submit(self, worker: int, attempt: StudyAttempt) -> None:
        """Submit an attempt to an idle worker."""

    def wait(self, seconds: float) -> Sequence[WorkerEvent]:
        """Return the events that occur within ``seconds``."""


@dataclass(frozen=True)
class Plan:
    """The work of one call.

    Parameters
    ----------
    pending : tuple of StudyAttempt
        Studies to run.
    cached : tuple of StudyRecord
        Records of studies that an earlier call finished.
    """

    pending: tuple[StudyAttempt, ...]
    cached: tuple[StudyRecord, ...]


def make_plan(
    studies: Sequence[CohortStudy], task: CohortTask, *, retry_failed: bool = False, recompute: bool = False
) -> Plan:
    """Determine which studies have to be run.

    Parameters
    ----------
    studies : sequence of CohortStudy
        The studies of the cohort.
    task : CohortTask
        Model, settings, output folder.
    retry_failed : bool
        Run failed studies again.
    recompute : bool
        Run every study again.

    Raises
    ------
    CohortError
        If the rules file cannot be read, or the input of studies with results is missing.
    """
    common = _common_key(task)
    _require_inputs(studies, task.folder)
    pending, cached = [], []
    for study in studies:
        key = hashlib.sha256(f"{common}\n{fingerprint([study.source])}".encode()).hexdigest()
        record = None if recompute else task.folder.cached_record(study.name, key)
        if record is None or (retry_failed and record.outcome == "failed"):
            pending.append(StudyAttempt(study, key))
        else:
            cached.append(record)
    return Plan(tuple(pending), tuple(cached))


def _require_inputs(studies: Sequence[CohortStudy], folder: CohortFolder) -> None:
    """Raise CohortError if the input of finished studies is missing, for example on an unmounted share."""
    missing = [
        study.name for study in studies if not is_readable(study.source) and _done(folder.read_record(study.name))
    ]
    if missing:
        raise CohortError(
            f"cannot read the input of {len(missing)} studies that have results",
            advice="No study was started. Mount the share, or remove the studies from the list.",
        )


def _done(record: StudyRecord | None) -> bool:
    return record is not None and record.outcome == "ok"


def _common_key(task: CohortTask) -> str:
    settings = task.settings
    try:
        rules = sha256_of(settings.rules_file) if settings.rules_file else ""
    except OSError as error:
        raise CohortError(f"cannot read the rules file: {error.strerror}") from error
    # Not in `as_text`, because they do not change the labels: what is written, in which formats, and whether at all.
    written = [settings.outputs, settings.fail_on, repr(settings.surfaces), repr(settings.elements)]
    parts = [task.version, task.checksum, settings.clock.iso, settings.as_text(), rules, written]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def records_of(plan: Plan, folder: CohortFolder) -> tuple[StudyRecord, ...]:
    """Return the valid records of the studies of a plan, ordered by name.

    Parameters
    ----------
    plan : Plan
        Plan of the call.
    folder : CohortFolder
        Output folder.
    """
    done = (folder.cached_record(attempt.study.name, attempt.key) for attempt in plan.pending)
    records = [*plan.cached, *(record for record in done if record is not None)]
    return tuple(sorted(records, key=lambda record: record.name))


def run_plan(plan: Plan, pool: Pool, workers: int, task: CohortTask, on_progress: ProgressCallback) -> None:
    """Run all studies of a plan; `records_of` returns the results.

    A worker gets its next study when it has finished one, so at most ``workers`` studies are active.

    Parameters
    ----------
    plan : Plan
        Plan of the call.
    pool : Pool
        Pool of workers.
    workers : int
        Number of workers.
    task : CohortTask
        Model, settings, output folder.
    on_progress : callable
        Called with the number of finished studies and of all studies.

    Raises
    ------
    CSpineError
        An error that affects every study: model, device, output folder; CohortError if no worker starts.
    """
    run = _Run(pool, task, deque(plan.pending), len(plan.cached))
    total = len(plan.pending) + len(plan.cached)
    on_progress(run.done, total)
    for _ in range(min(workers, len(plan.pending))):
        pool.start()
    while run.done < total:
        for event in pool.wait(_POLL_S):
            run.handle(event)
            on_progress(run.done, total)


@dataclass
class _Run:
    pool: Pool
    task: CohortTask
    waiting: deque[StudyAttempt]
    done: int
    active: dict[int, StudyAttempt] = field(default_factory=dict)
    idle: list[int] = field(default_factory=list)
    deaths_at_start: int = 0

    def handle(self, event: WorkerEvent) -> None:
        """Handle an event, then submit studies to the idle workers."""
        attempt = self.active.pop(event.worker, None)
        if isinstance(event.content, CSpineError):
            raise event.content
        if event.content is None:
            self._replace_worker(attempt)
        else:
            self.deaths_at_start = 0
            self.idle.append(event.worker)
            if isinstance(event.content, StudyRecord):
                self._record(event.content)
        while self.waiting and self.idle:
            worker = self.idle.pop(0)
            self.active[worker] = self.waiting.popleft()
            self.pool.submit(worker, self.active[worker])

    def _replace_worker(self, attempt: StudyAttempt | None) -> None:
        """Replace a dead worker; its study is retried or has failed."""
        if attempt is None:
            self.deaths_at_start += 1
            if self.deaths_at_start >= _MAX_DEATHS_AT_START:
                raise CohortError(
                    f"{self.deaths_at_start} consecutive workers died during start-up",
                    advice="Usually out of memory, or cspine is missing on a machine of the cluster: "
                    "run `cspine doctor` there, or use fewer `workers`.",
                )
        else:
            _log.warning("study %s: worker died in attempt %d", hashed(attempt.study.name), attempt.number)
            if attempt.number < MAX_ATTEMPTS:
                self.waiting.appendleft(replace(attempt, number=attempt.number + 1))
            else:
                error = WorkerDiedError(f"the worker died {attempt.number} times on this study")
                record = StudyRecord.of_failure(attempt.study.name, attempt.key, error, attempt.number, 0.0)
                self.task.folder.store(record, None)
                self._record(record)
        if self.waiting:
            self.pool.start()

    def _record(self, record: StudyRecord) -> None:
        self.done += 1
        if record.summary is None:
            _log.warning("study %s: failed, %s", hashed(record.name), record.code)
        else:
            levels = [vertebra.level for vertebra in record.summary.vertebrae]
            _log.info("study %s: %s-%s, %.1f s", hashed(record.name), levels[0], levels[-1], record.seconds)
