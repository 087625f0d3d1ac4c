"""Results are compared with their checksums before they are sent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from cspine.core.errors import AlteredResultError
from cspine.service.config import Destination, DicomDestination, Limits
from cspine.service.delivery.deliver import Deliverer
from cspine.service.delivery.send import SendResult
from cspine.service.intake.assembly import assemble_job
from cspine.service.intake.inbox import Inbox
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import transitions
from cspine.service.queue.checksums import CHECKSUMS, altered_results
from cspine.service.queue.job import Job, State, study_key
from cspine.service.queue.spool import Spool
from tests.builders.segmentations import as_bytes
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import write_result

NOW = 2e9


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    """An empty spool."""
    return Spool(tmp_path / "spool")


def received(spool: Spool, number: int = 3) -> None:
    """Make a job of a study."""
    inbox, datasets = Inbox(spool, Limits(min_free_bytes=0), lambda: NOW), ct_datasets("altered", number)
    for dataset in datasets:
        inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    assert assemble_job(spool, inbox, study_key(datasets[0].StudyInstanceUID), NOW)


def run(spool: Spool) -> Path:
    """Run the waiting job, which is then to be delivered; return its results."""
    job = transitions.claim(spool, NOW)
    assert job is not None
    write_result(spool.job_folder(State.RUNNING, job.id), job.clock)
    transitions.succeed(spool, job)
    transitions.sync_destinations(spool, ["pacs"], NOW)
    return spool.job_folder(State.SENDING, job.id) / "results"


def delivered(spool: Spool) -> tuple[list[str], Job]:
    """Deliver the job that is due; return what was sent, and the job afterwards."""
    sent: list[str] = []

    def sender(files: Sequence[Path], destination: Destination) -> SendResult:
        sent.extend(file.name for file in files)
        return SendResult("delivered")

    destination = Destination(name="pacs", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    deliverer = Deliverer(spool, destination, Metrics(), lambda: NOW, sender)
    job = deliverer.next_due()
    assert job is not None
    deliverer.deliver(job)
    return sent, spool.read(spool.find(job.id), job.id)


def flip(results: Path) -> None:
    """Change one bit of the segmentation."""
    path = results / "dicom" / "segmentation.dcm"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def remove(results: Path) -> None:
    """Remove the segmentation."""
    (results / "dicom" / "segmentation.dcm").unlink()


def add(results: Path) -> None:
    """Add another object."""
    (results / "dicom" / "other.dcm").write_bytes(b"other")


def damage_list(results: Path) -> None:
    """Damage the list of checksums."""
    (results / CHECKSUMS).write_bytes(b"\xff\x00")


@pytest.mark.parametrize("alter", [flip, remove, add, damage_list])
def test_an_altered_result_is_never_sent_and_a_retry_runs_the_study_again(
    alter: Callable[[Path], None], spool: Spool
) -> None:
    received(spool)
    alter(run(spool))
    sent, job = delivered(spool)
    assert sent == []
    assert job.reason is not None and job.reason.code == AlteredResultError.code
    assert [job.id] == spool.names(State.FAILED)
    assert transitions.retry(spool, job) is State.WAITING
    assert not (spool.job_folder(State.WAITING, job.id) / "results").exists()
    run(spool)
    sent, job = delivered(spool)
    assert sent == ["segmentation.dcm"]
    assert (job.reason, spool.find(job.id)) == (None, State.DONE)


def test_results_of_a_version_without_checksums_are_sent(spool: Spool) -> None:
    received(spool)
    (run(spool) / CHECKSUMS).unlink()
    assert delivered(spool)[0] == ["segmentation.dcm"]


def test_an_altered_result_is_not_linked_to_late_instances(spool: Spool) -> None:
    received(spool)
    results = run(spool)
    assert altered_results(results) == []
    flip(results)
    received(spool, 4)
    (late,) = spool.names(State.WAITING)
    assert len(list((spool.job_folder(State.WAITING, late) / "input").glob("*.dcm"))) == 4
