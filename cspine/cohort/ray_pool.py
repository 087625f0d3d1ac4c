"""Workers of a cohort as Ray actors, on this machine (loopback only) or on a cluster.

Ray is imported lazily: it belongs to the extra ``cohort``.
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
from pathlib import Path
from typing import Any

from cspine.cohort.scheduler import WorkerEvent
from cspine.cohort.worker import CohortTask, StudyAttempt, StudyWorker
from cspine.core.errors import CohortError, DeviceError, MissingExtraError, UsageError
from cspine.inference.threads import set_threads
from cspine.io.machine import memory, usable_cores
from cspine.io.privacy import withhold_foreign_texts
from cspine.io.staging import staging_folder

_log = logging.getLogger(__name__)

#: Memory of one study on a CPU; 1.6 GiB were measured for 300 x 512 x 512 voxels.
BYTES_PER_STUDY = 2 * 2**30
# Ray only transfers paths and records.
_OBJECT_STORE_BYTES = 80 * 2**20
_CONNECT_S = 10.0


@dataclass(frozen=True)
class WorkerResources:
    """The number of workers and the resources that Ray reserves for each.

    Parameters
    ----------
    workers : int
        Number of workers.
    cores, gpus, memory_bytes : int
        Per worker; ``memory_bytes`` is 0 if no memory is reserved.
    """

    workers: int
    cores: int
    gpus: int
    memory_bytes: int


@contextmanager
def connected(address: str | None) -> Iterator[None]:
    """Start Ray on this machine or connect to a cluster, and shut it down or disconnect at the end.

    Parameters
    ----------
    address : str or None
        ``"HOST:PORT"`` of a cluster, ``"auto"`` for the cluster of this machine; None for this machine alone.

    Raises
    ------
    MissingExtraError
        If Ray is not installed.
    CohortError
        If Ray does not start, or the cluster does not respond.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    if address is None:
        # Ray has no options for these: the address of the node is 127.0.0.1, on Linux too, and the token stays in
        # memory (Ray would store it in the home folder, which a container user may not have).
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"] = "token", secrets.token_hex(32)
    else:
        _check_address(address)
    ray = _ray()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        with staging_folder(Path(tempfile.gettempdir()), "cspine-ray-") as folder:
            try:
                _init(ray, address, str(folder / "r"))  # Ray lets every user write its folder, but not the one above
                _restore(handlers)
                yield
            finally:
                with suppress(Exception):  # an interrupt may arrive while Ray starts
                    ray.shutdown()
    except SystemExit:
        # On SIGTERM, Ray's handlers replace the exit code of our handler.
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
            "`address` must be HOST:PORT of the head of a cluster, or auto",
            advice="Start the cohort on a machine of the cluster; ray:// addresses are not supported.",
        )
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise CohortError(
            "no cluster at this address", advice="Check the cluster with `ray status` on its head."
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
    except Exception as error:  # Ray passes on exceptions of its libraries
        if address is None:
            advice = "The temporary folder (TMPDIR) needs space and a short path."
            raise CohortError(f"Ray does not start: {type(error).__name__}", advice=advice) from error
        advice = "Check it with `ray status` on its head; Ray and Python must have the versions of the cluster."
        raise CohortError(f"cannot connect to the cluster: {type(error).__name__}", advice=advice) from error


def plan_workers(device: str, threads: int, max_workers: int | None, *, local: bool) -> WorkerResources:
    """Determine the number of workers: one per GPU, otherwise by cores and memory.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    threads : int
        CPU threads per study.
    max_workers : int or None
        Maximum number of workers.
    local : bool
        Ray runs on this machine alone: its available memory counts, not the value that Ray reports.

    Raises
    ------
    UsageError
        If the device is a specific GPU: Ray assigns GPUs to workers.
    DeviceError
        If CUDA was requested but no machine has a GPU.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise UsageError(
            f"`device` {device}: a cohort supports auto, cpu and cuda", advice="Ray assigns the GPUs to workers."
        )
    nodes = [node["Resources"] for node in _ray().nodes() if node["Alive"]]
    gpus = int(sum(resources.get("GPU", 0) for resources in nodes))
    if device == "cuda" and not gpus:
        raise DeviceError("cuda: Ray finds no GPU")
    if device != "cpu" and gpus:
        return WorkerResources(min(gpus, max_workers or gpus), 1, 1, 0)
    cores = [int(node.get("CPU", 0)) for node in nodes]
    if local:  # a small machine still runs one study at a time
        workers = max(1, min(sum(cores) // threads, memory().available // BYTES_PER_STUDY))
        return WorkerResources(min(workers, max_workers or workers), min(threads, sum(cores)), 0, 0)
    capacities = [int(node.get("memory", 0) // BYTES_PER_STUDY) for node in nodes]
    workers = sum(min(number // threads, capacity) for number, capacity in zip(cores, capacities, strict=True))
    if workers == 0:
        raise CohortError(f"no machine of the cluster has {threads} cores and {BYTES_PER_STUDY // 2**30} GiB")
    return WorkerResources(min(workers, max_workers or workers), threads, 0, BYTES_PER_STUDY)


def _umask() -> int:
    """Return the umask of this process, by which workers on any machine write results."""
    umask = os.umask(0o077)
    os.umask(umask)
    return umask


class _Actor(StudyWorker):
    """A worker in its own process."""

    def __init__(self, task: CohortTask, umask: int) -> None:
        os.umask(umask)
        # A cluster stores the output of workers.
        withhold_foreign_texts()
        warnings.simplefilter("ignore")
        logging.disable(logging.CRITICAL)
        set_threads(task.threads)
        super().__init__(task)


class RayPool:
    """A pool of Ray actors; as a context manager it stops them at the end.

    Parameters
    ----------
    task : CohortTask
        Task of the cohort.
    resources : WorkerResources
        Resources that Ray reserves for each worker.
    """

    def __init__(self, task: CohortTask, resources: WorkerResources) -> None:
        self._ray = _ray()
        options: dict[str, Any] = {"num_cpus": resources.cores, "num_gpus": resources.gpus}
        if resources.memory_bytes:
            options["memory"] = resources.memory_bytes
        # The scheduler replaces dead actors, because it knows their studies; Ray must not repeat calls.
        self._actor = self._ray.remote(_Actor).options(max_restarts=0, max_task_retries=0, **options)
        self._task = self._ray.put(task)
        self._workers: dict[int, Any] = {}
        self._calls: dict[Any, int] = {}
        self._started = 0

    def __enter__(self) -> RayPool:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            with suppress(Exception):  # already dead
                self._ray.kill(worker)

    def start(self) -> int:
        """Start a worker and return its number."""
        number, self._started = self._started, self._started + 1
        self._workers[number] = self._actor.remote(self._task, _umask())
        self._calls[self._workers[number].ready.remote()] = number
        return number

    def submit(self, worker: int, attempt: StudyAttempt) -> None:
        """Submit an attempt to a worker."""
        self._calls[self._workers[worker].run.remote(attempt)] = worker

    def wait(self, seconds: float) -> Sequence[WorkerEvent]:
        """Return the events that occur within ``seconds``."""
        done, _ = self._ray.wait(list(self._calls), num_returns=1, timeout=seconds)
        return [self._event(call) for call in done]

    def _event(self, call: Any) -> WorkerEvent:
        worker = self._calls.pop(call)
        try:
            return WorkerEvent(worker, self._ray.get(call))
        except self._ray.exceptions.RayTaskError:
            raise  # a defect: the worker is alive
        except self._ray.exceptions.RayError:  # killed, out of memory, or its machine is lost
            with suppress(Exception):
                self._ray.kill(self._workers.pop(worker))
            return WorkerEvent(worker, None)
