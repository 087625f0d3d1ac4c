"""`cspine serve-pacs` that fetches studies from a PACS by DICOMweb, and stores the results there."""

from __future__ import annotations

import pytest
from pydicom import Dataset

from tests.system.conftest import MakeService
from tests.system.exchange import segmentations, send_by_pynetdicom
from tests.system.neck_studies import NeckStudy
from tests.system.orthanc import Orthanc
from tests.system.service import to_dicomweb, web
from tests.system.tools import waited

pytestmark = pytest.mark.system

_ANSWERED = 'cspine_polls_total{outcome="succeeded"}'


def test_a_study_in_the_pacs_is_fetched_once_also_over_a_kill_and_a_pacs_that_was_down(
    make_service: MakeService, pacs: Orthanc, study: NeckStudy, expected: Dataset
) -> None:
    # The studies of the tests are dated 2020.
    polling = web(pacs) | {"interval_s": 1, "lookback_days": 20_000, "max_interval_s": 2}
    service = make_service(polling=polling, destinations=[to_dicomweb(pacs)])
    service.start()
    pacs.stop()
    service.waited_for("DICOMweb query failed")
    pacs.start()
    assert set(send_by_pynetdicom(study.paths, pacs.dicom_port, pacs.ae_title)) == {0}
    service.waited_for("study fetched", study=study.key)
    service.kill()
    service.start()
    waited("the job is done", lambda: service.states(study.uid) == ["done"], seconds=120)
    assert segmentations(pacs, study.uid) == [expected]

    # The result is in the PACS now; it must not count as new.
    seen = service.metric(_ANSWERED)
    waited("six more questions", lambda: service.metric(_ANSWERED) >= seen + 6)
    assert service.states(study.uid) == ["done"]
    assert len(service.events("study fetched", study=study.key)) == 1
    assert service.stop() == 0
