"""What a crash leaves in the spool is put right here, before anything moves."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from cspine.core.errors import SpoolError, WorkerDiedError
from cspine.dicom.clock import Clock
from cspine.service.intake import forming
from cspine.service.queue import durable
from cspine.service.queue.job import Job, State, moment, study_key
from cspine.service.queue.spool import JOB, Spool, read_job

_log = logging.getLogger(__name__)

#: A study that the service did not survive so often is set aside: it may be what kills it.
MOST_CRASHES = 5


def put_right(spool: Spool, now: float) -> None:
    """Bring every job into a state from which it goes on.

    Parameters
    ----------
    spool : Spool
        Claimed by this process.
    now : float
        Seconds since 1970.

    Raises
    ------
    SpoolError
        If the folder cannot be written.
    """
    try:
        with spool.transition():
            _empty(spool.tmp)
            for state in State:
                for name in spool.names(state):
                    _mend(spool, spool.place(state, name), now)
            for job in spool.jobs(State.RUNNING):
                _run_again(spool, job, now)
            for place in spool.forming.iterdir():
                if (place / "input").is_dir():
                    _mend(spool, place, now)
            forming.finish_left(spool, now)
    except OSError as error:
        raise SpoolError(f"the spool cannot be put right: {error.strerror}") from error


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            durable.remove_file(path)


def _mend(spool: Spool, place: Path, now: float) -> None:
    """Make a job.json anew where it is lost: what it held that matters lies in the folder.

    One that is there but cannot be used, of a newer version or on a failing disk, stays as it is, and the job too.
    """
    try:
        read_job(place)
    except SpoolError as error:
        if not _lost(place):
            _log.error("left as it is: %s", error.message, extra={"job": place.name, "code": error.code})
            return
        key = _study_of(place / "input") or place.name.rpartition("-")[2]
        files = list((place / "input").glob("*.dcm"))
        finished = now if place.parent.name in (State.DONE, State.FAILED) else None
        job = Job(
            id=place.name,
            study=key,
            created=moment(now),
            clock=Clock.from_environment().iso,
            instances=len(files),
            finished=finished,
        )
        spool.save(place, job)
        _log.warning("job.json made anew: %s", error.message, extra={"study": job.short_study, "job": job.id})


def _lost(place: Path) -> bool:
    """Tell whether the job.json of a folder is absent or torn."""
    try:
        return not isinstance(json.loads((place / JOB).read_bytes()), dict)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    except ValueError:
        return True


def _study_of(instances: Path) -> str | None:
    for path in sorted(instances.glob("*.dcm")):
        try:
            header = dcmread(path, stop_before_pixels=True, specific_tags=["StudyInstanceUID"])
            return study_key(str(header.StudyInstanceUID))
        except (InvalidDicomError, AttributeError, OSError, ValueError):
            continue
    return None


def _run_again(spool: Spool, job: Job, now: float) -> None:
    """Let a job that was running wait again, with its clock; what it wrote may be half on the disk and goes."""
    job = job.model_copy(update={"crashes": job.crashes + 1, "destinations": {}, "reason": None})
    told = {"study": job.short_study, "job": job.id}
    durable.remove_folder(spool.place(State.RUNNING, job.id) / "results", spool.tmp)
    if job.crashes >= MOST_CRASHES:
        error = WorkerDiedError(f"the service ended {job.crashes} times while it ran this study")
        _log.error("set aside: %s", error.message, extra=told | {"code": error.code})
        spool.move(forming.failed(job, error, now), State.RUNNING, State.FAILED)
    else:
        _log.warning("runs again after a crash", extra=told | {"crashes": job.crashes})
        spool.move(job, State.RUNNING, State.WAITING)
