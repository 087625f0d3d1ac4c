"""Recovery of the spool, inbox, retention, and the transitions of a job."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest

from cspine.core.errors import MissingSliceError, OutOfMemoryError, SpoolError, SystemLimitError
from cspine.service.config import Destination, DicomDestination, Limits, Retry
from cspine.service.delivery.deliver import Deliverer
from cspine.service.delivery.send import SendResult
from cspine.service.intake.assembly import assemble_job
from cspine.service.intake.inbox import Inbox
from cspine.service.intake.instances import INCOMPLETE
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import transitions
from cspine.service.queue.job import SCHEMA_VERSION, Delivery, Job, State, study_key
from cspine.service.queue.spool import Spool
from cspine.service.recovery import MAX_CRASHES, _study_key_in, recover
from tests.builders.raises import raises_code
from tests.builders.segmentations import as_bytes, segmentation_dataset
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import write_result

NOW = 2e9


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def receive(spool: Spool, datasets: list, now: float = NOW) -> Inbox:
    """Receive instances and make a job of them."""
    inbox = Inbox(spool, Limits(min_free_bytes=0), lambda: now)
    for dataset in datasets:
        inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    assert assemble_job(spool, inbox, study_key(datasets[0].StudyInstanceUID), now)
    return inbox


def sent_job(spool: Spool, seed: str = "sent") -> Job:
    """A job in ``sending/`` for two destinations."""
    receive(spool, ct_datasets(seed))
    job = transitions.claim(spool, NOW)
    assert job is not None
    write_result(spool.job_folder(State.RUNNING, job.id), job.clock)
    transitions.succeed(spool, job)
    transitions.sync_destinations(spool, ["a", "b"], NOW)
    return spool.read(State.SENDING, job.id)


def where(spool: Spool) -> dict[str, int]:
    """How many jobs are in each state that has any."""
    return {str(state): len(spool.names(state)) for state in State if spool.names(state)}


def test_a_second_service_is_refused(spool):
    spool.lock()
    with pytest.raises(SpoolError):
        Spool(spool.folder).lock()
    spool.release()
    Spool(spool.folder).lock()


def test_a_job_without_its_record_gets_a_new_one(spool):
    datasets = ct_datasets("record")
    receive(spool, datasets)
    (name,) = spool.names(State.WAITING)
    (spool.job_folder(State.WAITING, name) / "job.json").write_text("{")
    assert spool.jobs(State.WAITING) == []
    recover(spool, NOW)
    (job,) = spool.jobs(State.WAITING)
    assert (job.study, job.instances) == (study_key(datasets[0].StudyInstanceUID), 3)


def test_an_exhausted_machine_gives_a_job_without_its_record_no_other_study(tmp_path, monkeypatch):
    def exhausted(*_, **__):
        raise OSError(errno.EMFILE, "Too many open files")

    (tmp_path / "a.dcm").write_bytes(b"")
    monkeypatch.setattr("cspine.service.recovery.dcmread", exhausted)
    with pytest.raises(SystemLimitError):
        _study_key_in(tmp_path)


def test_a_study_that_repeatedly_kills_the_service_fails(spool):
    receive(spool, ct_datasets("killer"))
    clocks = set()
    for crash in range(1, MAX_CRASHES + 1):
        job = transitions.claim(spool, NOW)
        assert job is not None
        clocks.add(job.clock)
        recover(spool, NOW)
        assert where(spool) == ({"waiting": 1} if crash < MAX_CRASHES else {"failed": 1})
    assert len(clocks) == 1
    (job,) = spool.jobs(State.FAILED)
    assert job.reason is not None and job.reason.code == "CS-RTE-004"


def test_a_destination_that_is_no_longer_configured_is_dropped(spool):
    job = sent_job(spool)
    transitions.record_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"state": "delivered"}), NOW)
    transitions.sync_destinations(spool, ["a"], NOW)
    (done,) = spool.jobs(State.DONE)
    assert {name: d.state for name, d in done.destinations.items()} == {"a": "delivered", "b": "removed"}


def test_a_renamed_destination_gets_what_waits_for_its_old_name(spool):
    job = sent_job(spool)
    transitions.sync_destinations(spool, ["new"], NOW)
    states = {name: d.state for name, d in spool.read(State.SENDING, job.id).destinations.items()}
    assert states == {"a": "removed", "b": "removed", "new": "pending"}


def test_an_unexpected_delivery_error_is_recorded_and_does_not_block_the_next_job(spool):
    job, _ = sent_job(spool, "odd"), sent_job(spool, "good")

    def broken(files: object, destination: object) -> SendResult:
        raise RuntimeError("SECRET^Surname")

    destination = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    deliverer = Deliverer(spool, destination, Metrics(), lambda: NOW, broken)
    first = deliverer.next_due()
    assert first is not None and first.id == job.id
    noted = deliverer.deliver(first)
    assert (noted.state, noted.attempts) == ("pending", 1)
    assert (
        noted.last_error is not None
        and "RuntimeError" in noted.last_error.message
        and "SECRET" not in noted.last_error.message
    )
    second = deliverer.next_due()
    assert second is not None and second.id != job.id


def test_what_would_wait_for_years_after_the_clock_was_set_back_is_due(spool):
    job = sent_job(spool)
    years = NOW + 1e8
    transitions.record_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"next_attempt_at": years}), NOW)
    destination = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    assert Deliverer(spool, destination, Metrics(), lambda: NOW).next_due() is not None

    receive(spool, ct_datasets("years"))
    (waiting,) = spool.jobs(State.WAITING)
    spool.save(spool.job_folder(State.WAITING, waiting.id), waiting.model_copy(update={"not_before": years}))
    assert transitions.claim(spool, NOW) is not None


def test_a_job_of_a_newer_version_stays_as_it_is(spool, caplog):
    receive(spool, ct_datasets("newer"))
    (name,) = spool.names(State.WAITING)
    file = spool.job_folder(State.WAITING, name) / "job.json"
    newer = json.dumps(json.loads(file.read_text()) | {"schema_version": 2, "colour": "blue"})
    file.write_text(newer)
    recover(spool, NOW)
    assert file.read_text() == newer
    assert transitions.claim(spool, NOW) is None
    first = vars(caplog.records[0])
    assert (first["job"], first["code"]) == (name, "CS-RTE-002")


def test_a_truncated_job_json_is_recreated(spool):
    receive(spool, ct_datasets("torn"))
    (name,) = spool.names(State.WAITING)
    (spool.job_folder(State.WAITING, name) / "job.json").write_text('{"id": "2')
    recover(spool, NOW)
    assert spool.read(State.WAITING, name).instances == 3


def test_late_instances_join_the_last_job_also_when_the_clock_was_set_back(spool):
    datasets = ct_datasets("clock", 5)
    for first, last, now in ((0, 3, NOW), (3, 4, NOW - 5000), (4, 5, NOW - 9000)):
        receive(spool, datasets[first:last], now)
        job = transitions.claim(spool, NOW)
        assert job is not None
        write_result(spool.job_folder(State.RUNNING, job.id), job.clock)
        transitions.succeed(spool, job)
        assert job.instances >= last


def transfer(inbox: Inbox, datasets: list, *, interrupted: bool = False) -> None:
    """Receive instances of a sender that ends well or not."""
    if datasets:
        number = inbox.begin_transfer(datasets[0].StudyInstanceUID)
        for dataset in datasets:
            inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
        inbox.end_transfer(datasets[0].StudyInstanceUID, number, interrupted=interrupted)


def broken_study(spool: Spool, datasets: list, *, interrupted: bool) -> None:
    """Receive instances of a sender that ends well or not, and make a job of them."""
    inbox = Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    transfer(inbox, datasets, interrupted=interrupted)
    assert assemble_job(spool, inbox, study_key(datasets[0].StudyInstanceUID), NOW)


def test_an_incomplete_waiting_study_stays_marked_until_all_of_it_is_sent(spool):
    datasets = ct_datasets("marked", 4)
    broken_study(spool, datasets[:2], interrupted=True)
    broken_study(spool, datasets[2:], interrupted=False)
    assert [job.incomplete for job in spool.jobs(State.WAITING)] == [True]
    broken_study(spool, datasets, interrupted=False)
    assert [job.incomplete for job in spool.jobs(State.WAITING)] == [False]


def test_an_incomplete_study_is_run_again_when_all_of_it_is_sent(spool):
    datasets = ct_datasets("again", 3)
    broken_study(spool, datasets, interrupted=True)
    job = transitions.claim(spool, NOW)
    assert job is not None and job.incomplete
    write_result(spool.job_folder(State.RUNNING, job.id), job.clock)
    transitions.succeed(spool, job)
    broken_study(spool, datasets, interrupted=False)
    (again,) = spool.jobs(State.WAITING)
    assert (again.incomplete, again.previous) == (False, job.id)


@pytest.mark.parametrize("again", ["some of its images", "another object"])
def test_an_interruption_before_anything_new_marks_a_job_that_is_yet_to_run(spool, again):
    datasets = ct_datasets("before", 5)
    receive(spool, datasets)
    other = segmentation_dataset(datasets[0].StudyInstanceUID, "1.2.3.99")
    broken_study(spool, datasets[:3] if again == "some of its images" else [other], interrupted=True)
    (job,) = spool.jobs(State.WAITING)
    assert (job.instances, job.incomplete) == (5, True)
    assert not list(spool.assembling.iterdir())
    broken_study(spool, datasets, interrupted=False)
    assert [job.incomplete for job in spool.jobs(State.WAITING)] == [False]


def test_an_interruption_before_anything_new_is_part_of_the_next_try_of_a_failed_job(spool):
    datasets = ct_datasets("failed before", 5)
    receive(spool, datasets)
    job = transitions.claim(spool, NOW)
    assert job is not None
    transitions.fail(spool, job, MissingSliceError("gap"), 3, 60, NOW)
    assert where(spool) == {"failed": 1}
    broken_study(spool, datasets[:3], interrupted=True)
    assert [job.incomplete for job in spool.jobs(State.WAITING)] == [True]


def test_an_interruption_before_anything_new_is_logged_for_a_job_that_has_run(spool, caplog):
    job, datasets = sent_job(spool, "ran before"), ct_datasets("ran before")
    broken_study(spool, datasets[:2], interrupted=True)
    assert [(job.id, job.incomplete) for job in spool.jobs(State.SENDING)] == [(job.id, False)]
    assert where(spool) == {"sending": 1}
    warned = {getattr(record, "study", "") for record in caplog.records if record.levelname == "WARNING"}
    assert warned == {job.short_study}


def test_a_normal_end_does_not_hide_the_interruption_of_a_concurrent_transfer(spool):
    inbox = Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    dataset = ct_datasets("two", 1)[0]
    study = dataset.StudyInstanceUID
    mark = spool.incoming / study_key(study) / INCOMPLETE
    first, second = inbox.begin_transfer(study), inbox.begin_transfer(study)
    inbox.add(study, dataset.SOPInstanceUID, as_bytes(dataset))
    inbox.end_transfer(study, first, interrupted=True)
    inbox.end_transfer(study, second, interrupted=False)
    assert mark.exists()
    transfer(inbox, [dataset])
    assert not mark.exists()


@pytest.mark.parametrize("restart", [False, True], ids=["same process", "after a restart"])
def test_an_interruption_is_forgotten_only_when_all_that_it_delivered_is_sent_again(spool, restart):
    datasets, limits = ct_datasets("partly", 6), Limits(min_free_bytes=0)
    inbox = Inbox(spool, limits, lambda: NOW)
    mark = spool.incoming / study_key(datasets[0].StudyInstanceUID) / INCOMPLETE
    transfer(inbox, datasets[:3], interrupted=True)
    report = segmentation_dataset(datasets[0].StudyInstanceUID, "1.2.3.99")
    for again in ([report], datasets[3:], datasets[1:3], []):  # none is the transfer that was interrupted
        inbox = Inbox(spool, limits, lambda: NOW) if restart else inbox
        transfer(inbox, again)
        assert mark.exists()
    transfer(inbox, datasets[:1], interrupted=True)
    transfer(inbox, datasets[:1])
    assert mark.exists()
    transfer(inbox, datasets)
    assert not mark.exists()


def test_parallel_transfers_repeat_an_interrupted_one_together(spool):
    datasets, inbox = ct_datasets("parallel", 4), Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    study = datasets[0].StudyInstanceUID
    transfer(inbox, datasets[:3], interrupted=True)
    one, other = inbox.begin_transfer(study), inbox.begin_transfer(study)
    for dataset in datasets:
        inbox.add(study, dataset.SOPInstanceUID, as_bytes(dataset))
    inbox.end_transfer(study, one, interrupted=False)
    inbox.end_transfer(study, other, interrupted=False)
    assert not (spool.incoming / study_key(study) / INCOMPLETE).exists()


def test_a_study_that_was_being_received_when_the_service_was_killed_is_incomplete(spool, tmp_path):
    first, second = ct_datasets("killed", 2)
    study, inbox = first.StudyInstanceUID, Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    inbox.begin_transfer(study)
    inbox.begin_transfer("1.2.3")  # nothing of it was stored
    inbox.add(study, first.SOPInstanceUID, as_bytes(first))
    restarted = Spool(spool.folder)
    recover(restarted, NOW)
    mark = restarted.incoming / study_key(study) / INCOMPLETE
    assert mark.exists()
    assert not list(restarted.receiving.iterdir())
    assert [path.name for path in restarted.incoming.iterdir()] == [study_key(study)]
    again = Inbox(restarted, Limits(min_free_bytes=0), lambda: NOW)
    transfer(again, [second])
    assert mark.exists()
    transfer(again, [first, second])
    assert not mark.exists()


def test_a_transfer_that_has_ended_is_not_interrupted_by_the_end_of_the_service(spool):
    (dataset,) = ct_datasets("ended", 1)
    study, inbox = dataset.StudyInstanceUID, Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    one, other = inbox.begin_transfer(study), inbox.begin_transfer(study)
    inbox.add(study, dataset.SOPInstanceUID, as_bytes(dataset))
    inbox.end_transfer(study, one, interrupted=False)
    assert list(spool.receiving.iterdir())
    inbox.end_transfer(study, other, interrupted=False)
    recover(spool, NOW)
    assert not (spool.incoming / study_key(study) / INCOMPLETE).exists()


def test_attempts_are_counted_and_spaced(spool):
    receive(spool, ct_datasets("memory"))
    pauses = []
    now = NOW
    while (job := transitions.claim(spool, now)) is not None:
        if transitions.fail(spool, job, OutOfMemoryError("none left"), 3, 60, now) is State.WAITING:
            pauses.append(spool.jobs(State.WAITING)[0].not_before - now)
            assert transitions.claim(spool, now) is None
            now = spool.jobs(State.WAITING)[0].not_before
    assert pauses == [60, 120]
    (failed,) = spool.jobs(State.FAILED)
    assert failed.attempts == 3


def test_two_jobs_of_one_study_never_run_at_once_and_late_instances_wait_for_the_run(spool):
    datasets = ct_datasets("together", 5)
    inbox = receive(spool, datasets[:3])
    assert transitions.claim(spool, NOW) is not None
    late = datasets[3]
    inbox.add(late.StudyInstanceUID, late.SOPInstanceUID, as_bytes(late))
    assert not assemble_job(spool, inbox, study_key(late.StudyInstanceUID), NOW + 1)
    assert where(spool) == {"running": 1}
    assert len(list(spool.incoming.glob("*/*"))) == 1


def test_late_instances_join_a_job_that_waits(spool):
    datasets = ct_datasets("joins", 5)
    receive(spool, datasets[:3])
    receive(spool, datasets[2:], NOW + 1)
    (job,) = spool.jobs(State.WAITING)
    assert job.instances == len(list((spool.job_folder(State.WAITING, job.id) / "input").iterdir())) == 5


def test_a_changed_instance_is_new(spool):
    datasets = ct_datasets("changed")
    sent_job(spool, "changed")
    changed = ct_datasets("changed")[0].copy()
    changed.PatientName = "MARRIED^Name"
    changed.file_meta = datasets[0].file_meta
    receive(spool, [changed, *datasets[1:]], NOW + 5)
    (job,) = spool.jobs(State.WAITING)
    assert job.instances == 4 and job.previous is not None


def test_a_failed_study_that_is_sent_again_is_retried(spool):
    datasets = ct_datasets("retried")
    receive(spool, datasets)
    job = transitions.claim(spool, NOW)
    assert job is not None
    transitions.fail(spool, job, MissingSliceError("1 slice is missing"), 3, 60, NOW)
    assert where(spool) == {"failed": 1}
    receive(spool, datasets, NOW + 5)
    assert where(spool) == {"waiting": 1}
    assert spool.jobs(State.WAITING)[0].reason is None


def test_a_study_without_a_ct_image_fails(spool):
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")])
    (job,) = spool.jobs(State.FAILED)
    assert job.reason is not None and job.reason.code == "CS-SEL-001"


def test_jobs_are_removed_after_their_time_and_failed_ones_stay(spool):
    job = sent_job(spool)
    for name in ("a", "b"):
        transitions.record_delivery(spool, job.id, name, lambda d: d.model_copy(update={"state": "delivered"}), NOW)
    assert transitions.expire(spool, State.DONE, 7, NOW + 6 * 86_400) == 0
    assert transitions.expire(spool, State.DONE, 7, NOW + 8 * 86_400) == 1
    assert where(spool) == {}
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")])
    assert transitions.expire(spool, State.FAILED, None, NOW * 2) == 0
    assert where(spool) == {"failed": 1}


def test_a_clock_that_was_set_back_delays_no_study(spool):
    inbox = Inbox(spool, Limits(min_free_bytes=0), lambda: NOW)
    dataset = ct_datasets("clock", 1)[0]
    inbox.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    (folder,) = spool.incoming.iterdir()
    os.utime(folder, (NOW + 9e6, NOW + 9e6))
    assert inbox.complete_studies(60) == []
    assert folder.stat().st_mtime == NOW
    os.utime(folder, (NOW - 61, NOW - 61))
    assert inbox.complete_studies(60) == [folder.name]


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "state", "times"),
    [
        (["retry", "retry", "delivered"], "delivered", [0, 10, 30]),
        (["refused"], "refused", [0]),
        (["retry"] * 9, "abandoned", [0, 10, 30, 70, 130]),
    ],
    ids=["at last", "refused", "never"],
)
def test_a_delivery_is_tried_again_with_growing_pauses(answers, state, times, spool):
    sent_job(spool)
    now, tried = NOW, []
    retry = Retry(initial_delay_s=10, factor=2, max_delay_s=60, give_up_after_h=100 / 3600)
    target = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"), retry=retry)

    def sender(files, destination):
        tried.append(now - NOW)
        assert [file.name for file in files] == ["segmentation.dcm"]
        return SendResult(answers[len(tried) - 1], "said so")

    deliverer = Deliverer(spool, target, Metrics(), lambda: now, sender)
    delivery = Delivery()
    while delivery.state == "pending":
        job = deliverer.next_due()
        if job is None:
            now += 1
            continue
        delivery = deliverer.deliver(job)
    assert (delivery.state, tried) == (state, times)
    assert deliverer.next_due() is None
    assert where(spool) == {"sending": 1}  # b is open still
    (job,) = spool.jobs(State.SENDING)
    transitions.record_delivery(spool, job.id, "b", lambda d: d.model_copy(update={"state": "delivered"}), now)
    assert where(spool) == ({"done": 1} if state == "delivered" else {"failed": 1})


def test_a_job_that_waits_for_its_next_attempt_does_not_delay_the_next(spool):
    first, second = sent_job(spool, "one"), sent_job(spool, "two")
    transitions.record_delivery(spool, first.id, "a", lambda d: d.model_copy(update={"next_attempt_at": NOW + 60}), NOW)
    destination = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    due = Deliverer(spool, destination, Metrics(), lambda: NOW).next_due()
    assert due is not None
    assert due.id == second.id


@pytest.mark.parametrize("before", ["refused", "abandoned"])
def test_undelivered_results_go_to_the_new_name_beside_a_failed_delivery(before, spool):
    job = sent_job(spool)
    transitions.record_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"state": before}), NOW)
    transitions.sync_destinations(spool, ["a", "new"], NOW)
    (waits,) = spool.jobs(State.SENDING)
    assert {name: d.state for name, d in waits.destinations.items()} == {"a": before, "b": "removed", "new": "pending"}


def test_a_job_of_a_newer_schema_is_not_read_though_all_its_fields_are_known(spool):
    job = sent_job(spool)
    record = spool.job_folder(State.SENDING, job.id) / "job.json"
    record.write_text(job.model_copy(update={"schema_version": SCHEMA_VERSION + 1}).model_dump_json())
    with raises_code(SpoolError, "job.json", 1):
        spool.read(State.SENDING, job.id)


# --- clocks that were wrong -------------------------------------------------------------------------------------------

YEAR = 365 * 86_400.0


def tried(spool: Spool, job: Job, now: float) -> Delivery:
    """An attempt at one time that fails for now."""
    target = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    sender = Deliverer(spool, target, Metrics(), lambda: now, lambda files, destination: SendResult("retry", "said so"))
    return sender.deliver(job)


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["forward", "back"])
def test_a_clock_that_is_set_gives_up_no_delivery_early_and_none_is_tried_for_ever(jump, spool):
    job = sent_job(spool)
    tried(spool, job, NOW)
    now = NOW + jump
    while (after := tried(spool, job, now)).state == "pending":
        now = after.next_attempt_at
    assert after.state == "abandoned"
    assert 71 * 3600 < now - (NOW + jump) < 73 * 3600


def test_the_delay_between_runs_has_a_maximum(spool):
    receive(spool, ct_datasets("pauses"))
    job = transitions.claim(spool, NOW)
    assert job is not None
    transitions.fail(spool, job.model_copy(update={"attempts": 15}), OutOfMemoryError("none left"), 99, 600, NOW)
    assert transitions.claim(spool, NOW + 60) is None


def test_a_job_that_ended_in_the_future_is_removed_in_its_time(spool):
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")], NOW + YEAR)
    assert transitions.expire(spool, State.FAILED, 90, NOW) == 0
    assert transitions.expire(spool, State.FAILED, 90, NOW + 89 * 86_400) == 0
    assert transitions.expire(spool, State.FAILED, 90, NOW + 91 * 86_400) == 1
