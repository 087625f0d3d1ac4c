"""The service: its threads, how they begin, and how they end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cspine.core.errors import CSpineError, OutputError, SpoolError
from cspine.service.config import Destination, RoutingConfig
from cspine.service.delivery.deliver import Deliverer
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.forming import finish_left, form_job
from cspine.service.intake.listener import DicomListener
from cspine.service.intake.poll import Poller
from cspine.service.ops.metrics import Metrics
from cspine.service.ops.status import StatusServer
from cspine.service.queue import flow
from cspine.service.queue.job import Job, State, moment
from cspine.service.queue.spool import Spool
from cspine.service.recovery import put_right
from cspine.service.workers.runner import RunnerFactory, study_runner
from cspine.service.workers.worker import Stopped, Worker

_log = logging.getLogger(__name__)
_TICK_S = 0.5
_AFTER_AN_ERROR_S = 5.0
_HOUSEKEEPING_S = 60.0
_STUCK_S = 120.0
_END_S = 30.0


class Service:
    """Everything between a sender and the destinations, on one spool.

    Parameters
    ----------
    config : RoutingConfig
        The configuration.
    factory : callable
        What makes the runner of a device, in its process.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        config: RoutingConfig,
        factory: RunnerFactory = study_runner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._clock = clock
        self._factory = factory
        self._stop = threading.Event()
        self._metrics = Metrics()
        self._threads: dict[str, threading.Thread] = {}
        self._beat = time.monotonic()
        self._kept_at = 0.0
        self._last_study: float | None = None
        self._running: set[str] = set()
        self._spool = Spool(config.spool)

    # --- beginning and end --------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Put right what a crash left, open the ports and begin to work.

        Raises
        ------
        SpoolError, ListenerError, RoutingConfigError
            If it cannot.
        """
        config = self._config
        self._spool.claim()
        put_right(self._spool, self._clock())
        self._arrivals = Arrivals(self._spool, config.limits, self._clock)
        self._poller: Poller | None = None
        if config.polling is not None:
            self._poller = Poller(
                config.polling, config.study_complete_after_s, self._spool, self._arrivals, self._metrics, self._clock
            )
            self._poller.put_right()
        self._workers = [Worker(device, config.run, self._factory) for device in config.run.devices]
        self._status = StatusServer(config.http, self._metrics.registry, self.health)
        self._listener: DicomListener | None = None
        if config.listener is not None:
            self._listener = DicomListener(config.listener, config.limits, self._arrivals, self._metrics)
            self._listener.start()
        self._status.start()
        self._begin("queue", self._keep_queue)
        for number, worker in enumerate(self._workers):
            self._begin(f"worker {number} {worker.device}", self._run_one, worker)
        for destination in config.destinations:
            self._begin(f"delivery {destination.name}", self._deliver_one, self._deliverer(destination))
        if self._poller is not None:
            self._begin("polling", self._poll, self._poller)
        ports = {"http": self._status.port} | ({"dicom": self._listener.port} if self._listener else {})
        _log.info("listening", extra=ports)

    def stop(self) -> None:
        """Take nothing more, finish the instance and the delivery that are on their way, and leave the queue whole."""
        _log.info("stopping")
        self._stop.set()
        if self._listener is not None:
            self._listener.stop()
        end = time.monotonic() + _END_S
        for thread in self._threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        for worker in self._workers:
            worker.stop()
        self._status.stop()
        self._spool.release()
        _log.info("stopped")

    def _deliverer(self, destination: Destination) -> Deliverer:
        return Deliverer(self._spool, destination, self._metrics, self._clock)

    def _begin(self, name: str, work: Callable[..., float], *arguments: object) -> None:
        """Start a thread that repeats ``work``, which returns the pause after it; no error ends it."""

        def repeat() -> None:
            while not self._stop.is_set():
                try:
                    pause = work(*arguments)
                except Exception as error:  # the service outlives what nobody foresaw, and says so
                    self._unforeseen(name, error)
                    pause = _AFTER_AN_ERROR_S
                self._stop.wait(pause)

        self._threads[name] = threading.Thread(target=repeat, name=name, daemon=True)
        self._threads[name].start()

    def _unforeseen(self, name: str, error: Exception, **told: str) -> None:
        self._metrics.errors.labels(name).inc()
        _log.error("%s: unexpected error, goes on", name, exc_info=error, extra=told)

    # --- the threads --------------------------------------------------------------------------------------------------

    def _keep_queue(self) -> float:
        """Make jobs of whole studies, give results their destinations, remove what is old."""
        now = self._clock()
        for job in self._spool.jobs(State.RUNNING):  # without those that cannot be read
            try:
                self._rescue(job.id)
            except (SpoolError, OSError) as error:  # one job does not hold up the others
                self._unforeseen("queue", error, job=job.id)
        finish_left(self._spool, now)
        for study in self._arrivals.whole(self._config.study_complete_after_s):
            try:
                self._metrics.studies.inc(form_job(self._spool, self._arrivals, study, now))
            except Exception as error:  # one study does not hold up the others
                self._unforeseen("queue", error, study=study[:12])
        flow.match_destinations(self._spool, [d.name for d in self._config.destinations], now)
        if time.monotonic() - self._kept_at > _HOUSEKEEPING_S:
            self._kept_at = time.monotonic()
            retention = self._config.retention
            flow.expire(self._spool, State.DONE, retention.done_days, now)
            flow.expire(self._spool, State.FAILED, retention.failed_days, now)
            self._metrics.spool_bytes.set(self._arrivals.measure())
        self._beat = time.monotonic()
        return _TICK_S

    def _rescue(self, name: str) -> None:
        """Put back a job that no worker has any more: the disk failed when it should have moved on."""
        with self._spool.transition():
            if name not in self._running and self._spool.place(State.RUNNING, name).exists():
                flow.put_back(self._spool, self._spool.read(State.RUNNING, name))

    def _run_one(self, worker: Worker) -> float:
        """Run the oldest study that waits."""
        with self._spool.transition():
            job = flow.take(self._spool, self._clock())
            if job is None:
                return _TICK_S
            self._running.add(job.id)
        told = {"study": job.short_study, "job": job.id, "device": worker.device}
        place = self._spool.place(State.RUNNING, job.id)
        _log.info("run begins", extra=told | {"attempt": job.attempts + 1, "instances": job.instances})
        begun, deaths = time.monotonic(), worker.deaths
        try:
            seconds = worker.run(place, job.clock, self._stop)
            self._succeeded(job)
        except Stopped:
            flow.put_back(self._spool, job)
            _log.info("run stopped, the study waits again", extra=told)
        except CSpineError as error:
            self._failed(job, error, told)
        else:
            self._metrics.ran.inc()
            for step, value in (seconds | {"whole": time.monotonic() - begun}).items():
                self._metrics.steps.labels(step).observe(value)
            _log.info("run done", extra=told | {"seconds": round(time.monotonic() - begun, 1)})
        finally:
            self._running.discard(job.id)
            self._metrics.restarts.labels(worker.device).inc(worker.deaths - deaths)
            self._last_study = self._clock()
            self._metrics.last_study.set(self._last_study)
        return 0.0

    def _succeeded(self, job: Job) -> None:
        try:
            flow.succeeded(self._spool, job)
        except OSError as error:
            raise OutputError(f"the results cannot be kept: {error.strerror}") from error

    def _failed(self, job: Job, error: CSpineError, told: dict[str, Any]) -> None:
        run = self._config.run
        state = flow.failed(self._spool, job, error, run.attempts, run.retry_after_s, self._clock())
        self._metrics.failed.labels(error.code).inc()
        told = told | {"code": error.code, "state": state, "advice": error.advice}
        level = logging.ERROR if state is State.FAILED else logging.WARNING
        _log.log(level, "run failed: %s", error.message, extra=told)

    def _deliver_one(self, deliverer: Deliverer) -> float:
        job = deliverer.due()
        if job is None:
            return _TICK_S
        deliverer.deliver(job)
        return 0.0

    def _poll(self, poller: Poller) -> float:
        return poller.poll()

    # --- state --------------------------------------------------------------------------------------------------------

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and the facts; sets the gauges."""
        queue = {str(state): len(self._spool.names(state)) for state in State}
        arriving = sum(1 for _ in self._spool.incoming.iterdir())
        free, now = self._spool.free_bytes(), self._clock()
        for state, count in queue.items():
            self._metrics.queue.labels(state).set(count)
        self._measure_waits(now)
        self._metrics.arriving.set(arriving)
        self._metrics.free_bytes.set(free)
        threads = {name: thread.is_alive() for name, thread in self._threads.items()}
        if self._listener is not None:
            threads["listener"] = self._listener.alive
        stuck = time.monotonic() - self._beat > _STUCK_S
        room = free >= self._config.limits.free_bytes
        healthy = all(threads.values()) and room and not stuck and not self._stop.is_set()
        return healthy, {
            "status": "ok" if healthy else "trouble",
            "time": moment(now),
            "threads": threads,
            "queue_moves": not stuck,
            "disk_has_room": room,
            "disk_free_bytes": free,
            "queue": queue,
            "studies_arriving": arriving,
            "seconds_since_last_study": None if self._last_study is None else round(now - self._last_study),
        }

    def _measure_waits(self, now: float) -> None:
        """Set the gauges of what waits: for a device, and for each destination."""
        waiting = self._spool.jobs(State.WAITING)
        oldest = min((datetime.fromisoformat(job.created).timestamp() for job in waiting), default=now)
        self._metrics.oldest_waiting.set(max(0.0, now - oldest))
        sending = self._spool.jobs(State.SENDING)
        for name in (destination.name for destination in self._config.destinations):
            deliveries = (job.destinations.get(name) for job in sending)
            self._metrics.pending.labels(name).set(sum(d is not None and d.state == "pending" for d in deliveries))
