"""Read the headers of the source instances without pixels, and prepare them for copying into derived objects.

Missing type 2 attributes are added empty; invalid ones that are not needed are removed. Identifiers of the patient
and the study are never changed, so that a result is filed with its source.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_VM, dictionary_VR
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName, format_number_as_ds, validate_value

from cspine.core.errors import DicomSourceNeededError, GeometryError, InputError, MissingAttributeError, hashed
from cspine.core.geometry import to_index
from cspine.core.volumes import CtSource, CtVolume
from cspine.dicom.tolerance import COSINE_ROUNDING
from cspine.io.foreign import foreign_file, raise_system_limit

_NAMESPACE = uuid.UUID("0b7d4a53-8f0c-5d4e-8b0d-1f5d2f7f8f10")
#: Largest distance of a stored slice from the grid of the volume, as a share of a voxel.
_MAX_OFFSET_VOXELS = 0.25
_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
#: What derived objects need of every slice; patient and study are copied from the first.
_OF_EVERY_SLICE: tuple[str, ...] | None = (
    *_TYPE_1, "FrameOfReferenceUID", "ImageOrientationPatient", "ImagePositionPatient", "PixelSpacing",
    "SliceThickness", "NumberOfFrames", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_TYPE_2 = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
#: VRs whose values are checked; names and identifiers are kept unchanged.
_CHECKED_VRS = {"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"}
#: Groups of the attributes that derived objects copy (patient, study), and study attributes of group 0008.
_COPIED_GROUPS = {0x0010, 0x0012, 0x0032, 0x0038}
#: Beyond group 0040 lie look-up tables, overlays, waveforms and signatures; only the functional groups are used.
_LAST_COPIED_GROUP, _FUNCTIONAL_GROUPS = 0x0040, 0x5200
#: Character sets with several bytes per character, which (0008,0005) may name from its second value on only.
_MULTI_BYTE = ("ISO 2022 IR 58", "ISO 2022 IR 87", "ISO 2022 IR 149", "ISO 2022 IR 159")
_COPIED_STUDY = {"StudyDate", "StudyTime", "ReferencedStudySequence", "ProcedureCodeSequence"}
_TRIAL_TYPE_1 = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID")
_TRIAL_SUBJECT = ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID")
_TRIAL_TYPE_2 = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
_ZONE = re.compile(r"^[+-](0\d|1[0-4])[0-5]\d$")  # (0008,0201)
#: Sequences within sequences; attributes of a patient or a study have three.
_MAX_DEPTH = 8
_KEEP_FILES = "Keep the files of the series where they were read until its results are saved, or read it again."
_ACR_NEMA_DATE = re.compile(r"^(\d{4})\.(\d{2})\.(\d{2})$")


def source_of(ct: CtVolume) -> CtSource:
    """Return the instances that a volume was read from.

    Parameters
    ----------
    ct : CtVolume
        A volume, read from DICOM or not.

    Raises
    ------
    DicomSourceNeededError
        If the volume does not come from DICOM.
    """
    if ct.source is None:
        raise DicomSourceNeededError("a DICOM object refers to DICOM instances, and this CT was not read from any")
    return ct.source


def read_source_headers(source: CtSource) -> list[Dataset]:
    """Return the headers of the source instances of a volume, in the order of its slices, without pixels.

    Parameters
    ----------
    source : CtSource
        The stored slices.

    Returns
    -------
    list of Dataset
        One for each instance: one per slice for single-frame CT, a single one for an Enhanced CT. The first is
        complete; the others have identifiers and geometry alone, which is read faster.

    Raises
    ------
    InputError
        If a file can no longer be read, or contains another instance than before.
    """
    first, *others = dict.fromkeys(part.path for part in source.slices)
    expected = {part.path: part.sop_instance_uid for part in source.slices}
    return [_read(first, expected[first]), *(_read(path, expected[path], _OF_EVERY_SLICE) for path in others)]


def read_first_header(source: CtSource) -> Dataset:
    """Return the complete header of the first source instance of a volume, without pixels.

    Parameters
    ----------
    source : CtSource
        The instances that a volume was read from.

    Raises
    ------
    InputError
        As in `read_source_headers`.
    """
    first = source.slices[0]
    return _read(first.path, first.sop_instance_uid)


def header_bytes(header: Dataset) -> bytes:
    """Return all elements of a prepared header as bytes, for the UIDs of an object that is derived from it.

    A PACS corrects names and numbers without new UIDs; a result of the corrected images is a new object.

    Parameters
    ----------
    header : Dataset
        A header as `read_source_headers` and `normalise_headers` prepare it, without pixels.
    """
    return b"".join(f"{element.tag}{element.value!r}".encode("utf-8", "backslashreplace") for element in header)


def zone_of(header: Dataset) -> str | None:
    """Return (0008,0201) *Timezone Offset From UTC* of a source; None if it is missing or malformed.

    Parameters
    ----------
    header : Dataset
        A header, which may lack the attribute.

    Returns
    -------
    str or None
        The offset, for example ``"+0100"``.
    """
    zone = str(header.get("TimezoneOffsetFromUTC") or "").strip()
    return zone if _ZONE.match(zone) else None


def check_positions(headers: list[Dataset], source: CtSource) -> None:
    """Raise GeometryError if the position of a stored plane differs from the grid.

    Parameters
    ----------
    headers : list of Dataset
        As `read_source_headers` returns them.
    source : CtSource
        The stored slices.
    """
    by_uid = {str(header.SOPInstanceUID): header for header in headers}
    for k, part in enumerate(source.slices):
        header = by_uid[part.sop_instance_uid]
        if part.frame is not None:
            header = header.PerFrameFunctionalGroupsSequence[part.frame].PlanePositionSequence[0]
        position = np.array([[float(v) for v in header.ImagePositionPatient]])
        offset = np.abs(to_index(source.grid.affine_lps, position)[0] - (0, 0, k)).max()
        if offset > _MAX_OFFSET_VOXELS:
            raise GeometryError(
                f"slice {k + 1} of the source is {offset:.2f} voxels away from its position in the volume"
            )
    rows, columns = int(headers[0].Rows), int(headers[0].Columns)
    if source.grid.shape_zyx != (len(source.slices), rows, columns):
        raise GeometryError(f"the grid {source.grid.shape_zyx} is not {len(source.slices)} slices {rows} x {columns}")


def _read(path: Path, sop_instance_uid: str, only: tuple[str, ...] | None = None) -> Dataset:
    unreadable = f"source instance {hashed(sop_instance_uid)} can no longer be read"
    with foreign_file(lambda _: InputError(unreadable, advice=_KEEP_FILES)):
        dataset = dcmread(path, stop_before_pixels=True, force=True, specific_tags=None if only is None else [*only])
        if dataset.get("SOPInstanceUID") != sop_instance_uid:
            raise InputError(
                f"the file of source instance {hashed(sop_instance_uid)} now contains another instance",
                advice=_KEEP_FILES,
            )
        _drop_unreadable(dataset)
        return dataset


def _drop_unreadable(dataset: Dataset, depth: int = 0) -> None:
    """Remove elements that are not copied, before they are parsed, and those that cannot be parsed or are too deep.

    pydicom needs memory that grows exponentially with the depth to report that a sequence is too deep to be written.
    """
    for tag in list(dataset.keys()):
        if tag.is_private or (tag.group > _LAST_COPIED_GROUP and tag.group != _FUNCTIONAL_GROUPS):
            del dataset[tag]
            continue
        try:
            element = _as_defined(dataset[tag])
            dataset[tag] = element
            items = list(element.value) if element.VR == "SQ" else []
            if items and depth >= _MAX_DEPTH:
                raise ValueError("too deep")
        except Exception as error:  # whatever a malformed element makes pydicom raise
            raise_system_limit(error)
            del dataset[tag]
            continue
        for item in items:
            _drop_unreadable(item, depth + 1)


def _as_defined(element: DataElement) -> DataElement:
    """Return an element with the VR that DICOM defines for it, and with one value where it defines one.

    Raises
    ------
    ValueError
        If its value is of another kind.
    """
    try:
        defined, multiplicity = dictionary_VR(element.tag).split(" or "), dictionary_VM(element.tag)
    except KeyError:
        return element
    several = element.VM > 1 and multiplicity == "1" and element.VR != "SQ"
    if (element.VR in defined or element.VR == "UN") and not several:
        return element
    values = list(element.value) if element.VM > 1 else [element.value]
    if not all(isinstance(value, (str, PersonName)) for value in values):
        raise ValueError(f"{element.tag} has VR {element.VR} with {len(values)} values")
    texts = [str(value) for value in values]
    return DataElement(element.tag, defined[0], texts[0] if several or len(texts) == 1 else texts)


def normalise_headers(headers: list[Dataset], source: CtSource) -> tuple[str, ...]:
    """Prepare headers for copying, in place, and return notes about repairs.

    Parameters
    ----------
    headers : list of Dataset
        As `read_source_headers` returns them.
    source : CtSource
        The stored slices; their distance replaces a missing slice thickness.

    Returns
    -------
    tuple of str
        Notes for the reader of the result.

    Raises
    ------
    MissingAttributeError
        If an attribute that references need is missing or empty.
    """
    notes: dict[str, None] = {}
    first = headers[0]
    for header in headers:
        _require(header, _TYPE_1)
    frame_of_reference = str(first.get("FrameOfReferenceUID") or "").strip()
    if not frame_of_reference:
        frame_of_reference = f"2.25.{uuid.uuid5(_NAMESPACE, str(first.SeriesInstanceUID)).int}"
        notes["The source series has no Frame of Reference UID; one was derived from its Series Instance UID."] = None
    x, y, step = source.grid.affine_lps[:3, :3].T
    step_mm = abs(float(step @ np.cross(x, y))) / float(np.linalg.norm(np.cross(x, y)))
    _unify_geometry(headers, source)
    for header in headers:
        header.FrameOfReferenceUID = frame_of_reference
        _repair_character_set(header)
        _repair_values(header)
        _repair_clinical_trial(header)
        if "PerFrameFunctionalGroupsSequence" in header:
            _share_groups(header)
            measures = header.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
        else:
            measures = header
        if not _positive(measures.get("SliceThickness")):
            measures.SliceThickness = format_number_as_ds(step_mm)
        measures.SpacingBetweenSlices = format_number_as_ds(step_mm)
    return tuple(notes)


def _unify_geometry(headers: list[Dataset], source: CtSource) -> None:
    """Give all slices the orientation and pixel spacing of the grid where they differ within the reader's tolerance.

    Derived objects have one orientation and one pixel spacing for all their frames.
    """
    x, y = source.grid.affine_lps[:3, 0], source.grid.affine_lps[:3, 1]
    spacing_yx = (float(np.linalg.norm(y)), float(np.linalg.norm(x)))
    cosines = [float(v) for v in (*(x / spacing_yx[1]), *(y / spacing_yx[0]))]
    groups = [group for header in headers for group in _geometry_groups(header)]
    for keyword, unified in (("ImageOrientationPatient", cosines), ("PixelSpacing", spacing_yx)):
        holders = [group for group in groups if keyword in group]
        stored = {tuple(float(v) for v in group[keyword].value) for group in holders}
        if len(stored) == 1 and np.abs(np.subtract(next(iter(stored)), unified)).max() <= COSINE_ROUNDING:
            continue
        for group in holders:
            setattr(group, keyword, [format_number_as_ds(value) for value in unified])


def _geometry_groups(header: Dataset) -> list[Dataset]:
    """Return the data sets that hold orientation and pixel spacing: the header, or the groups of its frames."""
    if "PerFrameFunctionalGroupsSequence" not in header:
        return [header]
    groups = [*(header.get("SharedFunctionalGroupsSequence") or []), *header.PerFrameFunctionalGroupsSequence]
    macros = ("PlaneOrientationSequence", "PixelMeasuresSequence")
    return [group[macro].value[0] for group in groups for macro in macros if group.get(macro)]


def _require(header: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if header.get(keyword) in (None, ""):
            raise MissingAttributeError(f"a source instance has no {keyword}")


def _positive(value: object) -> bool:
    try:
        return float(str(value)) > 0
    except ValueError:
        return False


def _repair_character_set(header: Dataset) -> None:
    """Replace a (0008,0005) *Specific Character Set* that DICOM does not define, in which no text can be written.

    Texts were decoded when they were parsed, as far as they can be.
    """
    stated = header.get("SpecificCharacterSet")
    terms = [stated] if isinstance(stated, str) else list(stated or [])
    is_defined = any(terms) and all(str(term) in python_encoding for term in terms) and terms[0] not in _MULTI_BYTE
    if "SpecificCharacterSet" in header and not is_defined:
        header.SpecificCharacterSet = "ISO_IR 192"


def _repair_values(header: Dataset) -> None:
    for element in [e for e in header if e.tag.group in _COPIED_GROUPS or e.keyword in _COPIED_STUDY]:
        if element.VR == "DA" and element.value:
            element.value = _ACR_NEMA_DATE.sub(r"\1\2\3", str(element.value))
        if element.is_empty or not _is_valid(element):
            del header[element.tag]
    for keyword in _TYPE_2:
        if header.get(keyword) is None:
            setattr(header, keyword, "")


def _is_valid(element: DataElement) -> bool:
    if element.VR == "SQ" and not len(element.value):
        return False
    if element.keyword == "PatientSex":
        return element.value in ("M", "F", "O")
    if element.keyword == "ReferencedStudySequence":
        return all(i.get("ReferencedSOPClassUID") and i.get("ReferencedSOPInstanceUID") for i in element.value)
    if element.VR not in _CHECKED_VRS:
        return True
    try:
        for value in element.value if element.VM > 1 else [element.value]:
            validate_value(element.VR, str(value), config.RAISE)
    except ValueError:
        return False
    return True


def _repair_clinical_trial(header: Dataset) -> None:
    """Remove an incomplete clinical trial module; add the type 2 attributes of a complete one (PS3.3 C.7.1.3)."""
    present = [e.keyword for e in header if e.keyword.startswith("ClinicalTrial")]
    if not present:
        return
    complete = all(header.get(k) for k in _TRIAL_TYPE_1) and any(header.get(k) for k in _TRIAL_SUBJECT)
    if not complete:
        for keyword in present:
            del header[keyword]
        return
    for keyword in _TRIAL_TYPE_2:
        if header.get(keyword) is None:
            setattr(header, keyword, "")


def _share_groups(header: Dataset) -> None:
    """Copy plane orientation and pixel measures, which the reader found equal in all frames, to the shared groups."""
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    shared = header.SharedFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword in shared:
            continue
        frames = header.PerFrameFunctionalGroupsSequence
        if any(keyword not in frame for frame in frames):
            raise MissingAttributeError(f"frames of the Enhanced CT have no {keyword}")
        setattr(shared, keyword, Sequence([frames[0][keyword].value[0]]))
