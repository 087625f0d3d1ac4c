"""Runs modules and scripts as new processes do, without loading the libraries of the application anew for each.

A process loads them once and forks for every run. What a run prints, returns and leaves in its environment is its own;
only what happens before the libraries are loaded differs, so each way of starting is also tested as a new process.
"""

from __future__ import annotations

import json
import os
import runpy
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Self

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
        out, err = (Path(self._folder.name) / name for name in ("out", "err"))
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
        code = int(self._process.stdout.readline())
        return subprocess.CompletedProcess(list(words), code, out.read_text(), err.read_text())


def _serve(modules: Sequence[str]) -> None:
    """Load modules, then fork for every job."""
    for module in modules:
        import_module(module)
    for line in sys.stdin:
        job = json.loads(line)
        child = os.fork()
        if child == 0:
            _become(job)
            return
        _, status = os.waitpid(child, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _become(job: dict[str, Any]) -> None:
    """Run a job in this process, which ends with it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
    for number, path in ((0, os.devnull), (1, job["out"]), (2, job["err"])):
        os.dup2(os.open(path, os.O_RDONLY if number == 0 else flags), number)
    os.environ.clear()
    os.environ.update(job["environment"])
    os.chdir(job["cwd"])
    if job["words"][0] == "-m":
        sys.argv = job["words"][1:]
        sys.path[0] = job["cwd"]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.argv = job["words"]
        sys.path[0] = str(Path(job["cwd"], sys.argv[0]).parent)
        runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    _serve(sys.argv[1:])
