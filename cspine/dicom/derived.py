"""What the DICOM objects of a run share: patient, study, equipment, clock and UIDs (PS3.3 C.7.1, C.7.2, C.7.5, C.12.1).

The segmentation is built by highdicom (`seg`); the objects that start here are built with pydicom alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from cspine import __version__
from cspine.core.volumes import CtSource, CtVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.descriptions import series_description
from cspine.dicom.earlier_results import MANUFACTURER, MODEL_NAME
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.source_header import (
    check_positions,
    header_bytes,
    normalise_headers,
    read_source_headers,
    source_of,
    zone_of,
)
from cspine.dicom.uids import ObjectIdentity
from cspine.io.files import write_atomic

#: Of the patient and the study; group 0012, the clinical trial, is copied completely.
_COPIED = (
    "SpecificCharacterSet",
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "PatientAge",
    "PatientSize",
    "PatientWeight",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
    "StudyID",
    "StudyDescription",
    "AccessionNumber",
)
_TRIAL_GROUP = 0x0012


@dataclass(frozen=True)
class ObjectSettings:
    """What all DICOM objects of a run have in common.

    Parameters
    ----------
    clock : Clock
        All dates and times.
    parameters : tuple of (str, str)
        Settings of the run; each change leads to new UIDs.
    remark : str
        Prefix of (0008,103E) *Series Description*, which every viewer shows.
    """

    clock: Clock
    parameters: tuple[tuple[str, str], ...] = ()
    remark: str = ""


@dataclass(frozen=True)
class ObjectKind:
    """A kind of object.

    Parameters
    ----------
    sop_class_uid : str
        (0008,0016).
    modality : str
        (0008,0060).
    series_number : int
        (0020,0011) of the new series.
    title : str
        (0008,103E) *Series Description*, without marks.
    """

    sop_class_uid: str
    modality: str
    series_number: int
    title: str


@dataclass(frozen=True, eq=False)
class Origin:
    """The headers of the source instances, ready to be copied from, with the source itself.

    Parameters
    ----------
    headers : tuple of Dataset
        One for each instance, without pixels.
    source : CtSource
        The stored slices.
    """

    headers: tuple[Dataset, ...]
    source: CtSource

    @property
    def first(self) -> Dataset:
        """The header of the first instance."""
        return self.headers[0]

    def references(self) -> Iterator[Dataset]:
        """Yield an item with SOP Class and Instance UID for each source instance (PS3.3 10.8)."""
        for header in self.headers:
            yield reference(header)


def reference(header: Dataset) -> Dataset:
    """Return the reference to an instance: its SOP Class and SOP Instance UID.

    Parameters
    ----------
    header : Dataset
        Header with *SOP Class UID* and *SOP Instance UID*.

    Returns
    -------
    Dataset
        An item with (0008,1150) *Referenced SOP Class UID* and (0008,1155) *Referenced SOP Instance UID*.
    """
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def read_origin(ct: CtVolume) -> Origin:
    """Return the source of a volume.

    Parameters
    ----------
    ct : CtVolume
        A volume that was read from DICOM files, which must still exist.

    Raises
    ------
    DicomSourceNeededError
        If the volume does not come from DICOM.
    InputError, MissingAttributeError, GeometryError
        As `source_header.read_source_headers`, `normalise_headers` and `check_positions`.
    """
    source = source_of(ct)
    with suppress_phi_logging():
        headers = read_source_headers(source)
        normalise_headers(headers, source)
        check_positions(headers, source)
    return Origin(tuple(headers), source)


def start_object(
    kind: ObjectKind, origin: Origin, model: ModelIdentity | None, settings: ObjectSettings, content: bytes
) -> tuple[Dataset, ObjectIdentity]:
    """Return a data set with the modules that all objects share, and the identity that gives further UIDs.

    Parameters
    ----------
    kind : ObjectKind
        The kind of object.
    origin : Origin
        The source.
    model : ModelIdentity or None
        The model behind the content.
    settings : ObjectSettings
        Clock, parameters, remark.
    content : bytes
        Everything of the object that does not follow from the other arguments; it enters the UIDs.
    """
    identity = _identity(kind, origin, model, settings, content)
    dataset = Dataset()
    with suppress_phi_logging():
        _copy(origin.first, dataset)
    dataset.SOPClassUID = kind.sop_class_uid
    dataset.SOPInstanceUID = identity.uid("instance")
    dataset.SeriesInstanceUID = identity.uid("series")
    dataset.Modality = kind.modality
    dataset.SeriesNumber = kind.series_number
    dataset.InstanceNumber = 1
    dataset.SeriesDescription = series_description(kind.title, model, settings.remark)
    _set_equipment(dataset, model)
    _set_clock(dataset, origin.first, settings.clock)
    return dataset, identity


def save_object(dataset: Dataset, path: Path) -> str:
    """Write an object in Explicit VR Little Endian, atomically, and return its SOP Instance UID.

    Parameters
    ----------
    dataset : Dataset
        A complete object without file meta information.
    path : Path
        File to write.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = UID(dataset.SOPClassUID)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    with suppress_phi_logging():
        write_atomic(path, lambda partial: dataset.save_as(partial, enforce_file_format=True))
    return str(dataset.SOPInstanceUID)


def _identity(
    kind: ObjectKind, origin: Origin, model: ModelIdentity | None, settings: ObjectSettings, content: bytes
) -> ObjectIdentity:
    return ObjectIdentity(
        sources=tuple(f"{part.sop_instance_uid}/{part.frame}" for part in origin.source.slices),
        model_checksum=model.checksum if model else "",
        version=__version__,
        settings=(
            *settings.parameters,
            ("sop_class", kind.sop_class_uid),
            ("series_number", str(kind.series_number)),
            ("remark", settings.remark),
            ("model_title", model.title if model else ""),
        ),
        clock=settings.clock,
        content=hashlib.sha256(content + header_bytes(origin.first)).hexdigest(),
    )


def _copy(header: Dataset, dataset: Dataset) -> None:
    for element in header:
        if element.keyword in _COPIED or element.tag.group == _TRIAL_GROUP:
            dataset[element.tag] = element


def _set_equipment(dataset: Dataset, model: ModelIdentity | None) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.SoftwareVersions = __version__
    # The checksum of a model that another object names is unknown.
    dataset.DeviceSerialNumber = model.checksum[:16] if model and model.checksum else "0"


def _set_clock(dataset: Dataset, header: Dataset, clock: Clock) -> None:
    if (zone := zone_of(header)) is not None:
        # The zone applies to every time of the object, including those of the study.
        clock = clock.in_zone(zone)
        dataset.TimezoneOffsetFromUTC = zone
    dataset.InstanceCreationDate = dataset.SeriesDate = clock.da
    dataset.InstanceCreationTime = dataset.SeriesTime = clock.tm
