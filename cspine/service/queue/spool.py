"""The folder of the queue: its layout, its locks, and how a job is read, written and moved.

SPOOL/lock               locked by the service that uses the spool
SPOOL/transitions        locked while the service or `cspine queue` moves a job
SPOOL/tmp/               temporary files; emptied at start
SPOOL/fetching/          studies that are being fetched from a DICOMweb server
SPOOL/polled/            records of fetched studies
SPOOL/receiving/STUDY    an empty file for each study with an open association
SPOOL/incoming/STUDY/    instances of a study that is being received
SPOOL/assembling/JOB/    a complete study that becomes a job
SPOOL/waiting, running, sending, done, failed/JOB/{job.json, input/, results/}
"""

from __future__ import annotations

import logging
import os
import shutil
import stat
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
#: Name of the file that describes a job.
JOB_FILE = "job.json"


class Spool:
    """The folder of the queue.

    Parameters
    ----------
    folder : Path
        Created if it does not exist.

    Raises
    ------
    SpoolError
        If the folder cannot be written, or other users can change it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = folder / "tmp"
        self.fetching = folder / "fetching"
        self.polled = folder / "polled"
        self.receiving = folder / "receiving"
        self.incoming = folder / "incoming"
        self.assembling = folder / "assembling"
        self._claimed = ExitStack()
        self._thread_lock = threading.RLock()
        self._depth = 0
        self._reported: set[str] = set()
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            make_private(folder)
            for part in (self.tmp, self.fetching, self.polled, self.receiving, self.incoming, self.assembling):
                durable.make_folder(part)
            for state in State:
                durable.make_folder(folder / state)
        except OSError as error:
            raise SpoolError(f"cannot write the spool folder: {error.strerror}") from error

    def lock(self) -> None:
        """Lock the spool for this process, until `release` or the end of the process.

        Raises
        ------
        SpoolError
            If another service has locked it.
        """
        self._claimed.enter_context(locked(self.folder / "lock", SpoolError("another service is using the spool")))

    def release(self) -> None:
        """Release the spool."""
        self._claimed.close()

    @contextmanager
    def transition(self) -> Iterator[None]:
        """Lock the queue: no other thread or process moves or rewrites a job in the meantime."""
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

    def job_folder(self, state: State, job: str) -> Path:
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
            If the job does not exist or its job.json is invalid.
        """
        return read_job(self.job_folder(state, job))

    def jobs(self, state: State, suffix: str = "") -> list[Job]:
        """Return the jobs in a state, oldest first; jobs that cannot be read or have just moved are omitted.

        Parameters
        ----------
        state : State
            The state.
        suffix : str, optional
            Return only jobs whose names have this suffix.
        """
        found = []
        for name in self.names(state):
            if not name.endswith(suffix):
                continue
            try:
                found.append(self.read(state, name))
            except SpoolError as error:
                if self.job_folder(state, name).exists() and name not in self._reported:
                    self._reported.add(name)
                    _log.warning("cannot read job %s: %s", name, error.message)
        return found

    def find(self, job: str) -> State:
        """Return the state of a job.

        Raises
        ------
        SpoolError
            If there is no such job.
        """
        for state in State:
            if job and "/" not in job and self.job_folder(state, job).is_dir():
                return state
        raise SpoolError("no such job in the spool", advice="`cspine queue list SPOOL` lists the jobs.")

    def of_study(self, study: str) -> list[tuple[State, Job]]:
        """Return all jobs of a study with their states, oldest first.

        Parameters
        ----------
        study : str
            Key of the study.
        """
        suffix = f"-{study[:16]}"
        found = [(state, job) for state in State for job in self.jobs(state, suffix) if job.study == study]
        return sorted(found, key=lambda pair: pair[1].id)

    def save(self, folder: Path, job: Job) -> None:
        """Write the job.json of a job to its folder."""
        text = job.model_dump_json(indent=2) + "\n"
        durable.write(folder / JOB_FILE, text.encode("utf-8"), self.tmp)

    def move(self, job: Job, source: State, target: State) -> None:
        """Write a job and move it to another state; a crash in between leaves it in the old state."""
        self.save(self.job_folder(source, job.id), job)
        durable.move(self.job_folder(source, job.id), self.job_folder(target, job.id))

    def remove(self, state: State, job: str) -> None:
        """Remove a job with all its files."""
        durable.remove_folder(self.job_folder(state, job), self.tmp)

    # --- size ---------------------------------------------------------------------------------------------------------

    def used_bytes(self) -> int:
        """Return the size of all files in the spool."""
        return durable.tree_bytes(self.folder)

    def free_bytes(self) -> int:
        """Return the free space on the disk of the spool."""
        return shutil.disk_usage(self.folder).free


def refuse_shared(folder: Path) -> None:
    """Raise SpoolError if the folder of the queue belongs to another user, and every user can write it."""
    status = folder.stat()
    if status.st_uid != os.geteuid() and status.st_mode & stat.S_IWOTH:
        raise SpoolError(
            "every user can write the spool folder, which belongs to another user",
            advice="Name a folder below it, which the service makes for itself, or change its owner.",
        )


def make_private(folder: Path) -> None:
    """Let only the user of the service read the folder of the queue: it contains identified images, and locks.

    Raises
    ------
    SpoolError
        As `refuse_shared`.
    OSError
        If its mode cannot be set.
    """
    refuse_shared(folder)
    status = folder.stat()
    if status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) & 0o077:
        folder.chmod(0o700)
        _log.warning("the spool folder was open to other users; its mode is 0700 now")


def read_job(folder: Path) -> Job:
    """Read the job.json in the folder of a job; raises as `Spool.read` does."""
    try:
        return Job.model_validate_json((folder / JOB_FILE).read_bytes())
    except OSError as error:
        raise SpoolError(f"cannot read job.json: {error.strerror}") from error
    except ValidationError as error:
        raise SpoolError(f"job.json violates its schema ({error.error_count()} errors)") from error
