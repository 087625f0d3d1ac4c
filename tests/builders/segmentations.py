"""A segmentation that stands for a result in the tests of the service, and datasets as files."""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, SegmentationStorage

SECRET = "SECRET^Surname"


def segmentation_dataset(study_uid: str, sop_uid: str) -> Dataset:
    """As much of a DICOM Segmentation as a PACS looks at."""
    dataset = Dataset()
    dataset.SOPClassUID = SegmentationStorage
    dataset.SOPInstanceUID = sop_uid
    dataset.StudyInstanceUID = study_uid
    dataset.SeriesInstanceUID = f"{sop_uid}.1"
    dataset.Modality = "SEG"
    dataset.PatientID = "PRIVATE-77"
    dataset.PatientName = SECRET
    return with_meta(dataset)


def with_meta(dataset: Dataset) -> Dataset:
    """Give a dataset its file meta information."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(str(dataset.SOPInstanceUID))
    return dataset


def as_bytes(dataset: Dataset) -> bytes:
    """A DICOM file."""
    with BytesIO() as file:
        dcmwrite(file, dataset, enforce_file_format=True)
        return file.getvalue()
