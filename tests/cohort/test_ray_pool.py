"""Cohorts on Ray, which is started once: killed workers and commands lose only time."""

from __future__ import annotations

import csv
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import types
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cspine.cohort import ray_pool
from cspine.cohort.folder import CohortFolder
from cspine.cohort.ray_pool import RayPool, WorkerResources, connected, plan_workers
from cspine.cohort.scheduler import WorkerEvent, make_plan, records_of, run_plan
from cspine.cohort.studies import find_studies
from cspine.cohort.worker import StudyAttempt, WorkerReady
from cspine.core.errors import CohortError, DeviceError, ModelChecksumError, UsageError
from tests.builders.bright_studies import write_bright_study
from tests.builders.cohorts import bright_task, same_results, single_run
from tests.builders.marked_studies import leaking_files, write_marked_studies
from tests.builders.raises import raises_code

_ROOT = Path(__file__).resolve().parents[2]
_ONE = WorkerResources(workers=1, cores=1, gpus=0, memory_bytes=0)
_SECONDS = 120.0


@pytest.fixture(scope="module")
def local_ray() -> Iterator[str]:
    """Ray on this machine; its address."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED"):
            patch.setenv(name, "")  # so that they are as before afterwards
            patch.delenv(name)
        patch.setattr(ray_pool, "usable_cores", lambda: 2)
        with connected(None):
            import ray  # not before: it reads the environment when it is imported

            yield ray.get_runtime_context().gcs_address


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six studies; d has no vertebra."""
    folder = tmp_path_factory.mktemp("cohort") / "in"
    for name in "abcdef":
        write_bright_study(folder / name, name, bright=name != "d")
    return folder


def test_no_other_user_reaches_the_folder_of_a_local_cohort(local_ray: str) -> None:
    import ray

    session = Path(ray._private.worker._global_node.get_session_dir_path())
    folder = next(path for path in session.parents if path.name.startswith("cspine-ray-"))
    assert folder.stat().st_mode & 0o777 == 0o700


class KillingPool(RayPool):
    """Kills the worker of study b at its first try."""

    processes: dict[int, int]

    def submit(self, worker: int, attempt: StudyAttempt) -> None:
        super().submit(worker, attempt)
        if (attempt.study.name, attempt.number) == ("b", 1):
            os.kill(self.processes[worker], signal.SIGKILL)

    def wait(self, seconds: float) -> Sequence[WorkerEvent]:
        answers = super().wait(seconds)
        ready = {a.worker: a.content.process for a in answers if isinstance(a.content, WorkerReady)}
        self.processes = getattr(self, "processes", {}) | ready
        return answers


def test_a_killed_worker_costs_an_attempt_and_no_bytes(
    local_ray: str, studies: Path, bright_model: Path, tmp_path: Path
) -> None:
    task = bright_task(bright_model, tmp_path / "out")
    with task.folder.locked() as clock:
        task = replace(task, settings=replace(task.settings, clock=clock))
        plan = make_plan(find_studies(studies, tmp_path / "out")[:4], task)
        with KillingPool(task, _ONE) as pool:
            run_plan(plan, pool, 1, task, lambda *_: None)
    records = {record.name: (record.code, record.attempts) for record in records_of(plan, task.folder)}
    assert records == {"a": ("", 1), "b": ("", 2), "c": ("", 1), "d": ("CS-RES-001", 1)}
    assert not task.folder.staging.exists()
    single_run(task, studies / "b", tmp_path / "single")
    assert same_results(task.folder.study("b"), tmp_path / "single")


def test_workers_and_their_logs_disclose_nothing_of_a_header(
    local_ray: str, bright_model: Path, tmp_path: Path
) -> None:
    import ray

    write_marked_studies(tmp_path / "in")
    task = bright_task(bright_model, tmp_path / "out")
    with task.folder.locked() as clock:
        inference = replace(task.settings.inference, step_size=1.0)
        task = replace(task, settings=replace(task.settings, clock=clock, inference=inference))
        plan = make_plan(find_studies(tmp_path / "in", tmp_path / "out"), task)
        with RayPool(task, _ONE) as pool:
            run_plan(plan, pool, 1, task, lambda *_: None)
    codes = {record.name: record.code for record in records_of(plan, task.folder)}
    assert (codes["complete"], codes["needless"], codes["needed"]) == ("", "", "CS-PIX-002")
    assert leaking_files(tmp_path / "out") == {}
    logs = Path(ray._private.worker._global_node.get_session_dir_path()) / "logs"
    assert any(logs.iterdir())
    assert leaking_files(logs) == {}


