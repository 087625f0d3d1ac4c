"""State transitions of a job: each writes job.json and then renames the folder of the job."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from pathlib import Path

from cspine.core.errors import AlteredResultError, CSpineError, DeliveryError
from cspine.service.queue import durable
from cspine.service.queue.checksums import altered_results, write_checksums
from cspine.service.queue.job import Delivery, FailureReason, Job, State, iso_time
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)


# A job that would wait longer was scheduled before the clock was set back.
_MAX_PAUSE_S = 7 * 86_400


def claim(spool: Spool, now: float) -> Job | None:
    """Move the oldest job that may run to ``running/`` and return it, or None if there is none.

    Two jobs of one study never run at the same time.
    """
    with spool.transition():
        waiting = [job for job in spool.jobs(State.WAITING) if not now < job.not_before <= now + _MAX_PAUSE_S]
        if not waiting:
            return None
        busy = {job.study for job in spool.jobs(State.RUNNING)}
        for job in waiting:
            if job.study not in busy:
                spool.move(job, State.WAITING, State.RUNNING)
                return job
    return None


def succeed(spool: Spool, job: Job) -> None:
    """Move a job with complete results to ``sending/``; `sync_destinations` then adds its destinations."""
    results = spool.job_folder(State.RUNNING, job.id) / "results"
    durable.sync_tree(results)
    write_checksums(results, spool.tmp)
    with spool.transition():
        spool.move(job.model_copy(update={"destinations": {}, "reason": None}), State.RUNNING, State.SENDING)


def sync_destinations(spool: Spool, destinations: Collection[str], now: float) -> None:
    """Update the destinations of the jobs in ``sending/`` to the configuration.

    A new job is sent to all destinations. A destination that is no longer configured is removed; a job that no
    destination has received yet is then sent to all configured destinations.

    Parameters
    ----------
    spool : Spool
        The queue.
    destinations : collection of str
        Names of the configured destinations.
    now : float
        Seconds since 1970.
    """
    with spool.transition():
        for job in spool.jobs(State.SENDING):
            sent = job.destinations or {name: Delivery() for name in destinations}
            for name, delivery in sent.items():
                if name not in destinations and delivery.state == "pending":
                    _log.warning(
                        "destination %s removed from the configuration",
                        name,
                        extra={"study": job.short_study, "job": job.id},
                    )
                    sent = sent | {name: delivery.model_copy(update={"state": "removed"})}
            states = {delivery.state for delivery in sent.values()}
            if "removed" in states and "delivered" not in states:  # usually renamed
                again = [name for name in destinations if name not in sent or sent[name].state == "removed"]
                sent = sent | {name: Delivery() for name in again}
            if sent != job.destinations:
                job = job.model_copy(update={"destinations": sent})
                spool.save(spool.job_folder(State.SENDING, job.id), job)
            settle(spool, job, now)


def fail(spool: Spool, job: Job, error: CSpineError, attempts: int, delay_s: float, now: float) -> State:
    """Move a job whose run failed to ``waiting/``, or to ``failed/`` if a retry cannot help.

    Parameters
    ----------
    spool : Spool
        The queue.
    job : Job
        The job in ``running/``.
    error : CSpineError
        The error.
    attempts : int
        Maximum number of attempts.
    delay_s : float
        Delay before the second attempt in seconds; doubled for each further attempt.
    now : float
        Seconds since 1970.

    Returns
    -------
    State
        The new state.
    """
    attempted = job.attempts + 1
    final = error.is_about_input or attempted >= attempts
    reason = FailureReason(
        code=error.code, message=error.message, advice=error.advice, attempts=attempted, time=iso_time(now)
    )
    update = {"attempts": attempted, "reason": reason}
    update |= (
        {"finished": now} if final else {"not_before": now + min(delay_s * 2 ** min(attempted - 1, 16), _MAX_PAUSE_S)}
    )
    target = State.FAILED if final else State.WAITING
    with spool.transition():
        durable.remove_folder(spool.job_folder(State.RUNNING, job.id) / "results", spool.tmp)
        spool.move(job.model_copy(update=update), State.RUNNING, target)
    return target


def requeue(spool: Spool, job: Job) -> None:
    """Move a job whose run was stopped back to ``waiting/``, without counting an attempt."""
    with spool.transition():
        durable.remove_folder(spool.job_folder(State.RUNNING, job.id) / "results", spool.tmp)
        spool.move(job, State.RUNNING, State.WAITING)


def record_delivery(
    spool: Spool, job: str, destination: str, change: Callable[[Delivery], Delivery], now: float
) -> Job:
    """Record the result of a delivery attempt; after the last one, the job moves to ``done/`` or ``failed/``.

    Parameters
    ----------
    spool : Spool
        The queue.
    job : str
        Name of a job in ``sending/``.
    destination : str
        Name of the destination.
    change : callable
        Returns the updated delivery, given the stored one.
    now : float
        Seconds since 1970.

    Returns
    -------
    Job
        The updated job.
    """
    with spool.transition():
        read = spool.read(State.SENDING, job)
        sent = dict(read.destinations)
        sent[destination] = change(sent[destination])
        updated = read.model_copy(update={"destinations": sent})
        spool.save(spool.job_folder(State.SENDING, job), updated)
        return settle(spool, updated, now)


def settle(spool: Spool, job: Job, now: float) -> Job:
    """Move a job from ``sending/`` when no delivery is pending; return the updated job."""
    if not job.destinations or any(delivery.state == "pending" for delivery in job.destinations.values()):
        return job
    failed = {name: delivery for name, delivery in job.destinations.items() if delivery.has_failed}
    reason = None
    if failed:
        codes = {delivery.last_error.code for delivery in failed.values() if delivery.last_error}
        kind = AlteredResultError if AlteredResultError.code in codes else DeliveryError
        error = kind(f"not delivered to {', '.join(sorted(failed))}")
        attempted = max(delivery.attempts for delivery in failed.values())
        reason = FailureReason(
            code=error.code, message=error.message, advice=error.advice, attempts=attempted, time=iso_time(now)
        )
    job = job.model_copy(update={"finished": now, "reason": reason})
    with spool.transition():
        spool.move(job, State.SENDING, State.FAILED if failed else State.DONE)
    return job


def redeliver(spool: Spool, job: Job) -> None:
    """Move a job from ``done/`` to ``sending/``, to deliver it to all destinations again."""
    with spool.transition():
        update: dict[str, object] = {"destinations": {}, "finished": None}
        spool.move(job.model_copy(update=update), State.DONE, State.SENDING)


def retry(spool: Spool, job: Job) -> State:
    """Move a failed job back to the queue and return its new state.

    A job with results moves to ``sending/``, and its failed deliveries become pending; another job, or one whose
    results differ from their checksums, moves to ``waiting/``. Attempts are counted from zero.
    """
    folder = spool.job_folder(State.FAILED, job.id)
    fresh: dict[str, object] = {"reason": None, "finished": None, "attempts": 0, "crashes": 0, "not_before": 0.0}
    target = State.WAITING
    is_sound = has_results(folder) and not altered_results(folder / "results")
    if is_sound:
        target = State.SENDING
        fresh["destinations"] = {
            name: Delivery() if delivery.has_failed else delivery for name, delivery in job.destinations.items()
        }
    else:
        fresh["destinations"] = {}
    with spool.transition():
        if not is_sound:
            durable.remove_folder(folder / "results", spool.tmp)
        spool.move(job.model_copy(update=fresh), State.FAILED, target)
    return target


def expire(spool: Spool, state: State, days: float | None, now: float) -> int:
    """Remove the jobs in ``done/`` or ``failed/`` that finished more than ``days`` ago; return their number.

    If a job finished in the future, because the clock was wrong, its retention starts now.
    """
    removed = 0
    if days is None:
        return removed
    for job in spool.jobs(state):
        if job.finished is not None and job.finished > now:
            with spool.transition():
                if spool.job_folder(state, job.id).exists():
                    spool.save(spool.job_folder(state, job.id), job.model_copy(update={"finished": now}))
        elif job.finished is not None and now - job.finished > days * 86_400:
            with spool.transition():
                spool.remove(state, job.id)
            removed += 1
            _log.info("job expired", extra={"study": job.short_study, "job": job.id, "state": state})
    return removed


def has_results(folder: Path) -> bool:
    """Return whether the folder of a job contains the results of a run."""
    return any((folder / "results" / "dicom").glob("*.dcm"))
