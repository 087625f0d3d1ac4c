"""The ways of a job through its states: every one is a job.json written and then one rename."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from cspine.core.errors import CSpineError, DeliveryError
from cspine.service.queue import durable
from cspine.service.queue.job import Delivery, Job, Reason, State, moment
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)

# A job that has to wait longer was given its time before the clock was set back.
_LONGEST_PAUSE_S = 7 * 86_400


def take(spool: Spool, now: float) -> Job | None:
    """Move the oldest job that may run to ``running/`` and return it; None where there is none.

    Two jobs of one study never run at the same time.
    """
    with spool.transition():
        waiting = [job for job in spool.jobs(State.WAITING) if not now < job.not_before <= now + _LONGEST_PAUSE_S]
        if not waiting:
            return None
        busy = {job.study for job in spool.jobs(State.RUNNING)}
        for job in waiting:
            if job.study not in busy:
                spool.move(job, State.WAITING, State.RUNNING)
                return job
    return None


def succeeded(spool: Spool, job: Job) -> None:
    """Move a job whose results are complete to ``sending/``; `match_destinations` says where they go."""
    durable.sync_tree(spool.place(State.RUNNING, job.id) / "results")
    with spool.transition():
        spool.move(job.model_copy(update={"destinations": {}, "reason": None}), State.RUNNING, State.SENDING)


def match_destinations(spool: Spool, destinations: Collection[str], now: float) -> None:
    """Bring the jobs in ``sending/`` in line with the configuration.

    A new job goes to all destinations. A destination that is no longer configured is dropped; a job that
    nobody has got yet goes to all that are configured now.

    Parameters
    ----------
    spool : Spool
        The queue.
    destinations : collection of str
        Names that the configuration has.
    now : float
        Seconds since 1970.
    """
    with spool.transition():
        for job in spool.jobs(State.SENDING):
            sent = job.destinations or {name: Delivery() for name in destinations}
            for name, delivery in sent.items():
                if name not in destinations and delivery.state == "pending":
                    _log.warning("destination %s is gone", name, extra={"study": job.short_study, "job": job.id})
                    sent = sent | {name: delivery.model_copy(update={"state": "removed"})}
            states = {delivery.state for delivery in sent.values()}
            if "removed" in states and "delivered" not in states:  # renamed, mostly: not lost with it
                again = [name for name in destinations if name not in sent or sent[name].state == "removed"]
                sent = sent | {name: Delivery() for name in again}
            if sent != job.destinations:
                job = job.model_copy(update={"destinations": sent})
                spool.save(spool.place(State.SENDING, job.id), job)
            settle(spool, job, now)


def failed(spool: Spool, job: Job, error: CSpineError, attempts: int, delay_s: float, now: float) -> State:
    """Move a job whose run failed to ``waiting/``, or to ``failed/`` where another attempt cannot help.

    Parameters
    ----------
    spool : Spool
        The queue.
    job : Job
        As it lies in ``running/``.
    error : CSpineError
        What went wrong.
    attempts : int
        How many are allowed.
    delay_s : float
        Before the second attempt; doubled with each one after it.
    now : float
        Seconds since 1970.

    Returns
    -------
    State
        Where it is now.
    """
    tried = job.attempts + 1
    final = error.is_about_input or tried >= attempts
    reason = Reason(code=error.code, message=error.message, advice=error.advice, attempts=tried, when=moment(now))
    update = {"attempts": tried, "reason": reason}
    update |= (
        {"finished": now} if final else {"not_before": now + min(delay_s * 2 ** min(tried - 1, 16), _LONGEST_PAUSE_S)}
    )
    target = State.FAILED if final else State.WAITING
    with spool.transition():
        durable.remove_folder(spool.place(State.RUNNING, job.id) / "results", spool.tmp)
        spool.move(job.model_copy(update=update), State.RUNNING, target)
    return target


def put_back(spool: Spool, job: Job) -> None:
    """Move a job whose run was stopped back to ``waiting/``, as if it had not begun."""
    with spool.transition():
        durable.remove_folder(spool.place(State.RUNNING, job.id) / "results", spool.tmp)
        spool.move(job, State.RUNNING, State.WAITING)


def note_delivery(spool: Spool, job: str, destination: str, change: Callable[[Delivery], Delivery], now: float) -> Job:
    """Write down how a delivery went; with the last destination, the job goes to ``done/`` or ``failed/``.

    Parameters
    ----------
    spool : Spool
        The queue.
    job : str
        Name of a job in ``sending/``.
    destination : str
        Name of the destination.
    change : callable
        Gets the delivery as it stands on the disk, returns it as it stands now.
    now : float
        Seconds since 1970.

    Returns
    -------
    Job
        As it is now.
    """
    with spool.transition():
        read = spool.read(State.SENDING, job)
        sent = dict(read.destinations)
        sent[destination] = change(sent[destination])
        updated = read.model_copy(update={"destinations": sent})
        spool.save(spool.place(State.SENDING, job), updated)
        return settle(spool, updated, now)


def settle(spool: Spool, job: Job, now: float) -> Job:
    """Move a job from ``sending/`` when no destination is open any more; return it as it is now."""
    if not job.destinations or any(delivery.state == "pending" for delivery in job.destinations.values()):
        return job
    lost = {name: delivery for name, delivery in job.destinations.items() if delivery.lost}
    reason = None
    if lost:
        error = DeliveryError(f"not delivered to {', '.join(sorted(lost))}")
        tried = max(delivery.attempts for delivery in lost.values())
        reason = Reason(code=error.code, message=error.message, advice=error.advice, attempts=tried, when=moment(now))
    job = job.model_copy(update={"finished": now, "reason": reason})
    with spool.transition():
        spool.move(job, State.SENDING, State.FAILED if lost else State.DONE)
    return job


def deliver_again(spool: Spool, job: Job) -> None:
    """Move a job from ``done/`` to ``sending/``, for all destinations."""
    with spool.transition():
        update: dict[str, object] = {"destinations": {}, "finished": None}
        spool.move(job.model_copy(update=update), State.DONE, State.SENDING)


def retry(spool: Spool, job: Job) -> State:
    """Move a dead letter back and return where.

    It goes to ``sending/`` where it has results, with the lost destinations open again, else to ``waiting/`` with all
    its attempts before it.
    """
    fresh: dict[str, object] = {"reason": None, "finished": None, "attempts": 0, "crashes": 0, "not_before": 0.0}
    target = State.WAITING
    if has_results(spool.place(State.FAILED, job.id)):
        target = State.SENDING
        fresh["destinations"] = {
            name: Delivery() if delivery.lost else delivery for name, delivery in job.destinations.items()
        }
    with spool.transition():
        spool.move(job.model_copy(update=fresh), State.FAILED, target)
    return target


def expire(spool: Spool, state: State, days: float | None, now: float) -> int:
    """Remove the jobs in ``done/`` or ``failed/`` that ended longer ago than the days; return how many.

    For one that ended in the future, by a clock that was ahead, the days begin now.
    """
    removed = 0
    if days is None:
        return removed
    for job in spool.jobs(state):
        if job.finished is not None and job.finished > now:
            with spool.transition():
                if spool.place(state, job.id).exists():
                    spool.save(spool.place(state, job.id), job.model_copy(update={"finished": now}))
        elif job.finished is not None and now - job.finished > days * 86_400:
            with spool.transition():
                spool.remove(state, job.id)
            removed += 1
            _log.info("removed after its time", extra={"study": job.short_study, "job": job.id, "state": state})
    return removed


def has_results(place: Path) -> bool:
    """Tell whether a job's folder holds the results of a run."""
    return any((place / "results" / "dicom").glob("*.dcm"))
