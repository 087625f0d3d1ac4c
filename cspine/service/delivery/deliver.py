"""Deliveries to one destination: which job is due, the result of an attempt, and the time of the next one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cspine.core.errors import AlteredResultError, SpoolError
from cspine.service.config import Destination
from cspine.service.delivery.send import SendResult, send
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import transitions
from cspine.service.queue.checksums import altered_results
from cspine.service.queue.job import Delivery, FailureReason, Job, State, iso_time
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)
Send = Callable[[Sequence[Path], Destination], SendResult]

#: An attempt that is this late was delayed by a clock that was set forward or a service that was stopped.
_IDLE_GAP_S = 6 * 3600.0


class Deliverer:
    """Deliver results to one destination, oldest job first; a job that has to wait does not block the next.

    Parameters
    ----------
    spool : Spool
        The queue.
    destination : Destination
        Destination.
    metrics : Metrics
        Metrics.
    clock : callable
        Seconds since 1970.
    sender : callable
        Function that makes one attempt.
    """

    def __init__(
        self,
        spool: Spool,
        destination: Destination,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        sender: Send = send,
    ) -> None:
        self._spool = spool
        self._destination = destination
        self._metrics = metrics
        self._clock = clock
        self._send = sender

    def next_due(self) -> Job | None:
        """Return the oldest job that is due for this destination, or None."""
        now, name = self._clock(), self._destination.name
        # A job scheduled beyond the longest delay: the clock was set back.
        max_delay = max(self._destination.retry.max_delay_s, self._destination.retry.initial_delay_s)
        for job in self._spool.jobs(State.SENDING):
            delivery = job.destinations.get(name)
            if delivery is None or delivery.state != "pending" or now < delivery.next_attempt_at <= now + max_delay:
                continue
            return job
        return None

    def deliver(self, job: Job) -> Delivery:
        """Make one attempt and record its result.

        After a crash between the two, the same objects are sent again with the same UIDs.

        Parameters
        ----------
        job : Job
            The job in ``sending/``.

        Returns
        -------
        Delivery
            The updated delivery.
        """
        results = self._spool.job_folder(State.SENDING, job.id) / "results"
        started_at = self._clock()
        try:
            sent = self._attempt(results)
        except Exception as error:  # a damaged file or a defect of a library must not block other jobs
            sent = SendResult("retry", f"unexpected error ({type(error).__name__})")
        name = self._destination.name
        log_fields = {"study": job.short_study, "job": job.id, "destination": name}

        def change(delivery: Delivery) -> Delivery:
            return self._updated(delivery, sent, started_at)

        try:
            after = transitions.record_delivery(self._spool, job.id, name, change, self._clock()).destinations[name]
        except SpoolError:
            _log.warning("job moved during its delivery", extra=log_fields)
            raise
        outcome = "retried" if after.state == "pending" else after.state
        self._metrics.deliveries.labels(name, outcome).inc()
        if after.state == "delivered":
            _log.info("delivered", extra=log_fields | {"attempts": after.attempts})
            for warning in after.warnings:
                _log.warning("delivered with warning: %s", warning, extra=log_fields)
        elif after.state == "pending":
            retry = {"attempts": after.attempts, "next_attempt": iso_time(after.next_attempt_at)}
            fields = log_fields | retry | {"code": sent.error.code}
            _log.warning("delivery failed, retrying: %s", sent.message, extra=fields)
        else:
            _log.error("delivery %s: %s", after.state, sent.message, extra=log_fields | {"code": sent.error.code})
        return after

    def _attempt(self, results: Path) -> SendResult:
        """Send the results of a job, unless they differ from their checksums."""
        altered = altered_results(results)
        if altered:
            return SendResult(
                "refused", f"{len(altered)} results differ from their checksums", error=AlteredResultError
            )
        files = sorted((results / "dicom").glob("*.dcm"))
        return self._send(files, self._destination) if files else SendResult("refused", "the job has no results")

    def _updated(self, delivery: Delivery, sent: SendResult, now: float) -> Delivery:
        attempts = delivery.attempts + 1
        first = _first_attempt(delivery, now)
        if sent.outcome == "delivered":
            return Delivery(state="delivered", attempts=attempts, first_attempt_at=first, warnings=sent.warnings)
        reason = FailureReason(
            code=sent.error.code,
            message=sent.message,
            advice=sent.error.advice,
            attempts=attempts,
            time=iso_time(now),
        )
        failed = delivery.model_copy(update={"attempts": attempts, "first_attempt_at": first, "last_error": reason})
        retry = self._destination.retry
        if sent.outcome == "refused":
            return failed.model_copy(update={"state": "refused"})
        if now - first >= retry.give_up_after_h * 3600:
            return failed.model_copy(update={"state": "abandoned"})
        return failed.model_copy(update={"next_attempt_at": self._clock() + retry.delay_s(attempts)})


def _first_attempt(delivery: Delivery, now: float) -> float:
    """Return the time of the first attempt, shifted by long gaps without attempts: those do not count."""
    if delivery.first_attempt_at is None:
        return now
    late = now - delivery.next_attempt_at if delivery.next_attempt_at else 0.0
    return min(now, delivery.first_attempt_at + (late if late > _IDLE_GAP_S else 0.0))
