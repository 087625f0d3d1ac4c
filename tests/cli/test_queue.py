"""`cspine queue`: list and retry the jobs of a spool."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cspine.cli.main import cli
from cspine.core.errors import MissingSliceError, SpoolError, UsageError
from cspine.service.config import Limits
from cspine.service.intake.assembly import assemble_job
from cspine.service.intake.inbox import Inbox
from cspine.service.queue import transitions
from cspine.service.queue.job import Job, State, study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import write_result

pytestmark = pytest.mark.usefixtures("untouched_logging")
NOW = 2e9


def run_job(spool: Spool, seed: str) -> Job:
    """A job in ``running/``."""
    inbox = Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    for dataset in ct_datasets(seed):
        inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    assemble_job(spool, inbox, study_key(ct_datasets(seed)[0].StudyInstanceUID), NOW)
    job = transitions.claim(spool, NOW)
    assert job is not None
    return job


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """One study that failed in its run, one that a destination refused."""
    spool = Spool(tmp_path / "spool")
    transitions.fail(spool, run_job(spool, "gap"), MissingSliceError("1 slice is missing"), 3, 60, NOW)
    refused = run_job(spool, "refused")
    write_result(spool.job_folder(State.RUNNING, refused.id), refused.clock)
    transitions.succeed(spool, refused)
    transitions.sync_destinations(spool, ["pacs", "archive"], NOW)
    transitions.record_delivery(
        spool, refused.id, "archive", lambda d: d.model_copy(update={"state": "delivered"}), NOW
    )
    transitions.record_delivery(spool, refused.id, "pacs", lambda d: d.model_copy(update={"state": "refused"}), NOW)
    return spool


def queue(*arguments: object) -> Result:
    """Run `cspine queue`."""
    return CliRunner().invoke(cli, ["queue", *map(str, arguments)])


def test_the_list_shows_state_and_reason(spool):
    lines = queue("list", spool.folder).output.splitlines()
    assert any("failed" in line and "CS-GEO-002" in line for line in lines)
    assert any("failed" in line and "CS-RTE-005" in line and "pacs" in line for line in lines)
    assert [int(number) for number in re.findall(r"\d+", lines[-1])] == [2, 0]


def test_show_prints_a_job(spool):
    name = spool.names(State.FAILED)[0]
    output = queue("show", spool.folder, name).output
    assert '"code": "' in output and "state      failed" in output
    assert isinstance(queue("show", spool.folder, "nonsense").exception, SpoolError)
    assert isinstance(queue("show", spool.folder, "../done").exception, SpoolError)


def test_retry_requeues_deliveries_and_runs(spool):
    spool.lock()  # as a service that runs does
    done = queue("retry", spool.folder, "--all")
    assert done.exit_code == 0 and done.output.splitlines()[-1].startswith("2 ")
    (waiting,), (sending,) = spool.jobs(State.WAITING), spool.jobs(State.SENDING)
    assert (waiting.reason, waiting.attempts) == (None, 0)
    assert {name: d.state for name, d in sending.destinations.items()} == {"pacs": "pending", "archive": "delivered"}
    assert isinstance(queue("retry", spool.folder, waiting.id).exception, SpoolError)


def test_one_job_is_retried_by_its_name(spool):
    job = next(job for job in spool.jobs(State.FAILED) if job.reason and job.reason.code == "CS-GEO-002")
    assert queue("retry", spool.folder, job.id).exit_code == 0
    assert len(spool.names(State.FAILED)) == 1


def test_retry_requires_a_job_and_a_spool(spool, tmp_path):
    assert isinstance(queue("retry", spool.folder).exception, UsageError)
    assert isinstance(queue("retry", spool.folder, "a", "--all").exception, UsageError)
    assert isinstance(queue("list", tmp_path).exception, SpoolError)
    assert list(tmp_path.iterdir()) == [spool.folder]
