"""From a study that has arrived to a job, and what becomes of instances that come after their study was run.

Only CT images make a study run. Those that an earlier job of the study holds already bring its results on their way
again; new ones make a job of everything that is known of the study, its earlier results included.
"""

from __future__ import annotations

import logging
from pathlib import Path

from cspine.core.errors import CSpineError, NoSuitableSeriesError, SpoolError
from cspine.dicom.clock import Clock
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.instances import INTERRUPTED, file_name, is_ct, same_content, sop_uid_of
from cspine.service.queue import durable, flow
from cspine.service.queue.job import Job, Reason, State, job_id, moment
from cspine.service.queue.spool import Spool, read_job

_log = logging.getLogger(__name__)


def form_job(spool: Spool, arrivals: Arrivals, study: str, now: float) -> bool:
    """Make a job of a study that is whole.

    Parameters
    ----------
    spool, arrivals : Spool, Arrivals
        The queue.
    study : str
        Key of the study.
    now : float
        Seconds since 1970.

    Returns
    -------
    bool
        False where the study has to wait: an earlier job of it is running, or a sender has begun again.
    """
    with spool.transition():
        if any(state is State.RUNNING for state, _ in spool.of_study(study)):
            return False
        ids = [job.id for _, job in spool.of_study(study)]
        name = job_id(study, now, after=max(ids, default=""))
        job = Job(id=name, study=study, created=moment(now), clock=Clock.from_environment().iso)
        place = spool.forming / job.id
        durable.make_folder(place)
        spool.save(place, job)
        if not arrivals.hand_over(study, place / "input"):
            durable.remove_folder(place, spool.tmp)
            return False
        finish_forming(spool, place, now)
        return True


def finish_left(spool: Spool, now: float) -> None:
    """Bring into the queue what a crash or a full disk left in ``forming/``."""
    with spool.transition():
        for place in sorted(spool.forming.iterdir()):
            if not (place / "input").is_dir():  # nothing had been moved there
                durable.remove_folder(place, spool.tmp)
                continue
            try:
                if not any(state is State.RUNNING for state, _ in spool.of_study(read_job(place).study)):
                    finish_forming(spool, place, now)
            except (SpoolError, OSError) as error:  # one study does not hold up the others
                _log.error("a job cannot be formed", extra={"job": place.name}, exc_info=error)


def finish_forming(spool: Spool, place: Path, now: float) -> None:
    """Bring a job from ``forming/`` into the queue; may be repeated after a crash at any point of it.

    Parameters
    ----------
    spool : Spool
        The queue; no job of the study is running.
    place : Path
        Folder of the job.
    now : float
        Seconds since 1970.
    """
    job = read_job(place)
    instances = place / "input"
    if not _count(instances):
        durable.remove_folder(place, spool.tmp)
        return
    interrupted = job.interrupted or (instances / INTERRUPTED).exists()
    images = [path for path in sorted(instances.glob("*.dcm")) if is_ct(path)]
    earlier = spool.of_study(job.study)
    told = {"study": job.short_study, "job": job.id}
    if not earlier:
        job = job.model_copy(update={"interrupted": interrupted, "instances": _count(instances)})
        if images:
            _log.info("study is whole", extra=told | {"instances": job.instances, "interrupted": interrupted})
            _enter(spool, place, job, State.WAITING)
        else:
            error = NoSuitableSeriesError("no instance of the study is a CT image")
            _log.warning("study without a CT image", extra=told | {"code": error.code})
            _enter(spool, place, failed(job, error, now), State.FAILED)
        return
    state, last = earlier[-1]
    before = spool.place(state, last.id) / "input"
    mended = last.interrupted and not interrupted and _holds_all(images, before)
    broken = interrupted or (last.interrupted and not mended)
    if all((before / path.name).exists() and same_content(path, before / path.name) for path in images):
        if not images:
            _log.info("no CT image came for a known study", extra=told | {"earlier": last.id})
            durable.remove_folder(place, spool.tmp)
            return
        if not mended:
            _log.info("study came again with nothing new", extra=told | {"earlier": last.id, "state": state})
            _come_again(spool, state, last)
            durable.remove_folder(place, spool.tmp)
            return
        _log.info("study came again, whole this time", extra=told | {"earlier": last.id, "state": state})
    if state is State.WAITING:
        _log.info("instances join a waiting job", extra=told | {"earlier": last.id})
        _join(spool, place, last, broken)
    else:
        _log.info("late instances make a new job", extra=told | {"earlier": last.id, "state": state})
        _take_up(spool.place(state, last.id), instances)
        update = {"interrupted": broken, "instances": _count(instances), "earlier": last.id}
        _enter(spool, place, job.model_copy(update=update), State.WAITING)


def _holds_all(images: list[Path], before: Path) -> bool:
    """Tell whether the images are all that an earlier job has, or more: a sender that broke off has begun anew."""
    names = {path.name for path in images}
    return all(path.name in names for path in before.glob("*.dcm") if is_ct(path))


def failed(job: Job, error: CSpineError, now: float) -> Job:
    """Return a job with the reason why it goes to ``failed/``."""
    reason = Reason(
        code=error.code, message=error.message, advice=error.advice, attempts=job.attempts, when=moment(now)
    )
    return job.model_copy(update={"reason": reason, "finished": now})


def _enter(spool: Spool, place: Path, job: Job, state: State) -> None:
    spool.save(place, job)
    durable.remove_file(place / "input" / INTERRUPTED)
    durable.move(place, spool.place(state, job.id))


def _come_again(spool: Spool, state: State, last: Job) -> None:
    """Deliver stored results again, or run again what had failed: the sender wants it."""
    if state is State.DONE:
        flow.deliver_again(spool, last)
    elif state is State.FAILED:
        flow.retry(spool, last)


def _join(spool: Spool, place: Path, waiting: Job, interrupted: bool) -> None:
    """Add the instances to a job that has not begun to run; with its new instances it may be whole at last."""
    target = spool.place(State.WAITING, waiting.id)
    new = sorted((place / "input").glob("*.dcm"))
    names = {path.name for path in (*new, *(target / "input").glob("*.dcm"))}
    spool.save(target, waiting.model_copy(update={"instances": len(names), "interrupted": interrupted}))
    for path in new:
        durable.move(path, target / "input" / path.name)
    durable.remove_folder(place, spool.tmp)


def _take_up(earlier: Path, instances: Path) -> None:
    """Link what an earlier job got and what came of it beside the new instances; a newer one of a UID stays."""
    for path in sorted((earlier / "input").glob("*.dcm")):
        durable.link(path, instances / path.name)
    for path in sorted((earlier / "results" / "dicom").glob("*.dcm")):
        durable.link(path, instances / file_name(sop_uid_of(path)))


def _count(instances: Path) -> int:
    return len(list(instances.glob("*.dcm")))
