"""What `WarmPython` loads for the commands of a study; loaded there, never in the process of the tests.

Commands keep to one core, and the processes that train are forks, too: nnU-Net takes seconds to load. Its modules are
forgotten once what they need is there: they read their paths from the environment of each run.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from importlib import import_module
from types import SimpleNamespace
from typing import IO, Any

from cspine.io import machine

machine.usable_cores = lambda root=None: 1  # before anyone takes it from there

from cspine.study.training import child, children  # noqa: E402

_COMMANDS = ("dataset_convert", "dataset", "train", "predict", "evaluate", "compare")
_LOADED = (
    *(f"cspine.cli.{name}" for name in _COMMANDS),
    "cspine.models.network", "cspine.inference.predict", "cspine.study.evaluation.evaluate",
    "nnunetv2.training.nnUNetTrainer.nnUNetTrainer",
)  # fmt: skip


class _Fork:
    """As a `subprocess.Popen` of the steps of a training."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], stdout: IO[bytes], **_: Any) -> None:
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(_steps(command[3:], env, stdout.fileno()))

    def poll(self) -> int | None:
        return self._end(os.WNOHANG)

    def wait(self, timeout: float | None = None) -> int | None:
        return self._end(0)

    def terminate(self) -> None:
        if self.poll() is None:
            os.kill(self.pid, signal.SIGTERM)

    def _end(self, how: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, how)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode


def _steps(arguments: Sequence[str], environment: Mapping[str, str], output: int) -> int:
    """Run the steps of a training, and return the exit code."""
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.clear()
    os.environ.update(environment)
    code = 0
    try:
        child.main(list(arguments))
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
        code = 1
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    return code


for _module in _LOADED:
    import_module(_module)
for _module in [name for name in sys.modules if name.partition(".")[0] == "nnunetv2"]:
    del sys.modules[_module]
children.subprocess = SimpleNamespace(Popen=_Fork, DEVNULL=None, TimeoutExpired=TimeoutError)  # type: ignore[attr-defined]
