"""The steps of a training, which are a process of its own, in a `WarmPython` with nnU-Net's libraries loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any

import pytest

from cspine.study.training import children
from tests.builders.warm_python import WarmPython


@contextmanager
def steps_in(python: WarmPython) -> Iterator[None]:
    """Let the processes of trainings be forks of that process, each over when it is there, as long as this lasts."""

    class Step:
        def __init__(self, command: Sequence[str], env: Mapping[str, str], stdout: IO[bytes], **_: Any) -> None:
            done = python.run(command[1:], cwd=Path.cwd(), environment=env)
            stdout.write((done.stdout + done.stderr).encode())
            self.returncode = done.returncode

        def poll(self) -> int:
            return self.returncode

        def wait(self, timeout: float | None = None) -> int:
            return self.returncode

        def terminate(self) -> None:
            """It has ended already."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(children, "subprocess", SimpleNamespace(Popen=Step, DEVNULL=None, TimeoutExpired=TimeoutError))
        yield
