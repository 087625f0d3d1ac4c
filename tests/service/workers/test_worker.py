"""The worker process of a device: it dies with its service, and is replaced after many runs."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from cspine.core.errors import WorkerDiedError
from cspine.service.config import Run
from cspine.service.workers import worker as module
from cspine.service.workers.runner import Runner
from cspine.service.workers.worker import Worker
from tests.builders.raises import raises_code
from tests.service.fakes import wait_for

ROOT = Path(__file__).parents[3]


def own_number(run: Run, device: str) -> Runner:
    """A run that returns its process ID."""
    return lambda folder, clock: {"pid": os.getpid()}


def deaf(run: Run, device: str) -> Runner:
    """A run that writes its process's number to a file and does not end."""

    def run_job(folder: Path, clock: str) -> dict[str, float]:
        (folder / "pid").write_text(str(os.getpid()))
        threading.Event().wait()
        return {}

    return run_job


def test_one_process_runs_many_studies_and_is_renewed_after_many(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_MAX_RUNS_PER_PROCESS", 2)
    worker = Worker("cpu", Run(), own_number)
    pids = [worker.run(tmp_path, "", threading.Event())["pid"] for _ in range(3)]
    worker.stop()
    assert pids[0] == pids[1] != pids[2]
    assert worker.deaths == 0


def test_a_study_over_its_time_limit_ends_its_process(tmp_path):
    worker = Worker("cpu", Run(time_limit_s=1.5), deaf)
    with raises_code(WorkerDiedError, "1.5"):
        worker.run(tmp_path, "", threading.Event())
    assert worker.deaths == 1


def test_the_process_dies_with_a_service_that_is_killed(tmp_path):
    code = (
        "import sys, threading; from pathlib import Path\n"
        "from cspine.service.config import Run; from cspine.service.workers.worker import Worker\n"
        "from tests.service.workers.test_worker import deaf\n"
        "if __name__ == '__main__': Worker('cpu', Run(), deaf).run(Path(sys.argv[1]), '', threading.Event())"
    )
    service = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text(), 30)
    pid = (tmp_path / "pid").read_text()
    service.kill()
    service.wait()
    wait_for(lambda: not _runs(pid))


def _runs(pid: str) -> bool:
    """Whether a process exists and is not a zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
