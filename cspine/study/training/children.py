"""The processes of a training: one per step, one fold per device at a time; their progress, their ends, their logs."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cspine.core.errors import DeviceError, TrainingError
from cspine.io.documents import read_csv
from cspine.io.tables import duration
from cspine.study.training.run_folder import RunFolder

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5
_LEAVE_WITHIN_S = 20.0
#: nnU-Net's own number of processes that load patches for one GPU.
_MAX_LOADERS = 12
_LAST_BYTES = 20_000


@dataclass(frozen=True)
class Machine:
    """The devices and processes of a training.

    Parameters
    ----------
    devices : tuple of str
        ``("cpu",)``, or the numbers of the GPUs (``"cuda:0"``), one fold each at a time.
    processes : int
        Cores for helper processes, in all.
    """

    devices: tuple[str, ...]
    processes: int

    @property
    def on_gpu(self) -> bool:
        """Return True where the devices are GPUs."""
        return self.devices != ("cpu",)

    @property
    def for_each(self) -> int:
        """Return the number of helper processes for one of the folds that train at a time."""
        return max(1, self.processes // len(self.devices))


def machine_of(device: str, processes: int) -> Machine:
    """Return what `--device` and `--processes` ask for.

    Parameters
    ----------
    device : str
        ``"auto"`` (every GPU, or else the CPU), ``"cpu"``, ``"cuda"`` (every GPU) or ``"cuda:0,1"``.
    processes : int
        Cores.

    Raises
    ------
    DeviceError
        If a GPU is not there.
    """
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cpu" or (device == "auto" and not there):
        return Machine(("cpu",), processes)
    if device in ("auto", "cuda"):
        wanted = list(range(there))
    else:
        kind, _, numbers = device.partition(":")
        if kind != "cuda" or not all(part.isdecimal() for part in numbers.split(",")):
            raise DeviceError(f"{device!r} is not a device", advice="Give auto, cpu, cuda, cuda:0 or cuda:0,1.")
        wanted = sorted({int(part) for part in numbers.split(",")})
    if not wanted or max(wanted) >= there:
        raise DeviceError(f"{device} was asked for, and torch sees {there} GPUs", advice="Give `device` cpu or auto.")
    return Machine(tuple(f"cuda:{n}" for n in wanted), processes)


@dataclass(frozen=True)
class Step:
    """One thing that nnU-Net does.

    Parameters
    ----------
    words : tuple of str
        As `cspine.study.training.child` understands them: ``("plan",)``, ``("preprocess", "3d_fullres")``,
        ``("fold", "3d_fullres", "0")``.
    table : Path or None
        Table of epochs that it writes.
    """

    words: tuple[str, ...]
    table: Path | None = None

    @property
    def name(self) -> str:
        """Return the name of the step in messages, for its log file and for the list of finished steps."""
        return " ".join(self.words)


@dataclass
class _Child:
    steps: list[Step]
    device: str
    process: subprocess.Popen[bytes]
    output: Path
    epochs_reported: int = -1
    begun: float = field(default_factory=time.monotonic)


def run_steps(
    steps: Sequence[Step], folder: RunFolder, machine: Machine, lock: int, on_progress: Callable[[int, int], None]
) -> None:
    """Run steps that are not done yet, as many at a time as there are devices.

    On a CPU one process runs them all, one after the other: to start it takes as long as a small step. On GPUs each
    step has a process of its own, which leaves the GPU's memory clean.

    Parameters
    ----------
    steps : sequence of Step
        In this order.
    folder : RunFolder
        The run.
    machine : Machine
        Devices and cores.
    lock : int
        Descriptor from `RunFolder.locked`.
    on_progress : callable
        Called with the number of finished epochs and of all epochs.

    Raises
    ------
    TrainingError
        If a step fails: the others are terminated, and the same command resumes all of them.
    """
    for step in steps:
        if folder.is_done(step.name):
            _log.info("%s: cached", step.name)
    left = [step for step in steps if not folder.is_done(step.name)]
    waiting = [[step] for step in left] if machine.on_gpu else [left] if left else []
    running: list[_Child] = []
    reported = (0, 0)
    try:
        while waiting or running:
            free = [device for device in machine.devices if all(child.device != device for child in running)]
            for device in free[: len(waiting)]:
                running.append(_start(waiting.pop(0), folder, device, machine, lock))  # noqa: PERF401 - ended below
            time.sleep(_LOOK_EVERY_S)
            for child in list(running):
                ended = child.process.poll() is not None
                _look(child, folder)
                if ended:
                    running.remove(child)
                    _check_end(child, folder)
            done = _epochs_done(steps)
            if done != reported:
                reported = done
                on_progress(*done)
    finally:
        _end(running)


def _start(steps: list[Step], folder: RunFolder, device: str, machine: Machine, lock: int) -> _Child:
    processes, number = machine.for_each, device.partition(":")[2]
    loaders = min(processes, _MAX_LOADERS) if machine.on_gpu else 0
    gpu = _visible(number) if machine.on_gpu else None
    environment = folder.environment(processes, loaders, gpu, compiled=machine.on_gpu and _can_compile())
    command = [sys.executable, "-m", "cspine.study.training.child", str(folder.root), folder.dataset]
    command += ["--processes", str(processes), "--device", device.partition(":")[0], *(step.name for step in steps)]
    folder.logs.mkdir(parents=True, exist_ok=True)
    output = folder.logs / "start.log"
    _log.info("%s begins%s", steps[0].name, f" on {device}" if machine.on_gpu else "")
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of cspine
            command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, pass_fds=(lock,)
        )
    return _Child(steps, device, process, output)


def _visible(number: str) -> str:
    """Name a GPU as CUDA does, where this process sees some of them only."""
    seen = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return seen[int(number)] if int(number) < len(seen) else number


def _can_compile() -> bool:
    """Return whether torch.compile, which nnU-Net uses on a GPU, has what it needs."""
    return importlib.util.find_spec("triton") is not None and any(shutil.which(name) for name in ("cc", "gcc", "clang"))


def _look(child: _Child, folder: RunFolder) -> None:
    """Log the epochs and the steps that a process finished since the last check."""
    while child.steps:
        step = child.steps[0]
        _tell_epoch(child, step)
        if not folder.is_done(step.name):
            return
        _log.info("%s: done in %s", step.name, duration(time.monotonic() - child.begun))
        child.steps.pop(0)
        child.begun, child.epochs_reported = time.monotonic(), -1
        if child.steps:
            _log.info("%s begins", child.steps[0].name)


def _check_end(child: _Child, folder: RunFolder) -> None:
    code = child.process.returncode
    if code == 0 and not child.steps:
        return
    name = child.steps[0].name if child.steps else "nnU-Net"
    if code < 0:
        raise TrainingError(
            f"{name} was ended by {signal.Signals(-code).name}",
            advice="SIGKILL most often means that the machine is out of memory: give fewer `processes`, or a "
            "smaller patch or batch. The same command resumes from the last checkpoint.",
        )
    log = folder.log(name) if folder.log(name).is_file() else child.output
    reason = last_line(log)
    raise TrainingError(f"{name} failed: {reason}", advice=f"{_advice(reason)}The log is {log}.")


def _advice(reason: str) -> str:
    for sign, advice in (
        ("No space left", "The disk is full: the same command resumes when there is space. "),
        ("out of memory", "The GPU has too little memory: give a smaller `patch_size` or `batch_size`. "),
        ("6 feet under", "Most often the machine is out of memory: give fewer `processes`. "),
        ("no longer alive", "Most often the machine is out of memory: give fewer `processes`. "),
        ("pth is damaged", "Remove that file from the folder of the fold, which then begins again. "),
    ):
        if sign in reason:
            return advice
    return ""


def last_line(log: Path) -> str:
    """Return the last line of a log that says something: of an exception, its text."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _LAST_BYTES))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return "its log cannot be read"
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "its log is empty")


