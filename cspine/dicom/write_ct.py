"""Write a CT volume as a DICOM series of single-frame CT images, for synthesis, the example and the tests.

The files depend on the arguments alone, so the same volume and description give the same bytes.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import DataElement, Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import (
    UID,
    CTImageStorage,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)
from pydicom.valuerep import format_number_as_ds

from cspine.core.errors import UsageError
from cspine.core.geometry import shear_mm, to_lps
from cspine.core.volumes import CtVolume

_NAMESPACE = uuid.UUID("2c1e5f0a-6b5e-5d0e-9a53-6f2d1c7b8e41")
_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian)
_COMPRESSED = (JPEGLSLossless, RLELossless, JPEG2000Lossless)
_AIR_HU = -1024


def derive_uid(*parts: str | int) -> str:
    """Return the UID derived from these parts: ``2.25.`` and the integer of a UUID (PS3.5 B.2).

    Parameters
    ----------
    *parts : str or int
        What the UID stands for; the same parts give the same UID.
    """
    return f"2.25.{uuid.uuid5(_NAMESPACE, '/'.join(str(part) for part in parts)).int}"


@dataclass(frozen=True)
class CtSeriesDescription:
    """The description of a CT series.

    Parameters
    ----------
    uid_seed : str
        Seed of all UIDs, which must differ between series.
    patient_id, patient_name, patient_sex, patient_age : str
        (0010,0020), (0010,0010), (0010,0040), (0010,1010); the age in DICOM format, for example ``"045Y"``.
    study_description, series_description, kernel, body_part : str
        (0008,1030), (0008,103E), (0018,1210), (0018,0015).
    series_number : int
        (0020,0011).
    study_seed : str
        Series with the same study seed share study and frame of reference; ``uid_seed`` if empty.
    clock : datetime
        Source of all dates and times.
    transfer_syntax : str
        UID of a native syntax, JPEG-LS lossless, JPEG 2000 lossless or RLE lossless.
    character_set : str or tuple of str
        (0008,0005).
    """

    uid_seed: str
    patient_id: str = "SYNTHETIC"
    patient_name: str = "Synthetic^Neck"
    patient_sex: str = "O"
    patient_age: str = "045Y"
    study_description: str = "Synthetic CT of the neck"
    series_description: str = "Synthetic neck"
    kernel: str = "SYNTHETIC"
    body_part: str = "CSPINE"
    series_number: int = 2
    study_seed: str = ""
    clock: datetime = field(default=datetime(2020, 1, 1, 12, 0, 0, tzinfo=UTC))
    transfer_syntax: str = JPEGLSLossless
    character_set: str | tuple[str, ...] = "ISO_IR 192"

    @property
    def study_uid(self) -> str:
        """(0020,000D) *Study Instance UID*."""
        return derive_uid(self.study_seed or self.uid_seed, "study")

    @property
    def series_uid(self) -> str:
        """(0020,000E) *Series Instance UID*."""
        return derive_uid(self.uid_seed, "series")


@dataclass(frozen=True, eq=False)
class SlicePlane:
    """The position and spacing of a slice.

    Parameters
    ----------
    position_lps : ndarray, shape (3,)
        Centre of the first voxel, millimetres.
    cosines : ndarray, shape (2, 3)
        Direction of increasing column index (along a row), then of increasing row index (down a column).
    spacing_yx : tuple of float
        Distance between rows, then between columns, millimetres: the order of (0028,0030) *Pixel Spacing*.
    thickness_mm : float
        (0018,0050) *Slice Thickness*.
    """

    position_lps: NDArray[np.float64]
    cosines: NDArray[np.float64]
    spacing_yx: tuple[float, float]
    thickness_mm: float


def ct_dataset(
    stored_yx: NDArray[np.integer], plane: SlicePlane, number: int, description: CtSeriesDescription, intercept: float
) -> Dataset:
    """Return a CT Image (PS3.3 A.3) with native little-endian pixels, ready for `save_ct`.

    Parameters
    ----------
    stored_yx : ndarray of uint16 or int16, shape (rows, columns)
        Stored values.
    plane : SlicePlane
        Position of the slice.
    number : int
        (0020,0013) *Instance Number*, from 1.
    description : CtSeriesDescription
        Description of the series.
    intercept : float
        (0028,1052) *Rescale Intercept*; the slope is 1.

    Returns
    -------
    Dataset
    """
    day, time = description.clock.strftime("%Y%m%d"), description.clock.strftime("%H%M%S")
    dataset = Dataset()
    charset = description.character_set
    dataset.SpecificCharacterSet = charset if isinstance(charset, str) else list(charset)
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = derive_uid(description.uid_seed, "instance", number)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate"):
        setattr(dataset, keyword, day)
    for keyword in ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime"):
        setattr(dataset, keyword, time)
    dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PatientBirthDate = ""
    dataset.Modality, dataset.Manufacturer = "CT", "cspine"
    dataset.StudyDescription, dataset.SeriesDescription = description.study_description, description.series_description
    dataset.PatientName, dataset.PatientID = description.patient_name, description.patient_id
    dataset.PatientSex, dataset.PatientAge = description.patient_sex, description.patient_age
    dataset.BodyPartExamined, dataset.ConvolutionKernel = description.body_part, description.kernel
    dataset.KVP, dataset.PatientPosition = "120", "HFS"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = description.study_uid, description.series_uid
    dataset.FrameOfReferenceUID = derive_uid(description.study_seed or description.uid_seed, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.StudyID, dataset.SeriesNumber, dataset.AcquisitionNumber = "1", description.series_number, 1
    dataset.InstanceNumber = number
    dataset.SliceThickness = format_number_as_ds(float(plane.thickness_mm))
    dataset.ImagePositionPatient = [format_number_as_ds(float(v)) for v in plane.position_lps]
    dataset.ImageOrientationPatient = [format_number_as_ds(float(v)) for v in plane.cosines.ravel()]
    dataset.PixelSpacing = [format_number_as_ds(float(v)) for v in plane.spacing_yx]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored_yx.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = int(np.issubdtype(stored_yx.dtype, np.signedinteger))
    dataset.RescaleIntercept, dataset.RescaleSlope = format_number_as_ds(float(intercept)), "1"
    dataset.RescaleType = "HU"
    dataset.WindowCenter, dataset.WindowWidth = "400", "2000"
    dataset["PixelData"] = _pixel_element(stored_yx)
    return dataset


def save_ct(dataset: Dataset, path: Path, transfer_syntax: str) -> None:
    """Write a data set with native little-endian pixels as a DICOM file in a transfer syntax.

    Parameters
    ----------
    dataset : Dataset
        As `ct_dataset` returns it; it is not modified.
    path : Path
        File to write.
    transfer_syntax : str
        As in `CtSeriesDescription`.

    Raises
    ------
    UsageError
        If the transfer syntax is not supported.
    """
    if transfer_syntax not in _NATIVE + _COMPRESSED:
        raise UsageError(f"transfer syntax {transfer_syntax} is not supported for writing")
    written = Dataset()
    written.update({tag: dataset[tag] for tag in dataset.keys()})  # noqa: SIM118 - a Dataset iterates over elements
    # An element is shared with the dataset it came from, and compressing changes it in place.
    written["PixelData"] = DataElement("PixelData", "OW", dataset.PixelData)
    written.file_meta = FileMetaDataset()
    written.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    written.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    written.file_meta.ImplementationClassUID = UID(derive_uid("implementation"))
    written.file_meta.ImplementationVersionName = "CSPINE"
    if transfer_syntax in _COMPRESSED:
        written.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        written.compress(transfer_syntax, generate_instance_uid=False)
    else:
        written.file_meta.TransferSyntaxUID = UID(transfer_syntax)
        if transfer_syntax == ExplicitVRBigEndian:
            words = np.frombuffer(dataset.PixelData, dtype="<u2")
            written["PixelData"] = _pixel_element(words.astype(">u2"))
    written.save_as(path, enforce_file_format=True)


def write_ct_series(volume: CtVolume, folder: Path, description: CtSeriesDescription) -> list[Path]:
    """Write a volume as a DICOM CT series, one file per slice, and return the files.

    Parameters
    ----------
    volume : CtVolume
        Hounsfield units on an orthogonal right-handed grid; values are rounded, and clipped at -1024.
    folder : Path
        Folder to write to; it is created if it does not exist.
    description : CtSeriesDescription
        Description of the series.

    Returns
    -------
    list of Path
        The files, in the order of the slices.

    Raises
    ------
    UsageError
        If the grid is sheared or left-handed, or a value does not fit into 16 bits.
    """
    affine = volume.affine_lps
    if max(abs(v) for v in shear_mm(affine)) > 1e-3 or np.linalg.det(affine[:3, :3]) <= 0:
        raise UsageError("a CT series can only be written from an orthogonal right-handed grid")
    stored = np.rint(volume.hu_zyx).clip(_AIR_HU, None) - _AIR_HU
    if stored.max() > np.iinfo(np.uint16).max:
        raise UsageError(f"the largest value, {stored.max() + _AIR_HU:.0f} HU, does not fit into 16 bits")
    x_mm, y_mm, z_mm = volume.grid.spacing_xyz
    cosines = np.stack([affine[:3, 0] / x_mm, affine[:3, 1] / y_mm])
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for k, plane_yx in enumerate(stored):
        position = to_lps(affine, np.array([[0.0, 0.0, float(k)]]))[0]
        plane = SlicePlane(position, cosines, (y_mm, x_mm), z_mm)
        dataset = ct_dataset(plane_yx.astype(np.uint16), plane, k + 1, description, _AIR_HU)
        paths.append(folder / f"IMG_{k + 1:05d}.dcm")
        save_ct(dataset, paths[-1], description.transfer_syntax)
    return paths


def _pixel_element(stored: NDArray[np.integer]) -> DataElement:
    data = stored.tobytes()
    return DataElement("PixelData", "OW", data + b"\0" * (len(data) % 2))
