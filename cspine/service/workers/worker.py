"""One long-lived process per device: it keeps the model loaded, and may be killed without harm to the service."""

from __future__ import annotations

import ctypes
import logging
import multiprocessing
import os
import signal
import threading
import time
from multiprocessing.connection import Connection
from pathlib import Path

from cspine.core.errors import CSpineError, WorkerDiedError, as_defect
from cspine.io.privacy import withhold_foreign_texts
from cspine.service.config import Run
from cspine.service.ops.json_log import start_json_logging
from cspine.service.workers.runner import Runner, RunnerFactory

_log = logging.getLogger(__name__)
_POLL_S = 0.2
_SHUTDOWN_S = 5.0
_MAX_RUNS_PER_PROCESS = 500  # bounds memory leaks
_PR_SET_PDEATHSIG = 1


class Stopped(Exception):  # noqa: N818
    """The service is shutting down: the run was stopped and did not fail."""


class Worker:
    """The worker process of one device.

    Parameters
    ----------
    device : str
        Device name.
    run : Run
        Settings of runs.
    factory : callable
        A `RunnerFactory` that can be pickled.
    """

    def __init__(self, device: str, run: Run, factory: RunnerFactory) -> None:
        self.device = device
        self._run = run
        self._factory = factory
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None
        self.deaths = 0
        self._runs = 0

    def run(self, folder: Path, clock: str, stop: threading.Event) -> dict[str, float]:
        """Run the study in a job's folder.

        Parameters
        ----------
        folder : Path
            Folder of the job, with ``input/``.
        clock : str
            Clock of the run, ISO 8601.
        stop : Event
            Set when the service shuts down.

        Returns
        -------
        dict
            Seconds per step.

        Raises
        ------
        Stopped
            If the service shuts down.
        WorkerDiedError
            If the process died or reached its time limit.
        CSpineError
            If the study fails.
        """
        connection = self._ensure_started()
        end = time.monotonic() + self._run.time_limit_s
        try:
            connection.send((str(folder), clock))
            while not connection.poll(_POLL_S):
                if stop.is_set():
                    self.stop()
                    raise Stopped
                if time.monotonic() > end:
                    self._kill()
                    raise WorkerDiedError(f"the process reached its time limit of {self._run.time_limit_s:g} s")
            answer = connection.recv()
        except (EOFError, OSError) as error:
            if stop.is_set():
                self._kill()
                raise Stopped from error
            raise WorkerDiedError(self._exit_cause()) from error
        if isinstance(answer, CSpineError):
            raise answer
        assert isinstance(answer, dict)
        self._runs += 1
        if self._runs >= _MAX_RUNS_PER_PROCESS:
            self._runs = 0
            self.stop()
        return answer

    def stop(self) -> None:
        """Terminate the process; kill it if it does not end."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(_SHUTDOWN_S)
        self._kill(died=False)

    def _ensure_started(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._connection is not None:
            return self._connection
        self._kill(died=False)
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        level = logging.getLogger("cspine").getEffectiveLevel()
        self._process = context.Process(
            target=_work,
            args=(theirs, self._factory, self._run, self.device, os.getpid(), level),
            name=f"cspine {self.device}",
            daemon=True,
        )
        self._process.start()
        theirs.close()
        return self._connection

    def _exit_cause(self) -> str:
        assert self._process is not None
        self._process.join(_SHUTDOWN_S)
        code = self._process.exitcode
        self._kill()
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            return f"the process was killed by {name}" + (", probably out of memory" if -code == signal.SIGKILL else "")
        return f"the process ended with exit code {code}"

    def _kill(self, *, died: bool = True) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join(_SHUTDOWN_S)
            self._process.close()
            self._process = None
            self.deaths += died
        if self._connection is not None:
            self._connection.close()
            self._connection = None


# --- in the worker process --------------------------------------------------------------------------------------------


def _work(connection: Connection, factory: RunnerFactory, run: Run, device: str, service: int, level: int) -> None:
    """Run studies until the service closes the connection or dies."""
    _exit_with(service)
    withhold_foreign_texts()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the whole group: the service decides
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    runner: Runner | None = None
    while True:
        try:
            folder, clock = connection.recv()
        except (EOFError, OSError):
            return
        job = Path(folder).name
        start_json_logging(level, device=device, study=job.rpartition("-")[2][:12], job=job)
        try:
            if runner is None:
                runner = factory(run, device)
            answer: object = runner(Path(folder), clock)
        except Exception as unexpected:
            answer = as_defect(unexpected)
        connection.send(answer)


def _exit_with(service: int) -> None:
    """Have the kernel kill this process when the service dies: two processes must never write to one job."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != service:  # the service died before the line above
        os._exit(1)
