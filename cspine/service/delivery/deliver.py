"""Deliveries to one destination: which job is due, what comes of it, and when it is tried again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from cspine.core.errors import DeliveryError, SpoolError
from cspine.service.config import Destination
from cspine.service.delivery.send import Sent, send
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import flow
from cspine.service.queue.job import Delivery, Job, Reason, State, moment
from cspine.service.queue.spool import Spool

_log = logging.getLogger(__name__)
Send = Callable[[Sequence[Path], Destination], Sent]

#: An attempt that comes so much later than planned was held up by a clock set forward, or by a service at rest.
_HELD_UP_S = 6 * 3600.0


class Deliverer:
    """Brings results to one destination, oldest job first; one job that has to wait does not hold up the next.

    Parameters
    ----------
    spool : Spool
        The queue.
    destination : Destination
        Where results go.
    metrics : Metrics
        What is counted.
    clock : callable
        Seconds since 1970.
    sender : callable
        Makes one attempt.
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

    def due(self) -> Job | None:
        """Return the oldest job that this destination should get now, or None."""
        now, name = self._clock(), self._destination.name
        # Further ahead than any pause: the clock was set back since.
        longest = max(self._destination.retry.maximum_delay_s, self._destination.retry.first_delay_s)
        for job in self._spool.jobs(State.SENDING):
            delivery = job.destinations.get(name)
            if delivery is None or delivery.state != "pending" or now < delivery.next_at <= now + longest:
                continue
            return job
        return None

    def deliver(self, job: Job) -> Delivery:
        """Make one attempt and write down how it went.

        After a crash between the answer and its note, the same objects go out again under the same UIDs.

        Parameters
        ----------
        job : Job
            In ``sending/``.

        Returns
        -------
        Delivery
            As it stands now.
        """
        files = sorted((self._spool.place(State.SENDING, job.id) / "results" / "dicom").glob("*.dcm"))
        begun = self._clock()
        try:
            sent = self._send(files, self._destination) if files else Sent("refused", "the job has no results")
        except Exception as error:  # a damaged file, a library's own: noted and tried again, so that others go on
            sent = Sent("later", f"unexpected error ({type(error).__name__})")
        name = self._destination.name
        told = {"study": job.short_study, "job": job.id, "destination": name}

        def change(delivery: Delivery) -> Delivery:
            return self._judged(delivery, sent, begun)

        try:
            after = flow.note_delivery(self._spool, job.id, name, change, self._clock()).destinations[name]
        except SpoolError:
            _log.warning("the job moved on during its delivery", extra=told)
            raise
        outcome = "retried" if after.state == "pending" else after.state
        self._metrics.deliveries.labels(name, outcome).inc()
        if after.state == "delivered":
            _log.info("delivered", extra=told | {"attempts": after.attempts})
            for warning in after.warnings:
                _log.warning("delivered with a warning: %s", warning, extra=told)
        elif after.state == "pending":
            _log.warning(
                "not delivered, tried again: %s", sent.message,
                extra=told | {"attempts": after.attempts, "next": moment(after.next_at), "code": DeliveryError.code},
            )  # fmt: skip
        else:
            _log.error("not delivered, %s: %s", after.state, sent.message, extra=told | {"code": DeliveryError.code})
        return after

    def _judged(self, delivery: Delivery, sent: Sent, now: float) -> Delivery:
        attempts = delivery.attempts + 1
        first = _trying_since(delivery, now)
        if sent.outcome == "delivered":
            return Delivery(state="delivered", attempts=attempts, first_at=first, warnings=sent.warnings)
        reason = Reason(
            code=DeliveryError.code,
            message=sent.message,
            advice=DeliveryError.advice,
            attempts=attempts,
            when=moment(now),
        )
        told = delivery.model_copy(update={"attempts": attempts, "first_at": first, "last": reason})
        retry = self._destination.retry
        if sent.outcome == "refused":
            return told.model_copy(update={"state": "refused"})
        if now - first >= retry.give_up_after_h * 3600:
            return told.model_copy(update={"state": "gave up"})
        return told.model_copy(update={"next_at": self._clock() + retry.delay_s(attempts)})


def _trying_since(delivery: Delivery, now: float) -> float:
    """Return when the attempts began, later by long times without any: those do not count towards giving up."""
    if delivery.first_at is None:
        return now
    late = now - delivery.next_at if delivery.next_at else 0.0
    return min(now, delivery.first_at + (late if late > _HELD_UP_S else 0.0))
