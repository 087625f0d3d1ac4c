"""External programs, paths of screenshots and logs, and waiting, for the system tests."""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Screenshots and logs of the last run.
ARTEFACTS = ROOT / "build" / "test-system"
#: Node packages, as tests/system/install-tools.sh leaves them.
NODE_PACKAGES = ROOT / "build" / "test-tools" / "viewer"

_INSTALL = "tests/system/install-tools.sh installs it"

Result = TypeVar("Result")


def needed(program: str, *paths: Path) -> Path:
    """The path of a program, on PATH or at one of the given paths; the test is skipped without it."""
    found = shutil.which(program) or next((str(path) for path in paths if path.exists()), None)
    if found is None:
        pytest.skip(f"{program} is not installed: {_INSTALL}")
    return Path(found)


def needed_file(path: Path, what: str) -> Path:
    """A file or folder that a package brings; the test is skipped without it."""
    if not path.exists():
        pytest.skip(f"{what} is not installed: {_INSTALL}")
    return path


def free_port() -> int:
    """A free TCP port on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def waited(what: str, found: Callable[[], Result | None], seconds: float = 60.0, every: float = 0.1) -> Result:
    """Poll until a truthy result; fail with ``what`` at the time limit."""
    end = time.monotonic() + seconds
    while True:
        answer = found()
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"timed out after {seconds:.0f} s: {what}")
        time.sleep(every)


def artefact(name: str) -> Path:
    """Path of a screenshot or a log of this run."""
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS / name
