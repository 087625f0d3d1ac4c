"""The folder of the queue: where everything lies, who may change it, and how a job is read, written and moved.

SPOOL/lock               held by the one service that uses the spool
SPOOL/transitions        held, for moments, by whoever moves a job: the service or `cspine queue`
SPOOL/tmp/               unfinished files; emptied at start
SPOOL/fetching/          studies on their way from a DICOMweb server
SPOOL/polled/            what was fetched of which study
SPOOL/incoming/STUDY/    instances of a study that is still arriving
SPOOL/forming/JOB/       a study that is being made a job
SPOOL/waiting, running, sending, done, failed/JOB/{job.json, input/, results/}
"""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import ValidationError

from cspine.core.errors import SpoolError
from cspine.io.workspace import locked, locked_when_free
from cspine.service.queue import durable
from cspine.service.queue.job import Job, State

_log = logging.getLogger(__name__)
#: Name of the file that says what a job is.
JOB = "job.json"


class Spool:
    """The folder of the queue.

    Parameters
    ----------
    folder : Path
        Made where it is absent.

    Raises
    ------
    SpoolError
        If it cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = folder / "tmp"
        self.fetching = folder / "fetching"
        self.polled = folder / "polled"
        self.incoming = folder / "incoming"
        self.forming = folder / "forming"
        self._claimed = ExitStack()
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._told: set[str] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for part in (self.tmp, self.fetching, self.polled, self.incoming, self.forming):
                durable.make_folder(part)
            for state in State:
                durable.make_folder(folder / state)
        except OSError as error:
            raise SpoolError(f"the spool folder cannot be written: {error.strerror}") from error

    def claim(self) -> None:
        """Make this process the one service of the spool, until `release` or its end.

        Raises
        ------
        SpoolError
            If another service has it.
        """
        self._claimed.enter_context(locked(self.folder / "lock", SpoolError("another service is using the spool")))

    def release(self) -> None:
        """Give the spool up."""
        self._claimed.close()

    @contextmanager
    def transition(self) -> Iterator[None]:
        """Hold the queue still: nobody else, in this process or another, moves or rewrites a job meanwhile."""
        with self._thread_lock:
            if self._depth:
                yield
                return
            with locked_when_free(self.folder / "transitions"):
                self._depth += 1
                try:
                    yield
                finally:
                    self._depth -= 1

    # --- jobs ---------------------------------------------------------------------------------------------------------

    def place(self, state: State, job: str) -> Path:
        """Return the folder of a job in a state."""
        return self.folder / state / job

    def names(self, state: State) -> list[str]:
        """Return the names of the jobs in a state, oldest first."""
        return sorted(path.name for path in (self.folder / state).iterdir() if path.is_dir())

    def read(self, state: State, job: str) -> Job:
        """Read a job.

        Raises
        ------
        SpoolError
            If it is not there, or its job.json cannot be used.
        """
        return read_job(self.place(state, job))

    def jobs(self, state: State, ending: str = "") -> list[Job]:
        """Return the jobs in a state, oldest first; one that cannot be read, or has just moved on, is left out.

        Parameters
        ----------
        state : State
            The state.
        ending : str, optional
            Only those whose names end so.
        """
        found = []
        for name in self.names(state):
            if not name.endswith(ending):
                continue
            try:
                found.append(self.read(state, name))
            except SpoolError as error:
                if self.place(state, name).exists() and name not in self._told:
                    self._told.add(name)
                    _log.warning("job %s cannot be read: %s", name, error.message)
        return found

    def find(self, job: str) -> State:
        """Return the state of a job.

        Raises
        ------
        SpoolError
            If there is no such job.
        """
        for state in State:
            if job and "/" not in job and self.place(state, job).is_dir():
                return state
        raise SpoolError("no such job in the spool", advice="`cspine queue list SPOOL` shows the jobs.")

    def of_study(self, study: str) -> list[tuple[State, Job]]:
        """Return all jobs of a study with their states, oldest first.

        Parameters
        ----------
        study : str
            Key of the study.
        """
        mark = f"-{study[:16]}"
        found = [(state, job) for state in State for job in self.jobs(state, mark) if job.study == study]
        return sorted(found, key=lambda pair: pair[1].id)

    def save(self, folder: Path, job: Job) -> None:
        """Write a job's job.json into its folder."""
        text = job.model_dump_json(indent=2) + "\n"
        durable.write(folder / JOB, text.encode("utf-8"), self.tmp)

    def move(self, job: Job, source: State, target: State) -> None:
        """Write a job and bring it to another state; a crash between the two leaves it in the old one."""
        self.save(self.place(source, job.id), job)
        durable.move(self.place(source, job.id), self.place(target, job.id))

    def remove(self, state: State, job: str) -> None:
        """Remove a job with all its files."""
        durable.remove_folder(self.place(state, job), self.tmp)

    # --- size ---------------------------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Return the size of all files in the spool."""
        return durable.tree_bytes(self.folder)

    def free_bytes(self) -> int:
        """Return what is free on the spool's disk."""
        return shutil.disk_usage(self.folder).free


def read_job(folder: Path) -> Job:
    """Read the job.json of a job's folder; errors as `Spool.read`."""
    try:
        return Job.model_validate_json((folder / JOB).read_bytes())
    except OSError as error:
        raise SpoolError(f"job.json cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise SpoolError(f"job.json does not follow its schema ({error.error_count()} faults)") from error
