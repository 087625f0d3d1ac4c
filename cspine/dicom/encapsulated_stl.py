"""Write a surface as an Encapsulated STL object (PS3.3 A.85.1, sup. 205) that refers to the source series."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from cspine import __version__
from cspine.core.anatomy import Vertebra
from cspine.core.errors import OutputError
from cspine.core.volumes import CtSource, CtVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.earlier_results import MANUFACTURER, MODEL_NAME
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.source_header import normalise_headers, read_source_headers
from cspine.dicom.uids import ObjectIdentity
from cspine.io.files import write_atomic
from cspine.io.output import SURFACE_OBJECT

#: Encapsulated STL Storage (PS3.4 B.5).
ENCAPSULATED_STL = UID("1.2.840.10008.5.1.4.1.1.104.3")
#: (0020,0011) *Series Number* of the series of all surfaces of a run.
SERIES_NUMBER = 910
#: Modules that an object has in common with its source: patient, clinical trial, study.
_COPIED_GROUPS = (0x0010, 0x0012)
_COPIED_STUDY = (
    "SpecificCharacterSet",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyDescription",
    "StudyInstanceUID",
    "StudyID",
    "FrameOfReferenceUID",
    "PositionReferenceIndicator",
    "TimezoneOffsetFromUTC",
)


@dataclass(frozen=True)
class StlDocument:
    """A surface as it goes into an object.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    stl : bytes
        Binary STL, millimetres in DICOM patient coordinates.
    """

    vertebra: Vertebra
    stl: bytes


@dataclass(frozen=True)
class StlSettings:
    """The settings of all surface objects of a run.

    Parameters
    ----------
    clock : Clock
        All dates and times.
    parameters : tuple of (str, str)
        Settings of the run; each change leads to new UIDs.
    """

    clock: Clock
    parameters: tuple[tuple[str, str], ...] = ()


def write_surface_objects(
    documents: list[StlDocument], ct: CtVolume, model: ModelIdentity | None, settings: StlSettings, folder: Path
) -> list[Path]:
    """Write one object for each surface, all in one new series.

    Parameters
    ----------
    documents : list of StlDocument
        The surfaces.
    ct : CtVolume
        The image, with its source.
    model : ModelIdentity, optional
        The model that predicted the labels.
    settings : StlSettings
        Clock and parameters.
    folder : Path
        Folder of the files ``surface-C3.dcm`` and so on.

    Raises
    ------
    OutputError
        If the volume has no DICOM source, or a file cannot be written.
    InputError
        If a source file has changed since it was read.
    """
    if ct.source is None:
        raise OutputError("a DICOM object needs a DICOM source, which this volume does not have")
    with suppress_phi_logging():
        headers = read_source_headers(ct.source)
        normalise_headers(headers, ct.source)
        paths = []
        for number, document in enumerate(documents, start=1):
            identity = _identity(documents, ct.source, model, settings)
            dataset = _build(document, number, headers, model, settings, identity)
            path = folder / surface_object_name(document.vertebra)
            write_atomic(path, partial(dataset.save_as, enforce_file_format=True))
            paths.append(path)
    return paths


def surface_object_name(vertebra: Vertebra) -> str:
    """Return the name of the file of a level."""
    return SURFACE_OBJECT.format(level=vertebra.name)


def _identity(
    documents: list[StlDocument], source: CtSource, model: ModelIdentity | None, settings: StlSettings
) -> ObjectIdentity:
    content = hashlib.sha256()
    for document in documents:
        content.update(document.vertebra.name.encode("ascii") + document.stl)
    return ObjectIdentity(
        sources=tuple(f"{part.sop_instance_uid}/{part.frame}" for part in source.slices),
        model_checksum=model.checksum if model else "",
        version=__version__,
        settings=(*settings.parameters, ("object", "encapsulated stl")),
        clock=settings.clock,
        content=content.hexdigest(),
    )


def _build(
    document: StlDocument,
    number: int,
    headers: list[Dataset],
    model: ModelIdentity | None,
    settings: StlSettings,
    identity: ObjectIdentity,
) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ENCAPSULATED_STL
    meta.MediaStorageSOPInstanceUID = UID(identity.uid(f"instance {document.vertebra.name}"))
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    _copy_source(dataset, headers[0])
    dataset.SOPClassUID, dataset.SOPInstanceUID = ENCAPSULATED_STL, meta.MediaStorageSOPInstanceUID
    _set_series(dataset, settings.clock, identity)
    _set_equipment(dataset, model)
    _set_document(dataset, document, number, settings.clock, model)
    _set_references(dataset, headers)
    return dataset


def _copy_source(dataset: Dataset, header: Dataset) -> None:
    for element in header:
        if element.tag.group in _COPIED_GROUPS or element.keyword in _COPIED_STUDY:
            dataset[element.tag] = element
    dataset.PositionReferenceIndicator = dataset.get("PositionReferenceIndicator") or ""


def _set_series(dataset: Dataset, clock: Clock, identity: ObjectIdentity) -> None:
    dataset.Modality = "M3D"
    dataset.SeriesInstanceUID = identity.uid("series")
    dataset.SeriesNumber = SERIES_NUMBER
    dataset.SeriesDescription = "Surfaces of vertebrae (cspine)"
    dataset.SeriesDate = dataset.ContentDate = dataset.InstanceCreationDate = clock.da
    dataset.SeriesTime = dataset.ContentTime = dataset.InstanceCreationTime = clock.tm


def _set_equipment(dataset: Dataset, model: ModelIdentity | None) -> None:
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MODEL_NAME
    dataset.SoftwareVersions = __version__
    dataset.DeviceSerialNumber = model.checksum[:16] if model and model.checksum else "0"


def _set_document(
    dataset: Dataset, document: StlDocument, number: int, clock: Clock, model: ModelIdentity | None
) -> None:
    level = document.vertebra
    dataset.InstanceNumber = number
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = (
        f"{level.name} vertebra, surface{' (DEMONSTRATION)' if model and model.demonstration else ''}"
    )
    dataset.ConceptNameCodeSequence = Sequence()
    dataset.MIMETypeOfEncapsulatedDocument = "model/stl"
    dataset.EncapsulatedDocumentLength = len(document.stl)
    dataset.EncapsulatedDocument = document.stl + b"\0" * (len(document.stl) % 2)
    dataset.MeasurementUnitsCodeSequence = Sequence([_code("mm", "UCUM", "mm")])
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.ContentDescription = f"{level.name}, millimetres in patient coordinates"


def _set_references(dataset: Dataset, headers: list[Dataset]) -> None:
    instances = [_reference(header) for header in headers]
    series = Dataset()
    series.SeriesInstanceUID = headers[0].SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence(instances)
    dataset.ReferencedSeriesSequence = Sequence([series])
    dataset.SourceInstanceSequence = Sequence([_reference(header) for header in headers])


def _reference(header: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = header.SOPClassUID
    item.ReferencedSOPInstanceUID = header.SOPInstanceUID
    return item


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
