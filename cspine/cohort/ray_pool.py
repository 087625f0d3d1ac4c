"""Workers of a cohort as Ray actors: on this machine, where everything binds loopback, or on a cluster.

Ray is imported where it is needed: it belongs to the extra ``cohort``.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import socket
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch

from cspine.cohort.plan import Answer
from cspine.cohort.worker import CohortTask, StudyAttempt, StudyWorker
from cspine.core.errors import CohortError, DeviceError, MissingExtraError, UsageError
from cspine.io.machine import memory, usable_cores

_log = logging.getLogger(__name__)

#: Memory that one study takes on a CPU: measured 1.6 GiB for 300 x 512 x 512 voxels.
BYTES_PER_STUDY = 2 * 2**30
# Paths and records are all that Ray carries.
_OBJECT_STORE_BYTES = 80 * 2**20
_CONNECT_S = 10.0


@dataclass(frozen=True)
class Needs:
    """How many workers, and what Ray sets aside for each.

    Parameters
    ----------
    workers : int
        Number of workers.
    cores, gpus, bytes_ : int
        Of one worker; ``bytes_`` is 0 where nothing is set aside.
    """

    workers: int
    cores: int
    gpus: int
    bytes_: int


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Start Ray on this machine, or connect to a cluster, and leave it at the end.

    Parameters
    ----------
    address : str or None
        ``"HOST:PORT"`` of a cluster, ``"auto"`` for the one that this machine belongs to; None for this machine alone.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    CohortError
        If Ray does not start, or there is no such cluster.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # Ray has no options for these: the node's address is 127.0.0.1, on Linux too, and the token stays in memory
        # (Ray would keep one in the home folder, which the user of a container may not have).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    else:
        _check_address(address)
    ray = _ray()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with tempfile.TemporaryDirectory(prefix="cspine-ray-", ignore_cleanup_errors=True) as folder:
            try:
                _init(ray, address, folder)
                _restore(handlers)
                yield
            finally:
                with suppress(Exception):  # an interrupt may come while Ray starts
                    ray.shutdown()
    except SystemExit:
        # SIGTERM: Ray's handler while it starts, and its calls later, forget the exit code that ours asks for.
        _restore(handlers)
        signal.raise_signal(signal.SIGTERM)
        raise


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _ray() -> Any:
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("cohorts need the extra 'cohort': pip install 'cspine[cohort]'") from error
    return ray


def _check_address(address: str) -> None:
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdigit():
        raise UsageError(
            "--address is HOST:PORT of a cluster's head, or auto",
            advice="Start the cohort on a machine of the cluster; ray:// addresses are not taken.",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise CohortError(
            "no cluster answers at the address", advice="`ray status` on its head tells whether it runs."
        ) from error


def _init(ray: Any, address: str | None, folder: str) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address is None:
            ray.init(
                address="local", num_cpus=usable_cores(), include_dashboard=False,
                object_store_memory=_OBJECT_STORE_BYTES, _temp_dir=folder, **quiet,
            )  # fmt: skip
        else:
            ray.init(address=address, **quiet)
    except Exception as error:  # Ray raises whatever its libraries raise
        if address is None:
            advice = "The temporary folder (TMPDIR) needs space and a short path."
            raise CohortError(f"Ray does not start: {type(error).__name__}", advice=advice) from error
        advice = "`ray status` on its head tells whether it runs; cspine needs the Ray and Python of the cluster."
        raise CohortError(f"the cluster cannot be used: {type(error).__name__}", advice=advice) from error


def needs_of(device: str, threads: int, most: int | None, *, local: bool) -> Needs:
    """Find out how many workers the machines have room for: one a GPU, or else by cores and memory.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    threads : int
        Threads of one study on a CPU.
    most : int or None
        No more workers than this.
    local : bool
        True where Ray runs on this machine alone: its free memory counts, not what Ray thinks of it.

    Raises
    ------
    UsageError
        If the device names one GPU: Ray gives each worker its own.
    DeviceError
        If CUDA was asked for, and no machine has it.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"--device {device}: a cohort takes auto, cpu or cuda", advice="Ray gives each worker its GPU."
        )
    nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    gpus = int(sum(resources.get("GPU", 0) for resources in nodes))
    if device == "cuda" and not gpus:
        raise DeviceError("cuda: Ray finds no GPU")
    if device != "cpu" and gpus:
        return Needs(min(gpus, most or gpus), 1, 1, 0)
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if local:  # what is free now counts, and a small machine still takes one study at a time
        workers = max(1, min(sum(cores) // threads, memory().available // BYTES_PER_STUDY))
        return Needs(min(workers, most or workers), min(threads, sum(cores)), 0, 0)
    rooms = [int(node.get("memory", 0) // BYTES_PER_STUDY) for node in nodes]
    workers = sum(min(number // threads, room) for number, room in zip(cores, rooms, strict=True))
    if workers == 0:
        raise CohortError(f"no machine of the cluster has {threads} cores and {BYTES_PER_STUDY // 2**30} GiB")
    return Needs(min(workers, most or workers), threads, 0, BYTES_PER_STUDY)


class _Actor(StudyWorker):
    """A worker in a process of its own."""

    def __init__(self, task: CohortTask) -> None:
        # Libraries warn with values of headers in their words, and a cluster keeps what a worker prints.
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        torch.set_num_threads(task.threads)
        super().__init__(task)


class RayPool:
    """Workers as Ray actors; a context manager that stops them.

    Parameters
    ----------
    task : CohortTask
        What is the same for every study.
    needs : Needs
        What Ray sets aside for each worker.
    """

    def __init__(self, task: CohortTask, needs: Needs) -> None:
        self._ray = _ray()
        options: dict[str, Any] = {"num_cpus": needs.cores, "num_gpus": needs.gpus}
        if needs.bytes_:
            options["memory"] = needs.bytes_
        # A dead actor is replaced by `plan`, which knows its study; no call is made twice behind its back.
        self._actor = self._ray.remote(_Actor).options(max_restarts=0, max_task_retries=0, **options)
        self._task = self._ray.put(task)
        self._workers: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        self._started = 0

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            with suppress(Exception):  # dead already
                self._ray.kill(worker)

    def start(self) -> int:
        """Start a worker and return its number."""
        number, self._started = self._started, self._started + 1
        self._workers[number] = self._actor.remote(self._task)
        self._calls[self._workers[number].ready.remote()] = number
        return number

    def submit(self, worker: int, job: StudyAttempt) -> None:
        """Give a study to a worker."""
        self._calls[self._workers[worker].run.remote(job)] = worker

    def wait(self, seconds: float) -> Sequence[Answer]:
        """Return what was heard within ``seconds``."""
        done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        return [self._answer(call) for call in done]

    def _answer(self, call: Any) -> Answer:
        worker = self._calls.pop(call)
        try:
            return Answer(worker, self._ray.get(call))
        except self._ray.exceptions.RayTaskError:
            raise  # the worker lives: a defect
        except self._ray.exceptions.RayError:  # killed, by hand or for its memory; its machine lost
            with suppress(Exception):
                self._ray.kill(self._workers.pop(worker))
            return Answer(worker, None)
