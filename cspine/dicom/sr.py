"""Write measurements as a Comprehensive 3D SR that follows TID 1500 (PS3.3 A.35.13, PS3.16 A).

What the groups contain is decided by `cspine.report.structured_report`; here they become an object of the study: its
header, its references, its UIDs and its clock.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as ItemSequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.valuerep import DA, DT, TM

from cspine import __version__
from cspine.core.errors import InputError
from cspine.core.volumes import CtSource, CtVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.descriptions import series_description, series_title
from cspine.dicom.earlier_results import MANUFACTURER, MODEL_NAME
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.seg import SegRecord
from cspine.dicom.seg_type import SegType
from cspine.dicom.source_facts import read_source_facts
from cspine.dicom.source_header import header_bytes, normalise_headers, read_first_header, source_of, zone_of
from cspine.dicom.uids import ObjectIdentity
from cspine.io.files import write_atomic
from cspine.io.foreign import foreign_file

#: Measurement groups of TID 1500, as highdicom has them.
Group = hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations | hd.sr.MeasurementsAndQualitativeEvaluations
#: The procedure that is reported: (25045-6, LN, "CT unspecified body region"), whatever region was scanned.
_PROCEDURE = Code("25045-6", "LN", "CT unspecified body region")


@dataclass(frozen=True)
class SrSettings:
    """The settings of a report object, besides its content.

    Parameters
    ----------
    clock : Clock
        All dates and times of the object.
    model : ModelIdentity or None
        The model that predicted the labels; None for a reference.
    parameters : tuple of (str, str)
        Settings of the run; each change leads to new UIDs.
    levels : tuple of str
        Levels that are reported, from head to foot, for (0008,103E) *Series Description*.
    remark : str
        Prefix of the description.
    series_number : int
        (0020,0011), the one after that of the segmentation.
    schemes : tuple of (str, str, str)
        Designator, name and owner of each private coding scheme.
    """

    clock: Clock
    model: ModelIdentity | None
    parameters: tuple[tuple[str, str], ...]
    levels: tuple[str, ...]
    remark: str = ""
    series_number: int = 901
    schemes: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class SrRecord:
    """The record of a report object that was written.

    Parameters
    ----------
    path : Path
        The file.
    sop_instance_uid, series_instance_uid : str
        Of the new object.
    """

    path: Path
    sop_instance_uid: str
    series_instance_uid: str


def sr_identity(ct: CtVolume, settings: SrSettings, content: str) -> ObjectIdentity:
    """Return what the UIDs of a report follow from.

    Parameters
    ----------
    ct : CtVolume
        The image, with its source.
    settings : SrSettings
        Settings of the object.
    content : str
        A text that differs wherever the content of the report differs.

    Raises
    ------
    DicomSourceNeededError, InputError
        As `write_sr`.
    """
    source = source_of(ct)
    with suppress_phi_logging():
        digest = hashlib.sha256(content.encode("utf-8") + header_bytes(_first_header(source)))
    return ObjectIdentity(
        sources=tuple(f"{part.sop_instance_uid}/{part.frame}" for part in source.slices),
        model_checksum=settings.model.checksum if settings.model else "",
        version=__version__,
        settings=(*settings.parameters, ("object", "sr"), ("remark", settings.remark),
                  ("series_number", str(settings.series_number))),
        clock=settings.clock,
        content=digest.hexdigest(),
    )  # fmt: skip


def referenced_segment(record: SegRecord | None, level: str, ct: CtVolume) -> Any:
    """Return the reference to the segment of a level; None where there is none that readers of reports follow.

    A Label Map Segmentation is no target of TID 1411: its SOP class is younger than the readers. The tracking UID names
    its segment all the same.

    Parameters
    ----------
    record : SegRecord or None
        The segmentation; None if none was written.
    level : str
        Name of the level.
    ct : CtVolume
        The image; its series is named where the segmentation names none.

    Returns
    -------
    highdicom.sr.ReferencedSegment or None
        The reference (TID 1411).
    """
    if record is None or record.seg_type is not SegType.BINARY:
        return None
    number = next((number for number, name in record.segments if name == level), None)
    if number is None:
        return None
    # A segmentation of another system may name no series.
    series_uid = record.source_series_uid or read_source_facts(source_of(ct)).series_uid
    series = hd.sr.SourceSeriesForSegmentation(series_uid)
    return hd.sr.ReferencedSegment(record.sop_class_uid, record.sop_instance_uid, number, source_series=series)


def write_sr(
    groups: Sequence[Group],
    ct: CtVolume,
    segmentation: SegRecord | None,
    settings: SrSettings,
    identity: ObjectIdentity,
    path: Path,
) -> SrRecord:
    """Write measurement groups as one report object of the study of the CT.

    Parameters
    ----------
    groups : sequence of Group
        Groups of TID 1410, 1411 or 1501.
    ct : CtVolume
        The image, with its source.
    segmentation : SegRecord or None
        The segmentation of the same run.
    settings, identity : SrSettings, ObjectIdentity
        Settings of the object, and what its UIDs follow from.
    path : Path
        File to write; it appears when complete, or not at all.

    Returns
    -------
    SrRecord

    Raises
    ------
    DicomSourceNeededError
        If the volume does not come from DICOM.
    OutputError
        If the file cannot be written.
    InputError
        If a source file has changed since it was read, or lacks an attribute that references need.
    """
    source = source_of(ct)
    with suppress_phi_logging():
        first = _first_header(source)
        evidence = [*_evidence(first, source), *_segmentation_header(segmentation)]
        report = hd.sr.Comprehensive3DSR(
            evidence=evidence,
            content=_content(groups[:1], identity)[0],
            series_instance_uid=identity.uid("series"),
            series_number=settings.series_number,
            sop_instance_uid=identity.uid("instance"),
            instance_number=1,
            manufacturer=MANUFACTURER,
            is_complete=True,
            is_final=False,
            is_verified=False,
            series_description=_description(settings),
            manufacturer_model_name=MODEL_NAME,
            software_versions=__version__,
            device_serial_number=settings.model.checksum[:16] or "0" if settings.model else "0",
            specific_character_set=None,
        )
        # highdicom copies what it is given, item by item: the groups are added when it has done so.
        report.ContentSequence = _content(groups, identity)[0].ContentSequence
        _complete(report, first, settings)
        write_atomic(path, lambda partial: report.save_as(partial, enforce_file_format=True))
    return SrRecord(path, str(report.SOPInstanceUID), str(report.SeriesInstanceUID))


def _first_header(source: CtSource) -> Dataset:
    """Return all that a report takes of the images besides their identity: patient and study of the first one."""
    headers = [read_first_header(source)]
    normalise_headers(headers, source)
    return headers[0]


def _evidence(first: Dataset, source: CtSource) -> list[Dataset]:
    """Return the header of the first instance, and the identities of all others."""
    others = []
    for uid in dict.fromkeys(part.sop_instance_uid for part in source.slices):
        if uid != first.SOPInstanceUID:
            other = Dataset()
            other.StudyInstanceUID, other.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
            other.SOPClassUID, other.SOPInstanceUID = first.SOPClassUID, uid
            others.append(other)
    return [first, *others]


def _segmentation_header(record: SegRecord | None) -> list[Dataset]:
    if record is None or record.seg_type is not SegType.BINARY:
        return []
    with foreign_file(lambda kind: InputError(f"the segmentation can no longer be read ({kind})")):
        return [dcmread(record.path, stop_before_pixels=True)]


def device_context(identity: ObjectIdentity) -> Any:
    """Return cspine as the observer of a document (TID 1002, 1004).

    Parameters
    ----------
    identity : ObjectIdentity
        What the UIDs of the document are derived from.
    """
    return hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=identity.uid("observer"), name=MODEL_NAME, manufacturer_name=MANUFACTURER, model_name=MODEL_NAME,
        ),
    )  # fmt: skip


def _content(groups: Sequence[Group], identity: ObjectIdentity) -> Any:
    return hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device_context(identity)),
        procedure_reported=_PROCEDURE,
        imaging_measurements=list(groups),
    )


def _description(settings: SrSettings) -> str:
    title = f"{series_title(settings.levels)} measurements" if settings.levels else "Measurements"
    return series_description(title, settings.model, settings.remark)


def _complete(report: Dataset, header: Dataset, settings: SrSettings) -> None:
    """Replace what highdicom takes from its own clock, and add what it does not."""
    clock = settings.clock
    if (zone := zone_of(header)) is not None:
        clock = clock.in_zone(zone)
        report.TimezoneOffsetFromUTC = zone
    report.InstanceCreationDate = report.ContentDate = report.SeriesDate = DA(clock.da)
    report.InstanceCreationTime = report.ContentTime = report.SeriesTime = TM(clock.tm)
    for equipment in report.get("ContributingEquipmentSequence") or []:
        equipment.ContributionDateTime = DT(clock.dt)
    if "SpecificCharacterSet" in header:
        report.SpecificCharacterSet = header.SpecificCharacterSet
    if settings.schemes:
        report.CodingSchemeIdentificationSequence = ItemSequence(
            [_scheme(designator, name, owner) for designator, name, owner in settings.schemes]
        )


def _scheme(designator: str, name: str, owner: str) -> Dataset:
    item = Dataset()
    item.CodingSchemeDesignator = designator
    item.CodingSchemeName = name
    item.CodingSchemeResponsibleOrganization = owner
    return item
