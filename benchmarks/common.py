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
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LIBRARIES = ("cspine", "torch", "openvino", "nnunetv2", "numpy", "SimpleITK", "highdicom")


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
        "versions": {name: _version(name) for name in LIBRARIES},
        "commit": _commit(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str | None:
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
    """Run a module of this package as a process of its own; return seconds and the peak memory of its processes."""
    began = time.perf_counter()
    command = [sys.executable, "-W", "ignore", "-m", module, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | {"nnUNet_compile": "f"})
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT"))
    return {"seconds": seconds, **json.loads(line.removeprefix("RESULT"))}


def peak_gib() -> float:
    """Return the peak resident memory of this process and the largest of its children."""
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 2**20


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
