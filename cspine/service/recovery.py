"""Recovery of the spool after a crash, before the service starts to work."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from pydicom import dcmread

from cspine.core.errors import SpoolError, WorkerDiedError
from cspine.dicom.clock import Clock
from cspine.io.foreign import raise_system_limit
from cspine.service.intake import assembly
from cspine.service.intake.instances import INCOMPLETE
from cspine.service.queue import durable
from cspine.service.queue.job import Job, State, iso_time, study_key
from cspine.service.queue.spool import JOB_FILE, Spool, read_job

_log = logging.getLogger(__name__)

#: A study during whose runs the service crashed this often fails: it may be the cause.
MAX_CRASHES = 5


def recover(spool: Spool, now: float) -> None:
    """Repair every job so that it can proceed.

    Parameters
    ----------
    spool : Spool
        Spool, locked by this process.
    now : float
        Seconds since 1970.

    Raises
    ------
    SpoolError
        If the spool cannot be written.
    """
    try:
        with spool.transition():
            _clear(spool.tmp)
            _mark_interrupted(spool)
            for state in State:
                for name in spool.names(state):
                    _repair_record(spool, spool.job_folder(state, name), now)
            for job in spool.jobs(State.RUNNING):
                _requeue_after_crash(spool, job, now)
            for folder in spool.assembling.iterdir():
                if (folder / "input").is_dir():
                    _repair_record(spool, folder, now)
            assembly.resume_assembly(spool, now)
    except OSError as error:
        raise SpoolError(f"cannot recover the spool: {error.strerror}") from error


def _mark_interrupted(spool: Spool) -> None:
    """Mark the studies as incomplete that were being received when the service ended."""
    for transfer in spool.receiving.iterdir():
        folder = spool.incoming / transfer.name
        if folder.is_dir():
            durable.make_file(folder / INCOMPLETE)
            _log.warning("transfer interrupted by the end of the service", extra={"study": transfer.name[:12]})
        durable.remove_file(transfer)


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            durable.remove_file(path)


def _repair_record(spool: Spool, folder: Path, now: float) -> None:
    """Recreate a missing or truncated job.json from the content of the job's folder.

    One that exists but is unusable, from a newer version or on a failing disk, is left unchanged, as is the job.
    """
    try:
        read_job(folder)
    except SpoolError as error:
        if not _is_lost(folder):
            _log.error("job left unchanged: %s", error.message, extra={"job": folder.name, "code": error.code})
            return
        key = _study_key_in(folder / "input") or folder.name.rpartition("-")[2]
        files = list((folder / "input").glob("*.dcm"))
        finished = now if folder.parent.name in (State.DONE, State.FAILED) else None
        job = Job(
            id=folder.name,
            study=key,
            created=iso_time(now),
            clock=Clock.from_environment().iso,
            instances=len(files),
            finished=finished,
        )
        spool.save(folder, job)
        _log.warning("job.json recreated: %s", error.message, extra={"study": job.short_study, "job": job.id})


def _is_lost(folder: Path) -> bool:
    """Return whether the job.json of a folder is missing or truncated."""
    try:
        return not isinstance(json.loads((folder / JOB_FILE).read_bytes()), dict)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    except ValueError:
        return True


def _study_key_in(instances: Path) -> str | None:
    uids = (_study_uid(path) for path in sorted(instances.glob("*.dcm")))
    return next((study_key(uid) for uid in uids if uid), None)


def _study_uid(path: Path) -> str | None:
    try:
        header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
        return str(header.StudyInstanceUID)
    except Exception as error:  # pydicom parsers raise many types of exception
        raise_system_limit(error)
        return None


def _requeue_after_crash(spool: Spool, job: Job, now: float) -> None:
    """Move a running job back to ``waiting/`` with its clock; its partial results are removed."""
    job = job.model_copy(update={"crashes": job.crashes + 1, "destinations": {}, "reason": None})
    log_fields = {"study": job.short_study, "job": job.id}
    durable.remove_folder(spool.job_folder(State.RUNNING, job.id) / "results", spool.tmp)
    if job.crashes >= MAX_CRASHES:
        error = WorkerDiedError(f"the service crashed {job.crashes} times while it ran this study")
        _log.error("job failed: %s", error.message, extra=log_fields | {"code": error.code})
        spool.move(assembly.with_failure(job, error, now), State.RUNNING, State.FAILED)
    else:
        _log.warning("job requeued after a crash", extra=log_fields | {"crashes": job.crashes})
        spool.move(job, State.RUNNING, State.WAITING)
