"""`cspine queue`: the jobs in a spool, and dead letters back into the queue."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cspine.cli.main import cli
from cspine.core.errors import MissingSliceError, SpoolError, UsageError
from cspine.service.config import Limits
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.forming import form_job
from cspine.service.queue import flow
from cspine.service.queue.job import Job, State, study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import write_result

pytestmark = pytest.mark.usefixtures("untouched_logging")
NOW = 2e9


def run_job(spool: Spool, seed: str) -> Job:
    """A job in ``running/``."""
    arrivals = Arrivals(spool, Limits(free_bytes=0), lambda: NOW)
    for dataset in ct_datasets(seed):
        arrivals.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    form_job(spool, arrivals, study_key(ct_datasets(seed)[0].StudyInstanceUID), NOW)
    job = flow.take(spool, NOW)
    assert job is not None
    return job


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """One study that failed in its run, one that a destination refused."""
    spool = Spool(tmp_path / "spool")
    flow.failed(spool, run_job(spool, "gap"), MissingSliceError("1 slice is missing"), 3, 60, NOW)
    refused = run_job(spool, "refused")
    write_result(spool.place(State.RUNNING, refused.id), refused.clock)
    flow.succeeded(spool, refused)
    flow.match_destinations(spool, ["pacs", "archive"], NOW)
    flow.note_delivery(spool, refused.id, "archive", lambda d: d.model_copy(update={"state": "delivered"}), NOW)
    flow.note_delivery(spool, refused.id, "pacs", lambda d: d.model_copy(update={"state": "refused"}), NOW)
    return spool


def queue(*arguments: object) -> Result:
    """Run `cspine queue`."""
    return CliRunner().invoke(cli, ["queue", *map(str, arguments)])


def test_the_list_shows_state_and_reason(spool):
    lines = queue("list", spool.folder).output.splitlines()
    assert any("failed" in line and "CS-GEO-002" in line for line in lines)
    assert any("failed" in line and "CS-RTE-005" in line and "pacs" in line for line in lines)
    assert [int(number) for number in re.findall(r"\d+", lines[-1])] == [2, 0]


def test_show_tells_all_of_a_job(spool):
    name = spool.names(State.FAILED)[0]
    told = queue("show", spool.folder, name).output
    assert '"code": "' in told and "state      failed" in told
    assert isinstance(queue("show", spool.folder, "nonsense").exception, SpoolError)
    assert isinstance(queue("show", spool.folder, "../done").exception, SpoolError)


def test_retry_brings_results_to_those_who_lack_them_and_studies_to_a_run(spool):
    spool.claim()  # as a service that runs does
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


def test_retry_needs_to_know_which_and_a_folder_must_be_a_spool(spool, tmp_path):
    assert isinstance(queue("retry", spool.folder).exception, UsageError)
    assert isinstance(queue("retry", spool.folder, "a", "--all").exception, UsageError)
    assert isinstance(queue("list", tmp_path).exception, SpoolError)
    assert list(tmp_path.iterdir()) == [spool.folder]
