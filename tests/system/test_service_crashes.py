"""`cspine serve-pacs` killed in each phase, and a PACS that is down: nothing is lost or duplicated."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from tests.system.conftest import MakeService
from tests.system.exchange import SCANNER, associated, segmentations, send_by_pynetdicom
from tests.system.neck_studies import NeckStudy, direct_run, neck_study
from tests.system.orthanc import Orthanc
from tests.system.service import AE_TITLE, RunningService, listening, to_pacs
from tests.system.tools import free_port, waited

pytestmark = pytest.mark.system


@pytest.fixture
def port() -> int:
    """The DICOM port of the service."""
    return free_port()


@pytest.fixture
def service(make_service: MakeService, pacs: Orthanc, port: int) -> RunningService:
    """A service of this test alone, started."""
    running = make_service(listener=listening(port, SCANNER), destinations=[to_pacs(pacs)])
    running.start()
    return running


def kill_and_start(service: RunningService) -> None:
    service.kill()
    service.start()


def assert_done(service: RunningService, pacs: Orthanc, study: NeckStudy, expected: Dataset) -> None:
    """Wait for the end: one job, done, and one result in the PACS, as `cspine run` makes it."""
    waited("the job is done", lambda: service.states(study.uid) == ["done"], seconds=120)
    [result] = segmentations(pacs, study.uid)
    assert result == expected
    assert service.stop() == 0
    left = [path for name in ("tmp", "incoming", "assembling") for path in (service.spool / name).iterdir()]
    assert left == []


def test_killed_while_it_receives(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    datasets = [dcmread(path) for path in study.paths]
    association = associated(datasets, port, AE_TITLE)
    kept = 0
    for number, dataset in enumerate(datasets):
        if number == 60:
            service.kill()
        with suppress(AttributeError, RuntimeError):  # no status, or no association any more
            kept += association.send_c_store(dataset).Status == 0
    assert kept == 60
    assert len(list((service.spool / "incoming").glob("*/*.dcm"))) == 60  # all that were acknowledged
    service.start()
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}  # the scanner repeats its transfer
    waited("the latest job is done", lambda: service.states(study.uid)[-1:] == ["done"], seconds=120)
    # Half of it may have run before; then the result of all names the one that it supersedes.
    assert any(np.array_equal(found.pixel_array, expected.pixel_array) for found in segmentations(pacs, study.uid))


def test_killed_before_a_study_is_complete(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    kill_and_start(service)
    assert_done(service, pacs, study, expected)


def test_killed_while_one_study_runs_and_one_waits(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset, model: Path, tmp_path: Path
) -> None:
    other = neck_study(tmp_path / "other", "another patient")
    for sent in (study, other):
        assert set(send_by_pynetdicom(sent.paths, port, AE_TITLE)) == {0}
    service.waited_for("volume: 128 slices")
    waited("the other study waits", lambda: "waiting" in service.states(other.uid))
    assert service.states(study.uid) == ["running"]
    kill_and_start(service)
    waited("the other job is done", lambda: service.states(other.uid) == ["done"], seconds=120)
    assert segmentations(pacs, other.uid) == [direct_run(other.folder, model, tmp_path / "other-direct")]
    assert_done(service, pacs, study, expected)
    assert len(service.events("job requeued after a crash", study=study.key)) == 1


def test_killed_while_it_sends_to_a_pacs_that_is_down(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    pacs.stop()
    try:
        assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
        service.waited_for("delivery failed, retrying", count=2, study=study.key)
        assert service.states(study.uid) == ["sending"]
        kill_and_start(service)
        service.waited_for("delivery failed, retrying", count=4, study=study.key)
    finally:
        pacs.start()
    assert_done(service, pacs, study, expected)
    assert len(service.events("run finished", study=study.key)) == 1


def test_the_pacs_is_killed_and_restarted(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    service.waited_for("run started", study=study.key)
    pacs.kill()
    try:
        service.waited_for("delivery failed, retrying", study=study.key)
    finally:
        pacs.start()
    assert_done(service, pacs, study, expected)


def test_stopped_during_a_run_it_resumes_after_the_next_start(
    service: RunningService, pacs: Orthanc, port: int, study: NeckStudy, expected: Dataset
) -> None:
    assert set(send_by_pynetdicom(study.paths, port, AE_TITLE)) == {0}
    service.waited_for("run started", study=study.key)
    assert service.stop() == 0
    assert service.states(study.uid) == ["waiting"]
    service.start()
    assert_done(service, pacs, study, expected)
