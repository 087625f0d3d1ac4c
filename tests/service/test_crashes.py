"""A crash at every step of the queue on disk: nothing is lost or duplicated."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from cspine.service.config import Destination, DicomDestination, Limits
from cspine.service.delivery.deliver import Deliverer
from cspine.service.delivery.send import SendResult
from cspine.service.intake.assembly import assemble_job, resume_assembly
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import file_name
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import durable, transitions
from cspine.service.queue.job import State, study_key
from cspine.service.queue.spool import Spool
from cspine.service.recovery import recover
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import result_uid, write_result

LIMITS = Limits(min_free_bytes=0)
DESTINATION = Destination(name="pacs", dicom=DicomDestination(host="h", port=1, ae_title="PACS"))
STEPS = ("make_folder", "stage", "move", "link", "remove_file", "remove_folder", "sync_tree")


class Killed(BaseException):
    """The power cut of a test: no handler of an error catches it."""


class Power:
    """Counts the steps on the disk and fails before one of them, which is after the one before it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.steps = 0
        self.fail_at: int | None = None
        for name in STEPS:
            monkeypatch.setattr(durable, name, self._counted(getattr(durable, name)))

    def _counted(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any) -> Any:
            self.steps += 1
            if self.steps == self.fail_at:
                raise Killed
            return step(*arguments)

        return counted


class World:
    """A spool with all that works on it, in one thread, and a PACS that remembers what it was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = 2e9
        self.pacs: list[str] = []
        self.acknowledged: set[str] = set()

    def open(self) -> None:
        """Start, as the service does."""
        self.spool = Spool(self.folder)
        recover(self.spool, self.now)
        self.inbox = Inbox(self.spool, LIMITS, lambda: self.now)
        self.deliverer = Deliverer(self.spool, DESTINATION, Metrics(), lambda: self.now, self._send)

    def _send(self, files: Any, destination: Destination) -> SendResult:
        self.pacs += [str(dcmread(path).SOPInstanceUID) for path in files]
        return SendResult("delivered")

    def receive(self, datasets: list[Any]) -> None:
        """Receive instances; those that were answered with success are remembered."""
        for dataset in datasets:
            if dataset.SOPInstanceUID not in self.acknowledged:
                self.inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
                self.acknowledged.add(dataset.SOPInstanceUID)

    def work(self) -> None:
        """Do all that there is to do."""
        resume_assembly(self.spool, self.now)
        for study in self.inbox.complete_studies(-1e12):
            self.now += 1
            assemble_job(self.spool, self.inbox, study, self.now)
        while (job := transitions.claim(self.spool, self.now)) is not None:
            write_result(self.spool.job_folder(State.RUNNING, job.id), job.clock)
            transitions.succeed(self.spool, job)
        transitions.sync_destinations(self.spool, ["pacs"], self.now)
        while (job := self.deliverer.next_due()) is not None:
            self.deliverer.deliver(job)


def script(world: World) -> None:
    """The life of a study: two slices, a run, a late slice, and a second run."""
    datasets = ct_datasets("crash", 3)
    world.receive(datasets[:2])
    world.work()
    world.receive(datasets[2:])
    world.work()


def assert_all_is_well(world: World, uids: list[str]) -> None:
    """Every received instance was processed, every job is done, and no job has results that differ from its input."""
    assert [world.spool.names(state) for state in State if state is not State.DONE] == [[], [], [], []]
    jobs = world.spool.jobs(State.DONE)
    newest = world.spool.job_folder(State.DONE, jobs[-1].id)
    assert {file_name(uid) for uid in uids} <= {path.name for path in (newest / "input").iterdir()}
    results = [result_uid(world.spool.job_folder(State.DONE, job.id), job.clock) for job in jobs]
    assert list(dict.fromkeys(world.pacs)) == results  # sent again perhaps, but never under another UID
    assert len(jobs) in (1, 2)
    for leftover in (world.spool.incoming, world.spool.assembling, world.spool.tmp):
        assert list(leftover.iterdir()) == []


def steps_of_the_script(folder: Path) -> int:
    """How many steps the script makes without a crash."""
    with pytest.MonkeyPatch.context() as patch:
        power = Power(patch)
        world = World(folder)
        world.open()
        first = power.steps
        script(world)
        assert_all_is_well(world, [d.SOPInstanceUID for d in ct_datasets("crash", 3)])
        return power.steps - first


def test_a_crash_at_any_step_loses_and_duplicates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    steps = steps_of_the_script(tmp_path / "count")
    assert steps > 50
    uids = [d.SOPInstanceUID for d in ct_datasets("crash", 3)]
    for number in range(1, steps + 1):
        folder = tmp_path / "spool"
        world = World(folder)
        world.open()
        with pytest.MonkeyPatch.context() as patch:
            power = Power(patch)
            power.fail_at = number
            with pytest.raises(Killed):
                script(world)
        world.open()
        script(world)  # the sender repeats unacknowledged instances; the rest is recovered
        assert_all_is_well(world, uids)
        shutil.rmtree(folder)


def test_a_crash_during_the_start_is_recovered_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    datasets = ct_datasets("crash", 3)
    left = World(tmp_path / "left")
    left.open()
    left.receive(datasets[:2])
    left.work()
    left.receive(datasets[2:])
    job = left.spool.assembling / "20330518T033320000000-0"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cspine.service.intake.assembly.finish_assembly", _killed)
        with pytest.raises(Killed):
            assemble_job(left.spool, left.inbox, study_key(datasets[0].StudyInstanceUID), left.now + 1)
    assert not job.exists() and len(list(left.spool.assembling.iterdir())) == 1
    for number in range(1, 40):
        folder = tmp_path / "spool"
        shutil.copytree(tmp_path / "left", folder)
        world = World(folder)
        world.acknowledged, world.pacs = set(left.acknowledged), list(left.pacs)
        with pytest.MonkeyPatch.context() as patch:
            power = Power(patch)
            power.fail_at = number
            try:
                world.open()
            except Killed:
                pass
            else:
                assert number > 10
                break
        world.open()
        world.now = left.now + 10
        world.work()
        assert_all_is_well(world, [d.SOPInstanceUID for d in datasets])
        shutil.rmtree(folder)


def _killed(*arguments: object) -> None:
    raise Killed
