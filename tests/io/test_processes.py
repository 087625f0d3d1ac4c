"""Tasks in processes: order, progress, a death that takes one task along, an error that ends all."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cspine.core.errors import ProcessStartError
from cspine.io.processes import DIED, in_processes, run_each


def work(number: int) -> int:
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 99:
        raise ValueError("what is raised ends all")
    return number * number


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_order_with_progress(jobs: int) -> None:
    reported: list[tuple[int, int]] = []
    assert in_processes(work, [2, 1, 4], jobs, lambda done, total: reported.append((done, total))) == [4, 1, 16]
    assert reported == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert in_processes(work, [], jobs, lambda done, total: None) == []


def test_a_process_that_dies_loses_its_task_and_no_other() -> None:
    reported: list[int] = []
    assert in_processes(work, [1, 3, 2, 4, 5], 2, lambda done, _: reported.append(done)) == [1, DIED, 4, 16, 25]
    assert reported[-1] == 5 and reported == sorted(reported)


def test_an_error_ends_all() -> None:
    with pytest.raises(ValueError, match="ends all"):
        in_processes(work, [1, 99, 2], 2, lambda done, total: None)


def process(_: int) -> int:
    return os.getpid()


def test_a_single_task_stays_here_unless_it_is_isolated() -> None:
    reported: list[object] = []
    run_each(process, [1], 2, lambda _, result: reported.append(result))
    run_each(process, [1], 1, lambda _, result: reported.append(result), isolated=True)
    assert reported[0] == os.getpid() != reported[1]


def test_a_result_that_cannot_be_stored_ends_all() -> None:
    taken: list[int] = []

    def store(index: int, result: object) -> None:
        taken.append(index)
        raise OSError("the disk is full")

    with pytest.raises(OSError, match="full"):
        run_each(work, [1, 2, 4, 5], 2, store)
    assert len(taken) == 1


UNGUARDED = """
from cspine.core.errors import CSpineError
from cspine.io.processes import in_processes

try:
    in_processes(abs, [-1, -2, -3], 2, lambda done, total: None)
except CSpineError as error:
    print(error.code)
"""


def test_processes_that_all_end_before_they_work_are_an_error_of_its_own(tmp_path: Path) -> None:
    script = tmp_path / "unguarded.py"
    script.write_text(UNGUARDED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=120)
    assert done.stdout.strip() == ProcessStartError.code, done.stderr
