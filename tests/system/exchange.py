"""C-STORE by dcmtk and pynetdicom, and DICOMweb, between the tests and a PACS or service."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterable
from pathlib import Path

from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import create_session, create_session_from_user_pass
from pydicom import Dataset, dcmread
from pynetdicom import AE, evt
from pynetdicom.association import Association

from tests.system.orthanc import Orthanc
from tests.system.tools import needed

#: The calling AE title of a scanner.
SCANNER = "SCANNER"
_AS_STORED = (("application/dicom", "*"),)


def send_by_dcmtk(folder: Path, port: int, called: str, calling: str = SCANNER) -> subprocess.CompletedProcess[str]:
    """Send every file in a folder with storescu; JPEG-LS stays JPEG-LS."""
    command = [
        str(needed("storescu")),
        "-xt",
        "-aet",
        calling,
        "-aec",
        called,
        "+sd",
        "127.0.0.1",
        str(port),
        str(folder),
    ]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | {"TCP_NODELAY": "1"})


def associated(datasets: Iterable[Dataset], port: int, called: str, calling: str = SCANNER) -> Association:
    """An association with a context for each pair of SOP class and transfer syntax; it may be refused."""
    entity = AE(ae_title=calling)
    for sop_class, syntax in sorted({(d.SOPClassUID, d.file_meta.TransferSyntaxUID) for d in datasets}):
        entity.add_requested_context(sop_class, syntax)
    return entity.associate("127.0.0.1", port, ae_title=called, evt_handlers=[(evt.EVT_CONN_OPEN, _without_delay)])


def send_by_pynetdicom(paths: Iterable[Path], port: int, called: str, calling: str = SCANNER) -> list[int]:
    """Send files by C-STORE; the status of each."""
    datasets = [dcmread(path) for path in paths]
    association = associated(datasets, port, called, calling)
    assert association.is_established, "the association was refused"
    try:
        return [int(association.send_c_store(dataset).Status) for dataset in datasets]
    finally:
        association.release()


def dicomweb(pacs: Orthanc) -> DICOMwebClient:
    """A client of the PACS's DICOMweb."""
    session = create_session_from_user_pass(pacs.user, pacs.password) if pacs.user else create_session()
    return DICOMwebClient(pacs.dicomweb_url, session=session)


def retrieved_series(pacs: Orthanc, study_uid: str, series_uid: str, folder: Path, syntax: str = "*") -> list[Path]:
    """Fetch a series by WADO-RS into a folder, as it was stored or in another transfer syntax."""
    datasets = dicomweb(pacs).retrieve_series(study_uid, series_uid, media_types=(("application/dicom", syntax),))
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for number, dataset in enumerate(datasets):
        paths.append(folder / f"{number:04d}.dcm")
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def retrieved_instance(pacs: Orthanc, like: Dataset) -> Dataset:
    """Fetch the instance with the identifiers of another by WADO-RS, as it was stored."""
    uids = (like.StudyInstanceUID, like.SeriesInstanceUID, like.SOPInstanceUID)
    return dicomweb(pacs).retrieve_instance(*uids, media_types=_AS_STORED)


def segmentation_series(pacs: Orthanc, study_uid: str) -> list[str]:
    """Series Instance UIDs of the segmentations of a study, as QIDO-RS finds them."""
    found = dicomweb(pacs).search_for_series(study_uid, search_filters={"Modality": "SEG"})
    return sorted(series["0020000E"]["Value"][0] for series in found)


def segmentations(pacs: Orthanc, study_uid: str) -> list[Dataset]:
    """Every segmentation of a study in the PACS, fetched by WADO-RS as it was stored."""
    client = dicomweb(pacs)
    series = segmentation_series(pacs, study_uid)
    return [found for uid in series for found in client.retrieve_series(study_uid, uid, media_types=_AS_STORED)]


def _without_delay(event: evt.Event) -> None:
    """Send small packets at once: command and data of a C-STORE otherwise wait 40 ms for each other."""
    connection = event.assoc.dul.socket
    assert connection is not None
    assert connection.socket is not None
    connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
