"""Write vertebrae as a DICOM Segmentation or Label Map Segmentation (PS3.3 A.51, A.92) of the source series.

Frames are matched to source slices by position and SOP Instance UID, never by the order of a list.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import highdicom as hd
import numpy as np
from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import ExplicitVRLittleEndian, RLELossless
from pydicom.valuerep import DA, DT, TM

from cspine import __version__
from cspine.core.anatomy import CATEGORY_CODE, REGION_CODES, Vertebra, rank, vertebra
from cspine.core.errors import CSpineError, GeometryError, NoVertebraError
from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtSource, CtVolume, LabelArray, LabelVolume, ModelIdentity, labels_present, relabelled
from cspine.dicom.body_part import body_part
from cspine.dicom.clock import Clock
from cspine.dicom.descriptions import long_string, series_description, series_title
from cspine.dicom.earlier_results import (
    MANUFACTURER,
    MODEL_NAME,
    EarlierResult,
    algorithm_name,
    name_superseded,
)
from cspine.dicom.headers import UNKNOWN_PATIENT, patient_key
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.seg_type import SegType
from cspine.dicom.source_header import (
    check_positions,
    header_bytes,
    normalise_headers,
    read_source_headers,
    source_of,
    zone_of,
)
from cspine.dicom.uids import ObjectIdentity
from cspine.io.files import sha256_of, write_atomic


@dataclass(frozen=True)
class SegSettings:
    """The settings of a segmentation object, besides its labels and its source.

    Parameters
    ----------
    clock : Clock
        All dates and times of the object.
    seg_type : SegType
        BINARY (one bit per voxel and segment) or LABELMAP (one value per voxel, RLE lossless).
    parameters : tuple of (str, str)
        Settings of the run, recorded as (0066,0032) *Algorithm Parameters*; each change leads to new UIDs.
    series_number : int
        (0020,0011) of the new series.
    remark : str
        Prefix of (0008,103E) *Series Description*, which every viewer shows: a warning that must not be missed.
    supersedes : tuple of EarlierResult
        Earlier results that this one supersedes; it references their series.
    tracking : mapping of str to str
        (0062,0021) *Tracking UID* by level, of an earlier result of the same vertebra; others get a new one.
    """

    clock: Clock
    seg_type: SegType = SegType.BINARY
    parameters: tuple[tuple[str, str], ...] = ()
    series_number: int = 900
    remark: str = ""
    supersedes: tuple[EarlierResult, ...] = ()
    tracking: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SegRecord:
    """The record of a segmentation object that was written.

    Parameters
    ----------
    path : Path
        The file.
    sop_instance_uid, series_instance_uid, sop_class_uid : str
        Of the new object.
    seg_type : SegType
        Encoding of the labels.
    segments : tuple of (int, str)
        Segment numbers with their levels, from head to foot.
    frames : int
        Number of frames.
    sha256 : str
        Checksum of the file.
    warnings : tuple of str
        Warnings for the user of the object.
    supersedes : tuple of EarlierResult
        The earlier results that it refers to as superseded.
    tracking : mapping of str to str
        Tracking UID of the segment of each level.
    source_series_uid : str
        Series Instance UID of the images that it is of; empty where it names none.
    frame_of_reference : str
        (0020,0052) *Frame of Reference UID*; empty if missing.
    patient_key : str
        Hash of its patient, as `headers.patient_key` returns it.
    """

    path: Path
    sop_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    seg_type: SegType
    segments: tuple[tuple[int, str], ...]
    frames: int
    sha256: str
    warnings: tuple[str, ...]
    supersedes: tuple[EarlierResult, ...]
    tracking: Mapping[str, str] = field(default_factory=dict)
    source_series_uid: str = ""
    frame_of_reference: str = ""
    patient_key: str = UNKNOWN_PATIENT


def write_segmentation(labels: LabelVolume, ct: CtVolume, settings: SegSettings, path: Path) -> SegRecord:
    """Write the labels as one DICOM object with the full frames of the source series.

    Parameters
    ----------
    labels : LabelVolume
        Labels on any grid; they are resampled to the planes of the source series.
    ct : CtVolume
        The image, with its source.
    settings : SegSettings
        Settings of the object.
    path : Path
        File to write; it appears when complete, or not at all.

    Returns
    -------
    SegRecord

    Raises
    ------
    NoVertebraError
        If no label lies on the source slices.
    DicomSourceNeededError
        If the volume does not come from DICOM.
    OutputError
        If the file cannot be written.
    InputError
        If a source file has changed since it was read, or lacks an attribute that references need.
    GeometryError
        If the position of a stored slice does not match the volume.
    """
    source = source_of(ct)
    if labels.labels_zyx.dtype != np.uint8:
        raise CSpineError(f"labels have type {labels.labels_zyx.dtype}, not uint8")
    with suppress_phi_logging():
        headers = read_source_headers(source)
        notes = normalise_headers(headers, source)
        check_positions(headers, source)
        on_source = resample_labels(labels.labels_zyx, labels.grid, source.grid)
        present = sorted(labels_present(on_source), key=rank)
        if not present:
            raise NoVertebraError("no label lies on the source slices")
        levels = tuple(vertebra(label) for label in present)
        identity = _identity(on_source, headers[0], labels.model, source, settings)
        frames = _in_stored_order(_renumber(on_source, levels), headers, source)
        segmentation = _build(frames, headers, levels, labels.model, settings, identity)
        _set_clock_and_uids(segmentation, headers[0], settings.clock, identity)
        segmentation.BodyPartExamined = body_part(on_source)
        name_superseded(segmentation, settings.supersedes)
        digest = _save(segmentation, path)
    return SegRecord(
        path=path,
        sop_instance_uid=str(segmentation.SOPInstanceUID),
        series_instance_uid=str(segmentation.SeriesInstanceUID),
        sop_class_uid=str(segmentation.SOPClassUID),
        seg_type=settings.seg_type,
        segments=tuple((number, level.name) for number, level in enumerate(levels, start=1)),
        frames=int(segmentation.NumberOfFrames),
        sha256=digest,
        warnings=(*notes, *_viewer_warnings(segmentation, settings.seg_type)),
        supersedes=settings.supersedes,
        tracking={str(s.SegmentLabel): str(s.TrackingUID) for s in segmentation.SegmentSequence if "TrackingUID" in s},
        source_series_uid=str(headers[0].SeriesInstanceUID),
        frame_of_reference=str(segmentation.FrameOfReferenceUID),
        patient_key=patient_key(segmentation),
    )


def _identity(
    on_source: LabelArray, header: Dataset, model: ModelIdentity | None, source: CtSource, settings: SegSettings
) -> ObjectIdentity:
    content = hashlib.sha256(np.ascontiguousarray(on_source).data)
    content.update(header_bytes(header))
    identity = ObjectIdentity(
        sources=tuple(f"{part.sop_instance_uid}/{part.frame}" for part in source.slices),
        model_checksum=model.checksum if model else "",
        version=__version__,
        settings=(
            *settings.parameters,
            ("seg_type", settings.seg_type.value),
            ("series_number", str(settings.series_number)),
            ("remark", settings.remark),
            ("model_title", model.title if model else ""),
            *(("supersedes", earlier.sop_instance_uid) for earlier in settings.supersedes),
        ),
        clock=settings.clock,
        content=content.hexdigest(),
    )
    # A repetition of an earlier result keeps its tracking UIDs, and is the same object.
    present = [vertebra(label).name for label in labels_present(on_source)]
    others = [
        (f"tracking {level}", settings.tracking[level])
        for level in sorted(settings.tracking.keys() & set(present))
        if settings.tracking[level] != identity.uid(f"tracking {level}")
    ]
    return replace(identity, settings=(*identity.settings, *others)) if others else identity


def _renumber(labels_zyx: LabelArray, levels: tuple[Vertebra, ...]) -> LabelArray:
    return relabelled(labels_zyx, {level.label: number for number, level in enumerate(levels, start=1)})


def _in_stored_order(planes: LabelArray, headers: list[Dataset], source: CtSource) -> LabelArray:
    """Return the planes of an Enhanced CT in the order of its frames; frames that were not used are empty."""
    frames = [part.frame for part in source.slices]
    if frames[0] is None:
        return planes
    if len(headers) > 1:
        raise GeometryError("the slices come from several Enhanced CT instances")
    stored = np.zeros((int(headers[0].NumberOfFrames), *planes.shape[1:]), dtype=planes.dtype)
    stored[np.array(frames)] = planes
    return stored


def _build(
    frames: LabelArray,
    headers: list[Dataset],
    levels: tuple[Vertebra, ...],
    model: ModelIdentity | None,
    settings: SegSettings,
    identity: ObjectIdentity,
) -> hd.seg.Segmentation:
    labelmap = settings.seg_type is SegType.LABELMAP
    clock = settings.clock
    title = series_title(tuple(level.name for level in levels))
    return hd.seg.Segmentation(
        source_images=headers,
        pixel_array=frames,
        segmentation_type=hd.seg.SegmentationTypeValues[settings.seg_type.name],
        segment_descriptions=[
            _describe(number, level, model, settings, identity) for number, level in enumerate(levels, start=1)
        ],
        series_instance_uid=identity.uid("series"),
        series_number=settings.series_number,
        sop_instance_uid=identity.uid("instance"),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MODEL_NAME,
        software_versions=__version__,
        device_serial_number=model.checksum[:16] if model else "0",
        content_label="VERTEBRAE",
        content_description=long_string(f"{title}, {model.title if model else 'reference'}"),
        content_creator_name="cspine^",
        series_description=series_description(title, model, settings.remark),
        series_date=clock.da,
        series_time=clock.tm,
        content_date=clock.da,
        content_time=clock.tm,
        transfer_syntax_uid=RLELossless if labelmap else ExplicitVRLittleEndian,
        omit_empty_frames=True,
        specific_character_set=None,
    )


def _describe(
    number: int, level: Vertebra, model: ModelIdentity | None, settings: SegSettings, identity: ObjectIdentity
) -> hd.seg.SegmentDescription:
    region, meaning = REGION_CODES[level.region]
    algorithm = None
    if model is not None:
        algorithm = hd.AlgorithmIdentificationSequence(
            name=algorithm_name(model),
            family=codes.DCM.ArtificialIntelligence,
            version=long_string(model.version),
            source=MANUFACTURER,
            parameters=dict(settings.parameters) or None,
        )
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=level.name,
        segmented_property_category=Code(CATEGORY_CODE[0], "SCT", CATEGORY_CODE[1]),
        segmented_property_type=Code(level.sct_code, "SCT", level.sct_meaning),
        algorithm_type="AUTOMATIC" if model else "MANUAL",
        algorithm_identification=algorithm,
        tracking_id=level.name,
        tracking_uid=settings.tracking.get(level.name) or identity.uid(f"tracking {level.name}"),
        anatomic_regions=None if level.has_own_code else [Code(region, "SCT", meaning)],
        display_color=hd.color.CIELabColor.from_rgb(*level.rgb),
    )
    description.SegmentDescription = f"{level.name} vertebra"
    return description


def _set_clock_and_uids(
    segmentation: hd.seg.Segmentation, header: Dataset, clock: Clock, identity: ObjectIdentity
) -> None:
    """Replace what highdicom takes from its own clock or at random, and copy what it does not copy."""
    if (zone := zone_of(header)) is not None:
        # The zone applies to every time of the object, including those of the study.
        clock = clock.in_zone(zone)
        segmentation.TimezoneOffsetFromUTC = zone
    segmentation.InstanceCreationDate = segmentation.ContentDate = segmentation.SeriesDate = DA(clock.da)
    segmentation.InstanceCreationTime = segmentation.ContentTime = segmentation.SeriesTime = TM(clock.tm)
    organization = identity.uid("dimension organization")
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    # The last item is the one that highdicom adds.
    segmentation.ContributingEquipmentSequence[-1].ContributionDateTime = DT(clock.dt)
    if "SpecificCharacterSet" in header:
        segmentation.SpecificCharacterSet = header.SpecificCharacterSet


def _save(segmentation: hd.seg.Segmentation, path: Path) -> str:
    """Write the file atomically and return its checksum."""
    write_atomic(path, lambda partial: segmentation.save_as(partial, enforce_file_format=True))
    return sha256_of(path)


def _viewer_warnings(segmentation: hd.seg.Segmentation, seg_type: SegType) -> tuple[str, ...]:
    rows, columns = int(segmentation.Rows), int(segmentation.Columns)
    if seg_type is not SegType.BINARY or rows * columns % 8 == 0:
        return ()
    return (
        f"The rows x columns of a slice ({rows} x {columns}) are not a multiple of 8. The BINARY object is valid, but "
        "OHIF shows it incorrectly; OHIF needs `seg_type` labelmap.",
    )
