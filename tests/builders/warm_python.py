"""Runs modules and scripts as new processes do, without loading the libraries of the application anew for each.

A process loads them once and forks for every run. What a run prints, returns and leaves in its environment is its own;
only what happens before the libraries are loaded differs, so each way of starting is also tested as a new process.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import IO, Any, NoReturn, Self

#: What a study in the application loads.
APPLICATION = (
    "cspine.app.app", "cspine.app.study", "cspine.dicom.seg", "cspine.dicom.sr", "cspine.models.registry",
    "cspine.inference.engines.openvino_engine", "cspine.report.preview", "cspine.report.page.html",
)  # fmt: skip
_ROOT = Path(__file__).parents[2]


class WarmPython:
    """A process with libraries loaded, as a context.

    Parameters
    ----------
    *modules : str
        What is loaded.
    """

    def __init__(self, *modules: str) -> None:
        self._modules = modules

    def __enter__(self) -> Self:
        self._folder = TemporaryDirectory()
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", __name__, *self._modules],
            cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.communicate()
        self._folder.cleanup()

    def run(
        self, words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Run ``python WORDS``, where the words begin with ``-m MODULE`` or a script; as `subprocess.run` with text."""
        return self.start(words, cwd=cwd, environment=environment).wait()

    def start(self, words: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Started:
        """Begin what `run` does; no other run may begin before this one was waited for."""
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
        err.unlink(missing_ok=True)
        job = {
            "words": list(words),
            "cwd": str(cwd),
            "environment": dict(environment),
            "out": str(out),
            "err": str(err),
        }
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Started(words, _number(self._process.stdout, "pid"), (out, err), self._process.stdout)


class Started:
    """A process that `WarmPython` started.

    Parameters
    ----------
    words : sequence of str
        What it runs.
    pid : int
        Its number.
    files : tuple of Path
        Where its standard output and its standard error go.
    ends : file
        Has its exit code in a line, once it has ended.
    """

    def __init__(self, words: Sequence[str], pid: int, files: tuple[Path, Path], ends: IO[str]) -> None:
        self._words, self.pid, self._files, self._ends = words, pid, files, ends

    def errors(self) -> str:
        """Return what it has written to standard error so far."""
        return self._files[1].read_text() if self._files[1].exists() else ""

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Wait for its end, and return what it did."""
        code = _number(self._ends, "end")
        out, err = (path.read_text() for path in self._files)
        return subprocess.CompletedProcess(list(self._words), code, out, err)


def _number(answers: IO[str], kind: str) -> int:
    """Return the number of the next answer, which an earlier run that nobody waited for cannot give."""
    named, _, number = answers.readline().partition(" ")
    assert named == kind, f"{named!r} instead of {kind!r}"
    return int(number)


def _serve(modules: Sequence[str]) -> None:
    """Load modules, then fork for every job."""
    for module in modules:
        import_module(module)
    gc.freeze()
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(job)
            _leave(0)
        sys.stdout.write(f"pid {child}\n")
        sys.stdout.flush()
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"end {os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(job: dict[str, Any]) -> None:
    """Run a job in this process, which ends with it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        os.dup2(os.open(path, os.O_RDONLY if number == 0 else flags), number)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    try:
        if job["words"][0] == "-m":
            sys.argv = job["words"][1:]
            sys.path[0] = job["cwd"]
            runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
        else:
            sys.argv = job["words"]
            sys.path[0] = str(Path(job["cwd"], sys.argv[0]).parent)
            runpy.run_path(sys.argv[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            _leave(end.code or 0)
        raise


def _leave(code: int) -> NoReturn:
    """End this process as Python does, without taking the libraries apart, which copies all their memory first."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve(sys.argv[1:])
