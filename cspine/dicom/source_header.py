"""Headers of the source instances, read without pixels and made fit to be copied into objects derived from them.

What the standard lets be empty is made present; what is broken and not needed is left out. Identifiers of the patient
and the study are never changed, so that a result is filed where its source is.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from pydicom import DataElement, Dataset, config, dcmread
from pydicom.errors import InvalidDicomError
from pydicom.sequence import Sequence
from pydicom.valuerep import format_number_as_ds, validate_value

from cspine.core.errors import GeometryError, InputError, MissingAttributeError, hashed
from cspine.core.volumes import CtSource

_NAMESPACE = uuid.UUID("0b7d4a53-8f0c-5d4e-8b0d-1f5d2f7f8f10")
_TYPE_1 = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns")
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
#: Values of these are checked against their VR; names and identifiers stay as they are, whatever they hold.
_CHECKED_VRS = {"AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI"}
#: Groups whose root attributes derived objects take over (patient, study), and those of the study in group 0008.
_COPIED_GROUPS = {0x0010, 0x0012, 0x0032, 0x0038}
_COPIED_STUDY = {"StudyDate", "StudyTime", "ReferencedStudySequence", "ProcedureCodeSequence"}
_TRIAL_TYPE_1 = ("ClinicalTrialSponsorName", "ClinicalTrialProtocolID")
_TRIAL_SUBJECT = ("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID")
_TRIAL_TYPE_2 = ("ClinicalTrialProtocolName", "ClinicalTrialSiteID", "ClinicalTrialSiteName")
_ACR_NEMA_DATE = re.compile(r"^(\d{4})\.(\d{2})\.(\d{2})$")


def read_source_headers(source: CtSource) -> list[Dataset]:
    """Read the headers of the instances behind a volume, in the order of its slices, without pixels.

    Parameters
    ----------
    source : CtSource
        The stored slices.

    Returns
    -------
    list of Dataset
        One an instance: one a slice for single-frame CT, one in all for an Enhanced CT.

    Raises
    ------
    InputError
        If a file cannot be read any more or holds another instance than it did.
    """
    paths = dict.fromkeys(part.path for part in source.slices)
    expected = {part.path: part.sop_instance_uid for part in source.slices}
    return [_read(path, expected[path]) for path in paths]


def _read(path: Path, sop_instance_uid: str) -> Dataset:
    try:
        dataset = dcmread(path, stop_before_pixels=True, force=True)
    except (OSError, InvalidDicomError) as error:
        raise InputError(f"source instance {hashed(sop_instance_uid)} cannot be read any more") from error
    if dataset.get("SOPInstanceUID") != sop_instance_uid:
        raise InputError(f"the file of source instance {hashed(sop_instance_uid)} holds another instance now")
    return dataset


def normalise_headers(headers: list[Dataset], source: CtSource) -> tuple[str, ...]:
    """Make headers fit to be copied from, in place.

    Parameters
    ----------
    headers : list of Dataset
        As `read_source_headers` gives them.
    source : CtSource
        The stored slices; their distance replaces an absent slice thickness.

    Returns
    -------
    tuple of str
        What the reader of the result should know about it.

    Raises
    ------
    MissingAttributeError
        If an attribute is absent or empty without which an instance cannot be referenced.
    GeometryError
        If the frames of an Enhanced CT differ in orientation or pixel spacing.
    """
    notes: dict[str, None] = {}
    first = headers[0]
    for header in headers:
        _require(header, _TYPE_1)
    frame_of_reference = str(first.get("FrameOfReferenceUID") or "").strip()
    if not frame_of_reference:
        frame_of_reference = f"2.25.{uuid.uuid5(_NAMESPACE, str(first.SeriesInstanceUID)).int}"
        notes["The source series has no Frame of Reference UID: one was derived from its Series Instance UID."] = None
    x, y, step = source.grid.affine_lps[:3, :3].T
    step_mm = abs(float(step @ np.cross(x, y))) / float(np.linalg.norm(np.cross(x, y)))
    for header in headers:
        header.FrameOfReferenceUID = frame_of_reference
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


def _require(header: Dataset, keywords: Iterable[str]) -> None:
    for keyword in keywords:
        if header.get(keyword) in (None, ""):
            raise MissingAttributeError(f"a source instance has no {keyword}")


def _positive(value: object) -> bool:
    try:
        return float(str(value)) > 0
    except ValueError:
        return False


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
    """Leave out a clinical trial without its type 1 attributes; add the type 2 ones of a whole one (PS3.3 C.7.1.3)."""
    present = [e.keyword for e in header if e.keyword.startswith("ClinicalTrial")]
    if not present:
        return
    whole = all(header.get(k) for k in _TRIAL_TYPE_1) and any(header.get(k) for k in _TRIAL_SUBJECT)
    if not whole:
        for keyword in present:
            del header[keyword]
        return
    for keyword in _TRIAL_TYPE_2:
        if header.get(keyword) is None:
            setattr(header, keyword, "")


def _share_groups(header: Dataset) -> None:
    """Move plane orientation and pixel measures that every frame repeats to the shared groups."""
    if not header.get("SharedFunctionalGroupsSequence"):
        header.SharedFunctionalGroupsSequence = Sequence([Dataset()])
    shared = header.SharedFunctionalGroupsSequence[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword in shared:
            continue
        frames = header.PerFrameFunctionalGroupsSequence
        if any(keyword not in frame for frame in frames):
            raise MissingAttributeError(f"frames of the Enhanced CT have no {keyword}")
        items = [frame[keyword].value[0] for frame in frames]
        if any(item != items[0] for item in items[1:]):
            raise GeometryError(f"frames of the Enhanced CT differ in {keyword}")
        setattr(shared, keyword, Sequence([items[0]]))
