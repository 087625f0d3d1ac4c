"""The service: its threads, start and shutdown."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cspine.core.errors import CSpineError, OutputError, SpoolError
from cspine.service.config import Destination, ServiceConfig
from cspine.service.delivery.deliver import Deliverer
from cspine.service.intake.assembly import assemble_job, resume_assembly
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.listener import DicomListener
from cspine.service.intake.poll import Poller
from cspine.service.ops.metrics import Metrics
from cspine.service.ops.status import StatusServer
from cspine.service.queue import transitions
from cspine.service.queue.job import Job, State, iso_time
from cspine.service.queue.spool import Spool
from cspine.service.recovery import recover
from cspine.service.workers.runner import RunnerFactory, study_runner
from cspine.service.workers.worker import Stopped, Worker

_log = logging.getLogger(__name__)
_TICK_S = 0.5
_ERROR_PAUSE_S = 5.0
_HOUSEKEEPING_S = 60.0
_STUCK_S = 120.0
_SHUTDOWN_S = 30.0


class Service:
    """The complete service on one spool: intake, queue, workers and delivery.

    Parameters
    ----------
    config : ServiceConfig
        Configuration.
    factory : callable
        Creates the runner of a device in its worker process.
    clock : callable
        Seconds since 1970.
    """

    def __init__(
        self,
        config: ServiceConfig,
        factory: RunnerFactory = study_runner,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config
        self._clock = clock
        self._factory = factory
        self._stop = threading.Event()
        self._metrics = Metrics()
        self._threads: dict[str, threading.Thread] = {}
        self._heartbeat = time.monotonic()
        self._housekeeping_at = 0.0
        self._last_study: float | None = None
        self._running: set[str] = set()
        self._spool = Spool(config.spool)

    # --- start and stop -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Recover the spool, open the ports and start the threads.

        Raises
        ------
        SpoolError, ListenerError, RoutingConfigError
            If the service cannot start.
        """
        config = self._config
        self._spool.lock()
        recover(self._spool, self._clock())
        self._inbox = Inbox(self._spool, config.limits, self._clock)
        self._poller: Poller | None = None
        if config.polling is not None:
            self._poller = Poller(
                config.polling, config.study_complete_after_s, self._spool, self._inbox, self._metrics, self._clock
            )
            self._poller.recover()
        self._workers = [Worker(device, config.run, self._factory) for device in config.run.devices]
        self._status = StatusServer(config.http, self._metrics.registry, self.health)
        self._listener: DicomListener | None = None
        if config.listener is not None:
            self._listener = DicomListener(config.listener, config.limits, self._inbox, self._metrics)
            self._listener.start()
        self._status.start()
        self._start_thread("queue", self._maintain_queue)
        for number, worker in enumerate(self._workers):
            self._start_thread(f"worker {number} {worker.device}", self._run_one, worker)
        for destination in config.destinations:
            self._start_thread(f"delivery {destination.name}", self._deliver_one, self._deliverer(destination))
        if self._poller is not None:
            self._start_thread("polling", self._poll, self._poller)
        ports = {"http": self._status.port} | ({"dicom": self._listener.port} if self._listener else {})
        _log.info("listening", extra=ports)

    def stop(self) -> None:
        """Close the ports, finish the current instance and delivery, and stop the workers."""
        _log.info("stopping")
        self._stop.set()
        if self._listener is not None:
            self._listener.stop()
        end = time.monotonic() + _SHUTDOWN_S
        for thread in self._threads.values():
            thread.join(max(0.0, end - time.monotonic()))
        for worker in self._workers:
            worker.stop()
        self._status.stop()
        self._spool.release()
        _log.info("stopped")

    def _deliverer(self, destination: Destination) -> Deliverer:
        return Deliverer(self._spool, destination, self._metrics, self._clock)

    def _start_thread(self, name: str, work: Callable[..., float], *arguments: object) -> None:
        """Start a thread that repeats ``work``, which returns the pause until the next call; no error ends it."""

        def repeat() -> None:
            while not self._stop.is_set():
                try:
                    pause = work(*arguments)
                except Exception as error:  # unexpected errors are logged and must not end the service
                    self._log_unexpected(name, error)
                    pause = _ERROR_PAUSE_S
                self._stop.wait(pause)

        self._threads[name] = threading.Thread(target=repeat, name=name, daemon=True)
        self._threads[name].start()

    def _log_unexpected(self, name: str, error: Exception, **log_fields: str) -> None:
        self._metrics.errors.labels(name).inc()
        _log.error("unexpected error in %s", name, exc_info=error, extra=log_fields)

    # --- threads ------------------------------------------------------------------------------------------------------

    def _maintain_queue(self) -> float:
        """Create jobs from complete studies, update destinations, and expire old jobs."""
        now = self._clock()
        for job in self._spool.jobs(State.RUNNING):  # except unreadable ones
            try:
                self._requeue_orphan(job.id)
            except (SpoolError, OSError) as error:  # one job must not block the others
                self._log_unexpected("queue", error, job=job.id)
        resume_assembly(self._spool, now)
        for study in self._inbox.complete_studies(self._config.study_complete_after_s):
            try:
                self._metrics.studies.inc(assemble_job(self._spool, self._inbox, study, now))
            except Exception as error:  # one study must not block the others
                self._log_unexpected("queue", error, study=study[:12])
        transitions.sync_destinations(self._spool, [d.name for d in self._config.destinations], now)
        if time.monotonic() - self._housekeeping_at > _HOUSEKEEPING_S:
            self._housekeeping_at = time.monotonic()
            retention = self._config.retention
            transitions.expire(self._spool, State.DONE, retention.done_days, now)
            transitions.expire(self._spool, State.FAILED, retention.failed_days, now)
            self._metrics.spool_bytes.set(self._inbox.measure())
        self._heartbeat = time.monotonic()
        return _TICK_S

    def _requeue_orphan(self, name: str) -> None:
        """Requeue a running job that no worker has: the disk failed when it should have moved."""
        with self._spool.transition():
            if name not in self._running and self._spool.job_folder(State.RUNNING, name).exists():
                transitions.requeue(self._spool, self._spool.read(State.RUNNING, name))

    def _run_one(self, worker: Worker) -> float:
        """Run the oldest waiting study."""
        with self._spool.transition():
            job = transitions.claim(self._spool, self._clock())
            if job is None:
                return _TICK_S
            self._running.add(job.id)
        log_fields = {"study": job.short_study, "job": job.id, "device": worker.device}
        folder = self._spool.job_folder(State.RUNNING, job.id)
        _log.info("run started", extra=log_fields | {"attempt": job.attempts + 1, "instances": job.instances})
        started, deaths = time.monotonic(), worker.deaths
        try:
            seconds = worker.run(folder, job.clock, self._stop)
            self._succeeded(job)
        except Stopped:
            transitions.requeue(self._spool, job)
            _log.info("run stopped, study requeued", extra=log_fields)
        except CSpineError as error:
            self._failed(job, error, log_fields)
        else:
            self._metrics.ran.inc()
            for step, value in (seconds | {"total": time.monotonic() - started}).items():
                self._metrics.steps.labels(step).observe(value)
            _log.info("run finished", extra=log_fields | {"seconds": round(time.monotonic() - started, 1)})
        finally:
            self._running.discard(job.id)
            self._metrics.restarts.labels(worker.device).inc(worker.deaths - deaths)
            self._last_study = self._clock()
            self._metrics.last_study.set(self._last_study)
        return 0.0

    def _succeeded(self, job: Job) -> None:
        try:
            transitions.succeed(self._spool, job)
        except OSError as error:
            raise OutputError(f"cannot store the results: {error.strerror}") from error

    def _failed(self, job: Job, error: CSpineError, log_fields: dict[str, Any]) -> None:
        run = self._config.run
        state = transitions.fail(self._spool, job, error, run.max_attempts, run.retry_after_s, self._clock())
        self._metrics.failed.labels(error.code).inc()
        log_fields = log_fields | {"code": error.code, "state": state, "advice": error.advice}
        level = logging.ERROR if state is State.FAILED else logging.WARNING
        _log.log(level, "run failed: %s", error.message, extra=log_fields)

    def _deliver_one(self, deliverer: Deliverer) -> float:
        job = deliverer.next_due()
        if job is None:
            return _TICK_S
        deliverer.deliver(job)
        return 0.0

    def _poll(self, poller: Poller) -> float:
        return poller.poll()

    # --- status -------------------------------------------------------------------------------------------------------

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether the service is healthy, and its status; update the gauges."""
        queue = {str(state): len(self._spool.names(state)) for state in State}
        incoming = sum(1 for _ in self._spool.incoming.iterdir())
        free, now = self._spool.free_bytes(), self._clock()
        for state, count in queue.items():
            self._metrics.queue.labels(state).set(count)
        self._measure_waits(now)
        self._metrics.incoming_studies.set(incoming)
        self._metrics.free_bytes.set(free)
        threads = {name: thread.is_alive() for name, thread in self._threads.items()}
        if self._listener is not None:
            threads["listener"] = self._listener.alive
        stuck = time.monotonic() - self._heartbeat > _STUCK_S
        space_ok = free >= self._config.limits.min_free_bytes
        healthy = all(threads.values()) and space_ok and not stuck and not self._stop.is_set()
        return healthy, {
            "status": "ok" if healthy else "unhealthy",
            "time": iso_time(now),
            "threads": threads,
            "queue_alive": not stuck,
            "disk_space_ok": space_ok,
            "disk_free_bytes": free,
            "queue": queue,
            "studies_incoming": incoming,
            "seconds_since_last_study": None if self._last_study is None else round(now - self._last_study),
        }

    def _measure_waits(self, now: float) -> None:
        """Set the gauges of jobs that wait for a device or a destination."""
        waiting = self._spool.jobs(State.WAITING)
        oldest = min((datetime.fromisoformat(job.created).timestamp() for job in waiting), default=now)
        self._metrics.oldest_waiting.set(max(0.0, now - oldest))
        sending = self._spool.jobs(State.SENDING)
        for name in (destination.name for destination in self._config.destinations):
            deliveries = (job.destinations.get(name) for job in sending)
            self._metrics.pending.labels(name).set(sum(d is not None and d.state == "pending" for d in deliveries))