def command(address: str, studies: Path, out: Path, model: Path, *options: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    arguments = [str(studies), str(out), "--address", address, "--model", str(model), "--device", "cpu", *options]
    return subprocess.Popen(
        [sys.executable, "-m", "cspine", "cohort", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def until_studies_are_done(out: Path, number: int) -> None:
    started = time.monotonic()
    while len(list((out / "cohort" / "studies").glob("*.json"))) < number:
        assert time.monotonic() - started < _SECONDS
        time.sleep(0.02)


def results(out: Path) -> list[str]:
    """The studies with results, each of them complete."""
    found = sorted(path.name for path in out.iterdir() if path.name != "cohort")
    for name in found:
        files = {path.name for path in (out / name).rglob("*") if path.is_file()}
        assert files == {
            "segmentation.dcm", "measurements.dcm", "summary.json", "measurements.csv", "preview.png", "report.html",
        }  # fmt: skip
    return found


def test_a_cohort_killed_and_terminated_ends_with_the_same_bytes(
    local_ray: str, studies: Path, bright_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = command(local_ray, studies, out, bright_model, "--workers", "1")
    until_studies_are_done(out, 1)
    killed.kill()
    killed.communicate()
    before = results(out)
    assert before and len(before) < 5

    terminated = command(local_ray, studies, out, bright_model, "--workers", "1")
    until_studies_are_done(out, len(before) + 1)
    terminated.terminate()
    terminated.communicate(timeout=_SECONDS)
    assert terminated.returncode == 143
    assert not (out / "cohort" / "staging").exists()
    with (out / "cohort" / "results.csv").open() as file:
        assert len(list(csv.DictReader(file))) >= len(results(out)) >= len(before)

    last = command(local_ray, studies, out, bright_model)
    output, log = last.communicate(timeout=_SECONDS)
    assert last.returncode == 11
    assert re.search(r"\b5\b.*\b6\b", output.splitlines()[-1]) and "CS-RES-001" in output
    assert "CS-RUN-001" in log and "SECRET" not in log + output
    assert results(out) == ["a", "b", "c", "e", "f"]

    with CohortFolder(out).locked() as clock:
        task = bright_task(bright_model, tmp_path / "other", clock)
    for name in "af":
        single_run(task, studies / name, tmp_path / "single" / name)
        assert same_results(out / name, tmp_path / "single" / name)


def test_an_error_can_be_pickled() -> None:
    error = pickle.loads(pickle.dumps(ModelChecksumError("a file differs", advice="Install it again.")))
    assert isinstance(error, ModelChecksumError)
    assert (error.message, error.advice) == ("a file differs", "Install it again.")


@pytest.mark.parametrize("at_start", [True, False])
def test_a_termination_that_ray_swallows_is_answered_by_the_handler_of_the_command(
    at_start: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray converts it to an exit with another code, while it starts and in its calls."""
    ended: list[bool] = []
    stand_in = types.SimpleNamespace(shutdown=lambda: ended.append(True))
    monkeypatch.setattr(ray_pool, "_ray", lambda: stand_in)
    monkeypatch.setattr(ray_pool, "_init", lambda *_: sys.exit(1) if at_start else None)
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        with pytest.raises(SystemExit) as left, connected("auto"):
            sys.exit(1)
        assert left.value.code == 143 and ended
    finally:
        signal.signal(signal.SIGTERM, before)


def test_nothing_listens_on_the_network(local_ray: str) -> None:
    assert local_ray.startswith("127.0.0.1:")
    addresses = {listening for process in _descendants(os.getpid()) for listening in _listening(process)}
    assert addresses
    assert {address for address in addresses if address not in _LOOPBACK} == set()


_LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000")


def _descendants(process: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _listening(process: int) -> list[str]:
    """Addresses, as /proc writes them, on which a process listens."""
    try:
        targets = {str(path.readlink()) for path in Path(f"/proc/{process}/fd").iterdir()}
    except OSError:  # it ended meanwhile
        return []
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [line[1].partition(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in targets]


def test_workers_follow_cores_and_memory(local_ray: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_workers("cpu", 1, None, local=True).workers in (1, 2)
    assert plan_workers("auto", 1, 1, local=False) == WorkerResources(1, 1, 0, ray_pool.BYTES_PER_STUDY)
    assert plan_workers("cpu", 8, None, local=True) == WorkerResources(1, 2, 0, 0)  # two cores still take one study
    with raises_code(CohortError, 8):
        plan_workers("cpu", 8, None, local=False)
    with pytest.raises(DeviceError):
        plan_workers("cuda", 1, None, local=True)
    with pytest.raises(UsageError):
        plan_workers("cuda:1", 1, None, local=True)
    nodes = [{"Alive": True, "Resources": {"GPU": 2.0, "CPU": 16.0}}, {"Alive": False, "Resources": {"GPU": 8.0}}]
    monkeypatch.setattr("ray.nodes", lambda: nodes)
    assert plan_workers("auto", 1, None, local=False) == WorkerResources(2, 1, 1, 0)
    assert plan_workers("cuda", 1, 1, local=False).workers == 1


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "somewhere", "host:port"])
def test_an_address_of_another_kind_is_refused(address: str) -> None:
    with raises_code(UsageError, "HOST:PORT"), connected(address):
        pass


def test_a_cluster_that_does_not_respond_is_refused() -> None:
    with pytest.raises(CohortError), connected("127.0.0.1:1"):
        pass
