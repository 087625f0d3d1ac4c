"""What a start finds in the spool and puts right; arrivals, retention and the ways of a job."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from cspine.core.errors import MissingSliceError, OutOfMemoryError, SpoolError
from cspine.service.config import Destination, DicomDestination, Limits, Retry
from cspine.service.delivery.deliver import Deliverer
from cspine.service.delivery.send import Sent
from cspine.service.intake.arrivals import Arrivals
from cspine.service.intake.forming import form_job
from cspine.service.intake.instances import INTERRUPTED
from cspine.service.ops.metrics import Metrics
from cspine.service.queue import flow
from cspine.service.queue.job import SCHEMA_VERSION, Delivery, Job, State, study_key
from cspine.service.queue.spool import Spool
from cspine.service.recovery import MOST_CRASHES, put_right
from tests.builders.segmentations import as_bytes, segmentation_dataset
from tests.builders.studies import ct_datasets
from tests.service.fake_runs import write_result

NOW = 2e9


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def receive(spool: Spool, datasets: list, now: float = NOW) -> Arrivals:
    """Take instances and make a job of them."""
    arrivals = Arrivals(spool, Limits(free_bytes=0), lambda: now)
    for dataset in datasets:
        arrivals.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    assert form_job(spool, arrivals, study_key(datasets[0].StudyInstanceUID), now)
    return arrivals


def sent_job(spool: Spool, seed: str = "sent") -> Job:
    """A job in ``sending/`` for two destinations."""
    receive(spool, ct_datasets(seed))
    job = flow.take(spool, NOW)
    assert job is not None
    write_result(spool.place(State.RUNNING, job.id), job.clock)
    flow.succeeded(spool, job)
    flow.match_destinations(spool, ["a", "b"], NOW)
    return spool.read(State.SENDING, job.id)


def where(spool: Spool) -> dict[str, int]:
    """How many jobs are in each state that has any."""
    return {str(state): len(spool.names(state)) for state in State if spool.names(state)}


def test_a_second_service_is_refused(spool):
    spool.claim()
    with pytest.raises(SpoolError):
        Spool(spool.folder).claim()
    spool.release()
    Spool(spool.folder).claim()


def test_a_job_without_its_record_gets_a_new_one(spool):
    datasets = ct_datasets("record")
    receive(spool, datasets)
    (name,) = spool.names(State.WAITING)
    (spool.place(State.WAITING, name) / "job.json").write_text("{")
    assert spool.jobs(State.WAITING) == []
    put_right(spool, NOW)
    (job,) = spool.jobs(State.WAITING)
    assert (job.study, job.instances) == (study_key(datasets[0].StudyInstanceUID), 3)


def test_a_study_that_kills_the_service_again_and_again_is_set_aside(spool):
    receive(spool, ct_datasets("killer"))
    clocks = set()
    for crash in range(1, MOST_CRASHES + 1):
        job = flow.take(spool, NOW)
        assert job is not None
        clocks.add(job.clock)
        put_right(spool, NOW)
        assert where(spool) == ({"waiting": 1} if crash < MOST_CRASHES else {"failed": 1})
    assert len(clocks) == 1
    (job,) = spool.jobs(State.FAILED)
    assert job.reason is not None and job.reason.code == "CS-RTE-004"


def test_a_destination_that_is_no_longer_configured_is_dropped(spool):
    job = sent_job(spool)
    flow.note_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"state": "delivered"}), NOW)
    flow.match_destinations(spool, ["a"], NOW)
    (done,) = spool.jobs(State.DONE)
    assert {name: d.state for name, d in done.destinations.items()} == {"a": "delivered", "b": "removed"}


def test_a_renamed_destination_gets_what_waits_for_its_old_name(spool):
    job = sent_job(spool)
    flow.match_destinations(spool, ["new"], NOW)
    states = {name: d.state for name, d in spool.read(State.SENDING, job.id).destinations.items()}
    assert states == {"a": "removed", "b": "removed", "new": "pending"}


def test_an_attempt_that_nobody_foresaw_is_noted_and_gives_way_to_the_next_job(spool):
    job, _ = sent_job(spool, "odd"), sent_job(spool, "good")

    def broken(files: object, destination: object) -> Sent:
        raise RuntimeError("SECRET^Surname")

    destination = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    deliverer = Deliverer(spool, destination, Metrics(), lambda: NOW, broken)
    first = deliverer.due()
    assert first is not None and first.id == job.id
    noted = deliverer.deliver(first)
    assert (noted.state, noted.attempts) == ("pending", 1)
    assert noted.last is not None and "RuntimeError" in noted.last.message and "SECRET" not in noted.last.message
    second = deliverer.due()
    assert second is not None and second.id != job.id


def test_what_would_wait_for_years_after_the_clock_was_set_back_is_due(spool):
    job = sent_job(spool)
    years = NOW + 1e8
    flow.note_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"next_at": years}), NOW)
    destination = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    assert Deliverer(spool, destination, Metrics(), lambda: NOW).due() is not None

    receive(spool, ct_datasets("years"))
    (waiting,) = spool.jobs(State.WAITING)
    spool.save(spool.place(State.WAITING, waiting.id), waiting.model_copy(update={"not_before": years}))
    assert flow.take(spool, NOW) is not None


def test_a_job_of_a_newer_version_stays_as_it_is(spool, caplog):
    receive(spool, ct_datasets("newer"))
    (name,) = spool.names(State.WAITING)
    file = spool.place(State.WAITING, name) / "job.json"
    newer = json.dumps(json.loads(file.read_text()) | {"schema_version": 2, "colour": "blue"})
    file.write_text(newer)
    put_right(spool, NOW)
    assert file.read_text() == newer
    assert flow.take(spool, NOW) is None
    first = vars(caplog.records[0])
    assert (first["job"], first["code"]) == (name, "CS-RTE-002")


def test_a_torn_job_json_is_made_anew(spool):
    receive(spool, ct_datasets("torn"))
    (name,) = spool.names(State.WAITING)
    (spool.place(State.WAITING, name) / "job.json").write_text('{"id": "2')
    put_right(spool, NOW)
    assert spool.read(State.WAITING, name).instances == 3


def test_late_instances_join_the_last_job_also_when_the_clock_was_set_back(spool):
    datasets = ct_datasets("clock", 5)
    for first, last, now in ((0, 3, NOW), (3, 4, NOW - 5000), (4, 5, NOW - 9000)):
        receive(spool, datasets[first:last], now)
        job = flow.take(spool, NOW)
        assert job is not None
        write_result(spool.place(State.RUNNING, job.id), job.clock)
        flow.succeeded(spool, job)
        assert job.instances >= last


def broken_study(spool: Spool, datasets: list, *, interrupted: bool) -> None:
    """Take instances of a sender that ends well or not, and make a job of them."""
    arrivals = Arrivals(spool, Limits(free_bytes=0), lambda: NOW)
    held = arrivals.hold(datasets[0].StudyInstanceUID)
    for dataset in datasets:
        arrivals.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    arrivals.let_go(datasets[0].StudyInstanceUID, held, interrupted=interrupted)
    assert form_job(spool, arrivals, study_key(datasets[0].StudyInstanceUID), NOW)


def test_a_waiting_study_of_which_a_part_is_missing_stays_marked_until_all_of_it_comes(spool):
    datasets = ct_datasets("marked", 4)
    broken_study(spool, datasets[:2], interrupted=True)
    broken_study(spool, datasets[2:], interrupted=False)
    assert [job.interrupted for job in spool.jobs(State.WAITING)] == [True]
    broken_study(spool, datasets, interrupted=False)
    assert [job.interrupted for job in spool.jobs(State.WAITING)] == [False]


def test_a_marked_result_is_made_anew_when_all_of_the_study_comes_again(spool):
    datasets = ct_datasets("anew", 3)
    broken_study(spool, datasets, interrupted=True)
    job = flow.take(spool, NOW)
    assert job is not None and job.interrupted
    write_result(spool.place(State.RUNNING, job.id), job.clock)
    flow.succeeded(spool, job)
    broken_study(spool, datasets, interrupted=False)
    (again,) = spool.jobs(State.WAITING)
    assert (again.interrupted, again.earlier) == (False, job.id)


def test_of_two_senders_the_one_that_ends_well_does_not_hide_that_the_other_broke_off(spool):
    arrivals = Arrivals(spool, Limits(free_bytes=0), lambda: NOW)
    dataset = ct_datasets("two", 1)[0]
    study = dataset.StudyInstanceUID
    mark = spool.incoming / study_key(study) / INTERRUPTED
    first, second = arrivals.hold(study), arrivals.hold(study)
    arrivals.add(study, dataset.SOPInstanceUID, as_bytes(dataset))
    arrivals.let_go(study, first, interrupted=True)
    arrivals.let_go(study, second, interrupted=False)
    assert mark.exists()
    arrivals.let_go(study, arrivals.hold(study), interrupted=False)
    assert not mark.exists()


def test_attempts_are_counted_and_spaced(spool):
    receive(spool, ct_datasets("memory"))
    pauses = []
    now = NOW
    while (job := flow.take(spool, now)) is not None:
        if flow.failed(spool, job, OutOfMemoryError("none left"), 3, 60, now) is State.WAITING:
            pauses.append(spool.jobs(State.WAITING)[0].not_before - now)
            assert flow.take(spool, now) is None
            now = spool.jobs(State.WAITING)[0].not_before
    assert pauses == [60, 120]
    (failed,) = spool.jobs(State.FAILED)
    assert failed.attempts == 3


def test_two_jobs_of_one_study_never_run_at_once_and_late_instances_wait_for_the_run(spool):
    datasets = ct_datasets("together", 5)
    arrivals = receive(spool, datasets[:3])
    assert flow.take(spool, NOW) is not None
    late = datasets[3]
    arrivals.add(late.StudyInstanceUID, late.SOPInstanceUID, as_bytes(late))
    assert not form_job(spool, arrivals, study_key(late.StudyInstanceUID), NOW + 1)
    assert where(spool) == {"running": 1}
    assert len(list(spool.incoming.glob("*/*"))) == 1


def test_late_instances_join_a_job_that_waits(spool):
    datasets = ct_datasets("joins", 5)
    receive(spool, datasets[:3])
    receive(spool, datasets[2:], NOW + 1)
    (job,) = spool.jobs(State.WAITING)
    assert job.instances == len(list((spool.place(State.WAITING, job.id) / "input").iterdir())) == 5


def test_a_changed_instance_is_new(spool):
    datasets = ct_datasets("changed")
    sent_job(spool, "changed")
    changed = ct_datasets("changed")[0].copy()
    changed.PatientName = "MARRIED^Name"
    changed.file_meta = datasets[0].file_meta
    receive(spool, [changed, *datasets[1:]], NOW + 5)
    (job,) = spool.jobs(State.WAITING)
    assert job.instances == 4 and job.earlier is not None


def test_a_study_that_failed_and_comes_again_is_tried_again(spool):
    datasets = ct_datasets("retried")
    receive(spool, datasets)
    job = flow.take(spool, NOW)
    assert job is not None
    flow.failed(spool, job, MissingSliceError("1 slice is missing"), 3, 60, NOW)
    assert where(spool) == {"failed": 1}
    receive(spool, datasets, NOW + 5)
    assert where(spool) == {"waiting": 1}
    assert spool.jobs(State.WAITING)[0].reason is None


def test_a_study_without_a_ct_image_is_a_dead_letter(spool):
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")])
    (job,) = spool.jobs(State.FAILED)
    assert job.reason is not None and job.reason.code == "CS-SEL-001"


def test_jobs_are_removed_after_their_time_and_failed_ones_stay(spool):
    job = sent_job(spool)
    for name in ("a", "b"):
        flow.note_delivery(spool, job.id, name, lambda d: d.model_copy(update={"state": "delivered"}), NOW)
    assert flow.expire(spool, State.DONE, 7, NOW + 6 * 86_400) == 0
    assert flow.expire(spool, State.DONE, 7, NOW + 8 * 86_400) == 1
    assert where(spool) == {}
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")])
    assert flow.expire(spool, State.FAILED, None, NOW * 2) == 0
    assert where(spool) == {"failed": 1}


def test_a_clock_that_was_set_back_holds_up_no_study(spool):
    arrivals = Arrivals(spool, Limits(free_bytes=0), lambda: NOW)
    dataset = ct_datasets("clock", 1)[0]
    arrivals.add(dataset.StudyInstanceUID, dataset.SOPInstanceUID, as_bytes(dataset))
    (folder,) = spool.incoming.iterdir()
    os.utime(folder, (NOW + 9e6, NOW + 9e6))
    assert arrivals.whole(60) == []
    assert folder.stat().st_mtime == NOW
    os.utime(folder, (NOW - 61, NOW - 61))
    assert arrivals.whole(60) == [folder.name]


# --- deliveries -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "state", "times"),
    [
        (["later", "later", "delivered"], "delivered", [0, 10, 30]),
        (["refused"], "refused", [0]),
        (["later"] * 9, "gave up", [0, 10, 30, 70, 130]),
    ],
    ids=["at last", "refused", "never"],
)
def test_a_delivery_is_tried_again_with_growing_pauses(answers, state, times, spool):
    sent_job(spool)
    now, tried = NOW, []
    retry = Retry(first_delay_s=10, factor=2, maximum_delay_s=60, give_up_after_h=100 / 3600)
    place = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"), retry=retry)

    def sender(files, destination):
        tried.append(now - NOW)
        assert [file.name for file in files] == ["segmentation.dcm"]
        return Sent(answers[len(tried) - 1], "said so")

    deliverer = Deliverer(spool, place, Metrics(), lambda: now, sender)
    delivery = Delivery()
    while delivery.state == "pending":
        job = deliverer.due()
        if job is None:
            now += 1
            continue
        delivery = deliverer.deliver(job)
    assert (delivery.state, tried) == (state, times)
    assert deliverer.due() is None
    assert where(spool) == {"sending": 1}  # b is open still
    (job,) = spool.jobs(State.SENDING)
    flow.note_delivery(spool, job.id, "b", lambda d: d.model_copy(update={"state": "delivered"}), now)
    assert where(spool) == ({"done": 1} if state == "delivered" else {"failed": 1})


def test_a_job_that_waits_for_its_next_attempt_does_not_hold_up_the_next(spool):
    first, second = sent_job(spool, "one"), sent_job(spool, "two")
    flow.note_delivery(spool, first.id, "a", lambda d: d.model_copy(update={"next_at": NOW + 60}), NOW)
    place = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    due = Deliverer(spool, place, Metrics(), lambda: NOW).due()
    assert due is not None
    assert due.id == second.id


@pytest.mark.parametrize("before", ["refused", "gave up"])
def test_results_that_nobody_has_go_to_the_new_name_beside_a_lost_delivery(before, spool):
    job = sent_job(spool)
    flow.note_delivery(spool, job.id, "a", lambda d: d.model_copy(update={"state": before}), NOW)
    flow.match_destinations(spool, ["a", "new"], NOW)
    (waits,) = spool.jobs(State.SENDING)
    assert {name: d.state for name, d in waits.destinations.items()} == {"a": before, "b": "removed", "new": "pending"}


def test_a_job_of_a_newer_schema_is_not_read_though_all_its_fields_are_known(spool):
    job = sent_job(spool)
    record = spool.place(State.SENDING, job.id) / "job.json"
    record.write_text(job.model_copy(update={"schema_version": SCHEMA_VERSION + 1}).model_dump_json())
    with pytest.raises(SpoolError, match="schema"):
        spool.read(State.SENDING, job.id)


# --- clocks that were wrong -------------------------------------------------------------------------------------------

YEAR = 365 * 86_400.0


def tried(spool: Spool, job: Job, now: float) -> Delivery:
    """An attempt at one time that fails for now."""
    place = Destination(name="a", dicom=DicomDestination(host="h", port=1, ae_title="A"))
    sender = Deliverer(spool, place, Metrics(), lambda: now, lambda files, destination: Sent("later", "said so"))
    return sender.deliver(job)


@pytest.mark.parametrize("jump", [YEAR, -YEAR], ids=["forward", "back"])
def test_a_clock_that_is_set_gives_up_no_delivery_early_and_none_is_tried_for_ever(jump, spool):
    job = sent_job(spool)
    tried(spool, job, NOW)
    now = NOW + jump
    while (after := tried(spool, job, now)).state == "pending":
        now = after.next_at
    assert after.state == "gave up"
    assert 71 * 3600 < now - (NOW + jump) < 73 * 3600


def test_the_pauses_between_runs_end_at_the_longest(spool):
    receive(spool, ct_datasets("pauses"))
    job = flow.take(spool, NOW)
    assert job is not None
    flow.failed(spool, job.model_copy(update={"attempts": 15}), OutOfMemoryError("none left"), 99, 600, NOW)
    assert flow.take(spool, NOW + 60) is None


def test_a_job_that_ended_in_the_future_is_removed_in_its_time(spool):
    receive(spool, [segmentation_dataset("1.2.3", "1.2.3.4")], NOW + YEAR)
    assert flow.expire(spool, State.FAILED, 90, NOW) == 0
    assert flow.expire(spool, State.FAILED, 90, NOW + 89 * 86_400) == 0
    assert flow.expire(spool, State.FAILED, 90, NOW + 91 * 86_400) == 1
