"""Images and results through a real PACS: C-STORE, QIDO-RS, WADO-RS and STOW-RS of Orthanc."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from tests.builders.judges import dciodvfy_errors
from tests.system.conftest import Segmented
from tests.system.exchange import (
    dicomweb,
    retrieved_instance,
    retrieved_series,
    segmentation_series,
    send_by_dcmtk,
    send_by_pynetdicom,
)
from tests.system.orthanc import Orthanc

pytestmark = pytest.mark.system


def _by_uid(paths: list[Path]) -> dict[str, Dataset]:
    return {dataset.SOPInstanceUID: dataset for dataset in map(dcmread, paths)}


def _send(folder: Path, pacs: Orthanc, sender: str) -> None:
    if sender == "dcmtk":
        done = send_by_dcmtk(folder, pacs.dicom_port, pacs.ae_title)
        assert done.returncode == 0, done.stderr
    else:
        assert set(send_by_pynetdicom(sorted(folder.iterdir()), pacs.dicom_port, pacs.ae_title)) == {0}


@pytest.mark.parametrize("sender", ["dcmtk", "pynetdicom"])
def test_a_stored_series_is_returned_unchanged(pacs: Orthanc, neck_ct: Path, tmp_path: Path, sender: str) -> None:
    _send(neck_ct, pacs, sender)
    sent = _by_uid(sorted(neck_ct.iterdir()))
    one = next(iter(sent.values()))
    stored = _by_uid(retrieved_series(pacs, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path))
    assert stored == sent
    assert {image.file_meta.TransferSyntaxUID for image in stored.values()} == {one.file_meta.TransferSyntaxUID}


def test_a_series_from_the_pacs_gives_the_same_bytes(
    pacs: Orthanc, neck_ct: Path, segmented: Segmented, tmp_path: Path
) -> None:
    _send(neck_ct, pacs, "pynetdicom")
    one = dcmread(next(neck_ct.iterdir()))
    # Uncompressed by the PACS: what a viewer or a router asks for.
    returned = retrieved_series(
        pacs, one.StudyInstanceUID, one.SeriesInstanceUID, tmp_path / "ct", ExplicitVRLittleEndian
    )
    assert {dcmread(path).file_meta.TransferSyntaxUID for path in returned} == {ExplicitVRLittleEndian}
    assert segmented(tmp_path / "ct", "binary").read_bytes() == segmented(neck_ct, "binary").read_bytes()


@pytest.mark.parametrize("seg_type", ["binary", "labelmap"])
@pytest.mark.parametrize("service", ["C-STORE", "STOW-RS"])
def test_a_stored_result_is_found_and_returned_unchanged(
    pacs: Orthanc, neck_ct: Path, segmented: Segmented, tmp_path: Path, service: str, seg_type: str
) -> None:
    path = segmented(neck_ct, seg_type)
    result = dcmread(path)
    if service == "C-STORE":
        assert send_by_pynetdicom([path], pacs.dicom_port, pacs.ae_title) == [0]
    else:
        refused = dicomweb(pacs).store_instances([result]).get("FailedSOPSequence", [])
        assert len(refused) == 0

    assert segmentation_series(pacs, result.StudyInstanceUID) == [result.SeriesInstanceUID]
    returned = retrieved_instance(pacs, result)
    assert returned == result
    assert returned.file_meta.TransferSyntaxUID == result.file_meta.TransferSyntaxUID
    assert returned.PixelData == result.PixelData
    assert np.array_equal(returned.pixel_array, result.pixel_array)
    returned.save_as(tmp_path / "returned.dcm", enforce_file_format=True)
    assert dciodvfy_errors(tmp_path / "returned.dcm") == []


def test_every_object_of_a_run_is_stored_and_returned_unchanged(
    pacs: Orthanc, neck_ct: Path, every_object: list[Path], tmp_path: Path
) -> None:
    _send(neck_ct, pacs, "pynetdicom")
    assert set(send_by_pynetdicom(every_object, pacs.dicom_port, pacs.ae_title)) == {0}
    sent = _by_uid(every_object)
    assert {
        SegmentationStorage,
        Comprehensive3DSRStorage,
        SecondaryCaptureImageStorage,
        EncapsulatedPDFStorage,
        EncapsulatedSTLStorage,
        RTStructureSetStorage,
        KeyObjectSelectionDocumentStorage,
    } == {dataset.SOPClassUID for dataset in sent.values()}
    for number, dataset in enumerate(sent.values()):
        returned = retrieved_instance(pacs, dataset)
        assert returned == dataset
        returned.save_as(tmp_path / f"{number}.dcm", enforce_file_format=True)
        assert dciodvfy_errors(tmp_path / f"{number}.dcm") == []