def _end(running: Iterable[_Child]) -> None:
    """End what still runs; a fold resumes from its last checkpoint."""
    children = list(running)
    for child in children:
        child.process.terminate()
    deadline = time.monotonic() + _LEAVE_WITHIN_S
    for child in children:
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.process.kill()
            child.process.wait()


def epochs_of(table: Path) -> list[dict[str, str]]:
    """Return the rows of a fold's table of epochs; none while there is no table."""
    try:
        return read_csv(table)[1]
    except (OSError, ValueError):
        return []


def _tell_epoch(child: _Child, step: Step) -> None:
    """Log the last epoch, if it is new since the last check."""
    if step.table is None:
        return
    rows = epochs_of(step.table)
    if not rows or int(rows[-1]["epoch"]) <= child.epochs_reported:
        return
    row, child.epochs_reported = rows[-1], int(rows[-1]["epoch"])
    left = (int(row["of"]) - int(row["epoch"]) - 1) * float(row["seconds"])
    _log.info(
        "%s, epoch %d of %s: loss %s, on validation patches %s, pseudo Dice %s; %s per epoch%s",
        step.name,
        int(row["epoch"]) + 1,
        row["of"],
        row["train_loss"],
        row["validation_loss"],
        row["pseudo_dice"],
        duration(float(row["seconds"])),
        f", about {duration(left)} left" if left else ", validation is next",
    )


def _epochs_done(steps: Sequence[Step]) -> tuple[int, int]:
    """Return the epochs done, and all of them; 0 and 0 before the first one of the run."""
    tables = [epochs_of(step.table) for step in steps if step.table is not None]
    epochs = max((int(rows[-1]["of"]) for rows in tables if rows), default=0)
    return sum(int(rows[-1]["epoch"]) + 1 for rows in tables if rows), epochs * len(tables)
