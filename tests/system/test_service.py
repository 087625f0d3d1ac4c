"""`cspine serve-pacs` between a scanner and a PACS: studies, interrupted transfers, and invalid senders."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.system.conftest import MakeService
from tests.system.exchange import SCANNER, associated, segmentations, send_by_dcmtk, send_by_pynetdicom
from tests.system.neck_studies import NeckStudy
from tests.system.orthanc import Orthanc
from tests.system.service import AE_TITLE, RunningService, listening, to_dicomweb, to_pacs
from tests.system.tools import free_port, waited

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def port() -> int:
    """The DICOM port of the service."""
    return free_port()


@pytest.fixture(scope="module")
def service(make_service: MakeService, running_pacs: Orthanc, port: int) -> Iterator[RunningService]:
    """One service for all tests here: what one sender does must not harm the next."""
    running = make_service(
        listener=listening(port, SCANNER), destinations=[to_pacs(running_pacs), to_dicomweb(running_pacs)]
    )
    running.start()
    yield running
    status, report = running.health()
    assert (status, report["status"]) == (200, "ok")
    assert running.stop() == 0
    assert running.not_json() == []
    assert [line for line in running.events() if "unexpected" in line["event"]] == []


def done(service: RunningService, study: NeckStudy, deliveries: int = 1, jobs: int = 1) -> None:
    """Wait until results of a study have gone to both destinations so often, and all of its jobs are done."""
    for destination in ("pacs", "web"):
        service.waited_for("delivered", count=deliveries, study=study.key, destination=destination)
    waited("the jobs are done", lambda: service.states(study.uid) == ["done"] * jobs)


def assert_equal(found: Dataset, expected: Dataset) -> None:
    assert found == expected
    assert found.PixelData == expected.PixelData


# --- studies ----------------------------------------------------------------------------------------------------------


def test_a_study_gives_the_result_of_cspine_run(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    sent = send_by_dcmtk(study.folder, port, AE_TITLE)
    assert sent.returncode == 0, sent.stderr
    done(service, study)
    [result] = segmentations(pacs, study.uid)
    assert_equal(result, expected)


def test_a_study_sent_twice_is_run_once_and_its_result_sent_again(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy
) -> None:
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    done(service, study)
    [first] = segmentations(pacs, study.uid)
    pacs.empty()  # deleted, and sent again to obtain a new result
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    done(service, study, deliveries=2)
    [second] = segmentations(pacs, study.uid)
    assert_equal(second, first)
    assert len(service.events("run started", study=study.key)) == 1


def test_a_partial_study_is_marked_and_superseded_by_the_complete_one(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    datasets = [dcmread(path) for path in study.paths]
    association = associated(datasets, port, AE_TITLE)
    for dataset in datasets[:90]:
        assert association.send_c_store(dataset).Status == 0
    association.abort()
    done(service, study)
    [(_, half)] = service.jobs(study.uid)
    assert (half.incomplete, half.instances) == (True, 90)
    [cut] = segmentations(pacs, study.uid)

    assert set(send_by_pynetdicom(study.paths[80:], port, AE_TITLE)) == {0}  # ten of them once more
    done(service, study, deliveries=2, jobs=2)
    _, (_, fuller) = service.jobs(study.uid)
    assert fuller.previous == half.id
    assert fuller.incomplete  # it is not known whether this is complete
    [found] = [found for found in segmentations(pacs, study.uid) if found.SOPInstanceUID != cut.SOPInstanceUID]
    assert np.array_equal(found.pixel_array, expected.pixel_array)
    assert found.SeriesDescription.startswith("CHECK")
    assert [item.SeriesInstanceUID for item in found.RelatedSeriesSequence] == [cut.SeriesInstanceUID]

    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    done(service, study, deliveries=3, jobs=3)
    *_, (_, complete) = service.jobs(study.uid)
    assert not complete.incomplete


def test_a_slow_transfer_is_not_interrupted(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy
) -> None:
    datasets = [dcmread(path) for path in study.paths]
    association = associated(datasets, port, AE_TITLE)
    for number, dataset in enumerate(datasets):
        if number == 64:
            time.sleep(5)  # longer than study_complete_after_s
        assert association.send_c_store(dataset).Status == 0
    assert service.states(study.uid) == []
    association.release()
    done(service, study)
    [(_, job)] = service.jobs(study.uid)
    assert (job.incomplete, job.instances) == (False, 128)
    assert len(segmentations(pacs, study.uid)) == 1


# --- senders that are refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", AE_TITLE), (SCANNER, "OTHER")])
def test_unknown_ae_titles_are_rejected(
    service: RunningService, port: int, study: NeckStudy, calling: str, called: str
) -> None:
    before = service.metric('cspine_associations_total{outcome="rejected"}')
    association = associated([dcmread(study.paths[0])], port, called, calling)
    assert association.is_rejected
    waited(
        "the refusal is counted",
        lambda: service.metric('cspine_associations_total{outcome="rejected"}') == before + 1,
    )


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n",
        b"\x01\x00\x7f\xff\xff\xff" + b"\x00" * 64,  # an association request that claims 2 GiB
        random.Random(0).randbytes(100_000),
    ],
    ids=["http", "huge", "random"],
)
def test_garbage_on_the_port_does_no_harm(service: RunningService, port: int, study: NeckStudy, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(15)
        try:
            connection.sendall(noise)
            while connection.recv(4096):  # an abort at most, then the end
                pass
        except ConnectionError:
            pass
    association = associated([dcmread(study.paths[0])], port, AE_TITLE)
    assert association.is_established
    association.release()


def test_an_idle_connection_is_closed(service: RunningService, port: int) -> None:
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.settimeout(40)
        while connection.recv(4096):
            pass
    assert time.monotonic() - started < 30
