"""What the measurements share: the machine, alternating runs in processes of their own, Markdown and JSON."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = (
    "cspine", "torch", "openvino", "nnunetv2", "numpy", "pydicom", "highdicom", "SimpleITK", "monai-deploy-app-sdk",
    "dcmqi",
)  # fmt: skip
#: Seconds between two looks at the memory of a process tree.
_SAMPLE_S = 0.25


def machine() -> dict[str, Any]:
    """Return the processor, its cores and instruction sets, the versions and the commit."""
    from cspine.inference.engines.cpu import cpu_flags, has_amx
    from cspine.io.machine import memory, usable_cores

    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_gib": round(memory().total / 2**30, 1),
        "amx": has_amx(),
        "avx512_bf16": "avx512_bf16" in cpu_flags(),
        "load_1min": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def version(name: str) -> str | None:
    """Return the version of an installed distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str | None:
    done = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def alternate(tools: Mapping[str, Callable[[], Mapping[str, float]]], runs: int) -> dict[str, dict[str, float]]:
    """Return the medians of each tool's figures; the tools take turns, so that a busy machine slows all of them."""
    figures: dict[str, list[Mapping[str, float]]] = {name: [] for name in tools}
    for _ in range(runs):
        for name, run in tools.items():
            figures[name].append(run())
    return {
        name: {key: statistics.median(one[key] for one in all_runs) for key in all_runs[0]}
        for name, all_runs in figures.items()
    }


def child(module: str, arguments: Sequence[str]) -> dict[str, float]:
    """Run a module of this package as a process of its own; return the figures of `run` and those that it states."""
    printed, figures = run([sys.executable, "-W", "ignore", "-m", module, *arguments])
    line = next(line for line in printed.splitlines() if line.startswith("RESULT"))
    return {**figures, **json.loads(line.removeprefix("RESULT"))}


def run(command: Sequence[str]) -> tuple[str, dict[str, float]]:
    """Run a command as a process of its own; exit with its errors if it fails.

    Returns
    -------
    printed : str
        Its standard output.
    figures : dict
        ``seconds``, ``processor_seconds``, and ``tree_gib``, the peak resident memory of it and its descendants.
    """
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        started = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=err, env=os.environ | {"nnUNet_compile": "f"})
        watch = _TreeWatch(started.pid)
        watch.start()
        _, status, used = os.wait4(started.pid, 0)
        seconds = time.perf_counter() - began
        started.returncode = os.waitstatus_to_exitcode(status)
        watch.stop()
        if status:
            err.seek(0)
            sys.exit(f"{' '.join(command)} failed:\n{err.read()[-2000:]}")
        out.seek(0)
        printed = out.read()
    # What the kernel knows of one process is exact, unless it is the memory of this one, from which the command was
    # forked; what a tree holds at once can only be sampled.
    exact = used.ru_maxrss if used.ru_maxrss > resource.getrusage(resource.RUSAGE_SELF).ru_maxrss else 0
    tree_gib = max(exact / 2**20, watch.peak_bytes / 2**30)
    return printed, {
        "seconds": seconds,
        "processor_seconds": used.ru_utime + used.ru_stime,
        "tree_gib": tree_gib,
    }


class _TreeWatch(threading.Thread):
    """Samples the resident memory of a process and its descendants.

    Parameters
    ----------
    pid : int
        The process.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self._pid, self._ended = pid, threading.Event()
        self.peak_bytes = 0

    def run(self) -> None:
        while not self._ended.wait(_SAMPLE_S):
            with suppress(psutil.NoSuchProcess):
                root = psutil.Process(self._pid)
                self.peak_bytes = max(self.peak_bytes, sum(map(_resident, [root, *root.children(recursive=True)])))

    def stop(self) -> None:
        """End the sampling."""
        self._ended.set()
        self.join()


def _resident(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def result(**figures: float) -> None:
    """Print the figures of a child for its parent."""
    print("RESULT", json.dumps(figures))


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)


def parser(text: str | None) -> argparse.ArgumentParser:
    """Return a parser with the options of every measurement."""
    made = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--json", type=Path, help="write the figures as JSON")
    made.add_argument("--runs", type=int, default=3, help="runs of each, of which the medians are stated")
    return made


def publish(figures: Mapping[str, Any], markdown: str, path: Path | None) -> None:
    """Print Markdown with the machine, and write JSON if it is wanted."""
    about = machine()
    print(f"{about['cores']} cores of {about['processor']}, AMX {'yes' if about['amx'] else 'no'}\n\n{markdown}")
    if path is not None:
        path.write_text(json.dumps({"machine": about, **figures}, indent=2) + "\n")
