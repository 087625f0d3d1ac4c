"""Turn a complete study into a job, and handle instances that arrive after the study was run.

Only CT images start a run. If an earlier job has all of them, its results are delivered again; new ones start a job
with all instances of the study, including its earlier results.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cspine.core.errors import CSpineError, NoSuitableSeriesError, SpoolError
from cspine.dicom.clock import Clock
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import INCOMPLETE, file_name, is_ct, same_content, sop_uid_of
from cspine.service.queue import durable, transitions
from cspine.service.queue.checksums import altered_results
from cspine.service.queue.job import FailureReason, Job, State, iso_time, job_id
from cspine.service.queue.spool import Spool, read_job

_log = logging.getLogger(__name__)


def assemble_job(spool: Spool, inbox: Inbox, study: str, now: float) -> bool:
    """Create a job from a complete study.

    Parameters
    ----------
    spool, inbox : Spool, Inbox
        The queue and its inbox.
    study : str
        Key of the study.
    now : float
        Seconds since 1970.

    Returns
    -------
    bool
        False if the study has to wait: an earlier job is running, or a new transfer has begun.
    """
    with spool.transition():
        if any(state is State.RUNNING for state, _ in spool.of_study(study)):
            return False
        ids = [job.id for _, job in spool.of_study(study)]
        name = job_id(study, now, after=max(ids, default=""))
        job = Job(id=name, study=study, created=iso_time(now), clock=Clock.from_environment().iso)
        folder = spool.assembling / job.id
        durable.make_folder(folder)
        spool.save(folder, job)
        if not inbox.move_to(study, folder / "input"):
            durable.remove_folder(folder, spool.tmp)
            return False
        finish_assembly(spool, folder, now)
        return True


def resume_assembly(spool: Spool, now: float) -> None:
    """Enqueue the jobs that a crash or a full disk left in ``assembling/``."""
    with spool.transition():
        for folder in sorted(spool.assembling.iterdir()):
            if not (folder / "input").is_dir():  # nothing was moved to it
                durable.remove_folder(folder, spool.tmp)
                continue
            try:
                if not any(state is State.RUNNING for state, _ in spool.of_study(read_job(folder).study)):
                    finish_assembly(spool, folder, now)
            except (SpoolError, OSError) as error:  # one study must not block the others
                _log.error("job assembly failed", extra={"job": folder.name}, exc_info=error)


def finish_assembly(spool: Spool, folder: Path, now: float) -> None:
    """Move a job from ``assembling/`` to the queue; may be repeated after a crash at any point.

    Parameters
    ----------
    spool : Spool
        Spool; no job of the study is running.
    folder : Path
        Folder of the job in ``assembling/``.
    now : float
        Seconds since 1970.
    """
    job = read_job(folder)
    instances = folder / "input"
    if not _count(instances):
        durable.remove_folder(folder, spool.tmp)
        return
    interrupted = job.incomplete or (instances / INCOMPLETE).exists()
    incomplete = interrupted
    images = [path for path in sorted(instances.glob("*.dcm")) if is_ct(path)]
    earlier = spool.of_study(job.study)
    log_fields = {"study": job.short_study, "job": job.id}
    if not earlier:
        job = job.model_copy(update={"incomplete": incomplete, "instances": _count(instances)})
        if images:
            _log.info("study complete", extra=log_fields | {"instances": job.instances, "incomplete": incomplete})
            _enqueue(spool, folder, job, State.WAITING)
        else:
            error = NoSuitableSeriesError("the study has no CT image")
            _log.warning("study without CT images", extra=log_fields | {"code": error.code})
            _enqueue(spool, folder, with_failure(job, error, now), State.FAILED)
        return
    state, last = earlier[-1]
    before = spool.job_folder(state, last.id) / "input"
    completed = last.incomplete and not incomplete and _contains_all(images, before)
    incomplete = incomplete or (last.incomplete and not completed)
    if all((before / path.name).exists() and same_content(path, before / path.name) for path in images):
        if interrupted and not last.incomplete:
            last = _mark_interrupted(spool, state, last)
        if not images:
            _log.info("no CT images for a known study", extra=log_fields | {"previous": last.id})
            durable.remove_folder(folder, spool.tmp)
            return
        if not completed:
            _log.info("study received again without changes", extra=log_fields | {"previous": last.id, "state": state})
            _redo(spool, state, last)
            durable.remove_folder(folder, spool.tmp)
            return
        _log.info(
            "incomplete study received again completely", extra=log_fields | {"previous": last.id, "state": state}
        )
    if state is State.WAITING:
        _log.info("instances added to a waiting job", extra=log_fields | {"previous": last.id})
        _merge_into(spool, folder, last, incomplete)
    else:
        _log.info("late instances start a new job", extra=log_fields | {"previous": last.id, "state": state})
        _link_previous(spool.job_folder(state, last.id), instances)
        update = {"incomplete": incomplete, "instances": _count(instances), "previous": last.id}
        _enqueue(spool, folder, job.model_copy(update=update), State.WAITING)


def _mark_interrupted(spool: Spool, state: State, last: Job) -> Job:
    """Note on a job that a transfer without new images was interrupted: others may have been to follow.

    A job that is yet to run is marked. The result of one that has run stays what it is: whether anything is missing is
    not known, and a sender that repeats the transfer starts a new job if there is.
    """
    log_fields = {"study": last.short_study, "previous": last.id, "state": state}
    _log.warning("transfer of a known study was interrupted before it sent anything new", extra=log_fields)
    folder = spool.job_folder(state, last.id)
    if state in (State.WAITING, State.FAILED) and not transitions.has_results(folder):
        last = last.model_copy(update={"incomplete": True})
        spool.save(folder, last)
    return last


def _contains_all(images: list[Path], before: Path) -> bool:
    """Return whether the images include all of an earlier job: the sender has repeated an interrupted transfer."""
    names = {path.name for path in images}
    return all(path.name in names for path in before.glob("*.dcm") if is_ct(path))


def with_failure(job: Job, error: CSpineError, now: float) -> Job:
    """Return a job with the reason of its failure."""
    reason = FailureReason(
        code=error.code, message=error.message, advice=error.advice, attempts=job.attempts, time=iso_time(now)
    )
    return job.model_copy(update={"reason": reason, "finished": now})


def _enqueue(spool: Spool, folder: Path, job: Job, state: State) -> None:
    spool.save(folder, job)
    durable.remove_file(folder / "input" / INCOMPLETE)
    durable.move(folder, spool.job_folder(state, job.id))


def _redo(spool: Spool, state: State, last: Job) -> None:
    """Deliver the results of a job again, or retry a failed job."""
    if state is State.DONE:
        transitions.redeliver(spool, last)
    elif state is State.FAILED:
        transitions.retry(spool, last)


def _merge_into(spool: Spool, folder: Path, waiting: Job, incomplete: bool) -> None:
    """Add the instances to a waiting job, which may complete it."""
    target = spool.job_folder(State.WAITING, waiting.id)
    new = sorted((folder / "input").glob("*.dcm"))
    names = {path.name for path in (*new, *(target / "input").glob("*.dcm"))}
    spool.save(target, waiting.model_copy(update={"instances": len(names), "incomplete": incomplete}))
    for path in new:
        durable.move(path, target / "input" / path.name)
    durable.remove_folder(folder, spool.tmp)


def _link_previous(earlier: Path, instances: Path) -> None:
    """Link the instances and results of an earlier job beside the new instances, which take precedence."""
    for path in sorted((earlier / "input").glob("*.dcm")):
        durable.link(path, instances / path.name)
    if altered := altered_results(earlier / "results"):
        _log.error("altered results are not superseded", extra={"job": earlier.name, "results": len(altered)})
        return
    for path in sorted((earlier / "results" / "dicom").glob("*.dcm")):
        durable.link(path, instances / file_name(sop_uid_of(path)))


def _count(instances: Path) -> int:
    return len(list(instances.glob("*.dcm")))
