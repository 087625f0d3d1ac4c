"""The part of a DICOM header that selects a series and positions its slices, without data that identify the patient.

Pixels are never read here. A single-frame image has one `Plane`, an Enhanced CT one for each frame.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from cspine.core.errors import hashed
from cspine.core.volumes import SourceSlice
from cspine.dicom.patient import patient_age_years
from cspine.io.foreign import raise_system_limit

#: Attributes that distinguish acquisitions or phases within a series, the most reliable first.
PHASE_MARKS = (
    "AcquisitionNumber",
    "TemporalPositionIdentifier",
    "TemporalPositionIndex",
    "NominalPercentageOfCardiacPhase",
    "NominalCardiacTriggerDelayTime",
    "ContrastBolusAgent",
    "ConvolutionKernel",
    "KVP",
    "ImageType",
)
#: The same, but they often differ between slices of one acquisition.
TIME_MARKS = ("TriggerTime", "AcquisitionDateTime", "AcquisitionTime", "ContentTime")

CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
_OTHER_KEYWORDS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "PatientID",
    "PatientName",
    "PatientAge",
    "PatientBirthDate",
    "StudyDate",
    "SeriesDate",
    "SeriesTime",
    "AcquisitionDate",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "SliceThickness",
    "SeriesNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "PixelSpacing",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SliceLocation",
    "RescaleSlope",
    "RescaleIntercept",
    "RescaleType",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "ContrastBolusAgentSequence",
    "ImagesInAcquisition",
    "NumberOfSeriesRelatedInstances",
    "InConcatenationTotalNumber",
)
#: Key of a patient with neither (0010,0020) *Patient ID* nor (0010,0010) *Patient's Name*.
UNKNOWN_PATIENT = hashed("name:")
#: What (0018,0010) says, letters and digits alone, where no contrast agent was given.
_NO_AGENT = re.compile(
    r"0+|N|NA|NO|NONE|NIL|NOT(GIVEN|USED|APPLICABLE)|NATIVE?|PLAIN|(UN|NON)ENHANCED|WITHOUT.*|OHNE.*|"
    r"(NO|NON|WO|KEIN|SANS|SIN)(IV)?(CONTRASTE?|KONTRAST|CM|KM)(AGENT|MEDIUM|MEDIA|MATERIAL|MITTEL|GIVEN|USED)?"
)
#: Larger numbers are damage: millimetres, cosines and slopes are far smaller, and products must stay finite.
_MAX_NUMBER = 1e30
#: What an unsigned short and an integer string hold (PS3.5 6.2).
_RANGES = {"US": (0, 65_535), "IS": (-(2**31), 2**31 - 1)}
#: The tags that `read_header` uses.
WANTED_TAGS: list[BaseTag] = [Tag(keyword) for keyword in (*PHASE_MARKS, *TIME_MARKS, *_OTHER_KEYWORDS)]


@dataclass(frozen=True)
class Plane:
    """Geometry and encoding of one slice: an instance or a frame. None means missing or malformed.

    Parameters
    ----------
    source : SourceSlice
        File, instance and frame.
    position_lps : tuple of float or None
        (0020,0032), millimetres.
    cosines : tuple of float or None
        (0020,0037): row direction, then column direction.
    spacing_yx : tuple of float or None
        (0028,0030): between rows, then between columns, millimetres.
    rows, columns : int
        (0028,0010), (0028,0011).
    slope, intercept : float or None
        (0028,1053), (0028,1052).
    rescale_type : str
        (0028,1054).
    marks : tuple of (str, str)
        Values of `PHASE_MARKS` and `TIME_MARKS` that are present, by keyword.
    frame_of_reference : str
        (0020,0052).
    slice_location_mm : float or None
        (0020,1041).
    """

    source: SourceSlice
    position_lps: tuple[float, ...] | None
    cosines: tuple[float, ...] | None
    spacing_yx: tuple[float, ...] | None
    rows: int
    columns: int
    slope: float | None
    intercept: float | None
    rescale_type: str
    marks: tuple[tuple[str, str], ...]
    frame_of_reference: str
    slice_location_mm: float | None = None

    @property
    def is_localizer(self) -> bool:
        """Whether (0008,0008) *Image Type* contains LOCALIZER."""
        return "LOCALIZER" in dict(self.marks).get("ImageType", "").split("\\")


@dataclass(frozen=True)
class InstanceHeader:
    """The header of an instance without identifiers: ``patient_key`` is a hash, the age is a number.

    Parameters
    ----------
    path : Path
        Its file.
    sop_class_uid, sop_instance_uid, study_uid, series_uid : str
        UIDs.
    transfer_syntax : str
        (0002,0010); implicit little endian for a data set without a file header.
    patient_key : str
        Hash of the patient's ID, or of the name if the ID is empty.
    patient_age_years : float or None
        From (0010,1010), or from birth and study date.
    modality, description, body_part, kernel, photometric : str
        Empty if missing.
    image_type : tuple of str
        (0008,0008).
    slice_thickness_mm : float or None
        (0018,0050).
    contrast : bool
        True if a contrast agent is stated.
    series_number, instance_number : int or None
        (0020,0011), (0020,0013).
    date_time : str
        Date and time of the series in DICOM format, as far as they are present.
    samples_per_pixel : int
        (0028,0002).
    bits_allocated, bits_stored, high_bit, pixel_representation : int or None
        (0028,0100), (0028,0101), (0028,0102), (0028,0103).
    frames : int
        (0028,0008); 1 if missing.
    has_float_pixels : bool
        True for (7FE0,0008) *Float Pixel Data* or (7FE0,0009) *Double Float Pixel Data*.
    planes : tuple of Plane
        Its slices; empty for an object that is not an image.
    images_in_acquisition, series_instances, concatenation_parts : int or None
        Stated number of images or instances: (0020,1002), (0020,1209), (0020,9163).
    """

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    study_uid: str
    series_uid: str
    transfer_syntax: str
    patient_key: str
    patient_age_years: float | None
    modality: str
    description: str
    body_part: str
    kernel: str
    photometric: str
    image_type: tuple[str, ...]
    slice_thickness_mm: float | None
    contrast: bool
    series_number: int | None
    instance_number: int | None
    date_time: str
    samples_per_pixel: int
    bits_allocated: int | None
    bits_stored: int | None
    high_bit: int | None
    pixel_representation: int | None
    frames: int
    has_float_pixels: bool
    planes: tuple[Plane, ...]
    images_in_acquisition: int | None
    series_instances: int | None
    concatenation_parts: int | None
    study_date: str = ""
    kvp: float | None = None

    @property
    def is_ct(self) -> bool:
        """Whether this is a CT Image or an Enhanced CT Image."""
        return self.sop_class_uid in CT_CLASSES


def patient_key(dataset: Dataset) -> str:
    """Return the hash that identifies a patient: of (0010,0020) *Patient ID*, or of the name where that is empty.

    Parameters
    ----------
    dataset : Dataset
        A header with *Patient ID* or *Patient's Name*.
    """
    return hashed(_text(dataset, "PatientID") or f"name:{_text(dataset, 'PatientName')}")


def read_header(
    dataset: Dataset, path: Path, transfer_syntax: str, *, has_float_pixels: bool = False
) -> InstanceHeader:
    """Return the header of a data set that was read without pixels.

    Parameters
    ----------
    dataset : Dataset
        Contains at least the four UIDs.
    path : Path
        Its file.
    transfer_syntax : str
        Transfer syntax of the file.
    has_float_pixels : bool
        True if the pixels, which the data set lacks, are floating-point numbers.

    Returns
    -------
    InstanceHeader
    """
    shared = _functional_groups(dataset, "SharedFunctionalGroupsSequence")
    shared_group = shared[0] if shared else Dataset()
    thickness = _numbers(_macro(shared_group, "PixelMeasuresSequence") or dataset, "SliceThickness", 1)
    reconstruction = _macro(shared_group, "CTReconstructionSequence") or dataset
    voltage = _numbers(_macro(shared_group, "CTXRayDetailsSequence") or dataset, "KVP", 1)
    return InstanceHeader(
        path=path,
        sop_class_uid=_text(dataset, "SOPClassUID"),
        sop_instance_uid=_text(dataset, "SOPInstanceUID"),
        study_uid=_text(dataset, "StudyInstanceUID"),
        series_uid=_text(dataset, "SeriesInstanceUID"),
        transfer_syntax=transfer_syntax,
        patient_key=patient_key(dataset),
        patient_age_years=patient_age_years(dataset),
        modality=_text(dataset, "Modality"),
        description=_text(dataset, "SeriesDescription"),
        body_part=_text(dataset, "BodyPartExamined"),
        kernel=_text(reconstruction, "ConvolutionKernel"),
        photometric=_text(dataset, "PhotometricInterpretation"),
        image_type=tuple(v for v in _text(dataset, "ImageType").split("\\") if v),
        slice_thickness_mm=thickness[0] if thickness else None,
        contrast=_states_contrast(dataset),
        series_number=_integer(dataset, "SeriesNumber"),
        instance_number=_integer(dataset, "InstanceNumber"),
        date_time=_text(dataset, "SeriesDate") + _text(dataset, "SeriesTime")
        or _text(dataset, "AcquisitionDate")
        or _text(dataset, "StudyDate"),
        samples_per_pixel=_integer(dataset, "SamplesPerPixel") or 1,
        bits_allocated=_integer(dataset, "BitsAllocated"),
        bits_stored=_integer(dataset, "BitsStored"),
        high_bit=_integer(dataset, "HighBit"),
        pixel_representation=_integer(dataset, "PixelRepresentation"),
        frames=_integer(dataset, "NumberOfFrames") or 1,
        has_float_pixels=has_float_pixels,
        planes=_planes(dataset, path, shared_group),
        images_in_acquisition=_integer(dataset, "ImagesInAcquisition"),
        series_instances=_integer(dataset, "NumberOfSeriesRelatedInstances"),
        concatenation_parts=_integer(dataset, "InConcatenationTotalNumber"),
        study_date=_text(dataset, "StudyDate"),
        kvp=voltage[0] if voltage else None,
    )


def _states_contrast(dataset: Dataset) -> bool:
    """Return whether a contrast agent is stated; (0018,0010) is free text, which may say that there was none."""
    agent = "".join(character for character in _text(dataset, "ContrastBolusAgent").upper() if character.isalnum())
    is_named = bool(agent) and not _NO_AGENT.fullmatch(agent)
    return is_named or bool(_items(dataset, "ContrastBolusAgentSequence"))


def _planes(dataset: Dataset, path: Path, shared: Dataset) -> tuple[Plane, ...]:
    rows, columns = _integer(dataset, "Rows"), _integer(dataset, "Columns")
    if not rows or not columns:
        return ()
    frames = _functional_groups(dataset, "PerFrameFunctionalGroupsSequence")
    if frames:
        return tuple(_plane(dataset, path, (i, frame, shared)) for i, frame in enumerate(frames))
    if (_integer(dataset, "NumberOfFrames") or 1) > 1:
        return ()  # A cine or a multi-frame capture: frames without a position.
    return (_plane(dataset, path, None),)


def _plane(dataset: Dataset, path: Path, frame: tuple[int, Dataset, Dataset] | None) -> Plane:
    def group(macro: str) -> Dataset:
        if frame is None:
            return dataset
        return _macro(frame[1], macro) or _macro(frame[2], macro) or Dataset()

    transformation = group("PixelValueTransformationSequence")
    slope = _numbers(transformation, "RescaleSlope", 1)
    location = None if frame is not None else _numbers(dataset, "SliceLocation", 1)
    intercept = _numbers(transformation, "RescaleIntercept", 1)
    return Plane(
        source=SourceSlice(path, _text(dataset, "SOPInstanceUID"), None if frame is None else frame[0]),
        position_lps=_numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3),
        cosines=_numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6),
        spacing_yx=_numbers(group("PixelMeasuresSequence"), "PixelSpacing", 2),
        rows=_integer(dataset, "Rows") or 0,
        columns=_integer(dataset, "Columns") or 0,
        slope=slope[0] if slope else None,
        intercept=intercept[0] if intercept else None,
        rescale_type=_text(transformation, "RescaleType"),
        marks=_marks(dataset, frame),
        frame_of_reference=_text(dataset, "FrameOfReferenceUID"),
        slice_location_mm=location[0] if location else None,
    )


def _marks(dataset: Dataset, frame: tuple[int, Dataset, Dataset] | None) -> tuple[tuple[str, str], ...]:
    sources = [dataset]
    if frame is not None:
        macros = (
            "FrameContentSequence",
            "TemporalPositionSequence",
            "CardiacSynchronizationSequence",
            "CTReconstructionSequence",
        )
        sources = [item for macro in macros if (item := _macro(frame[1], macro)) is not None] + sources
    found = []
    for keyword in (*PHASE_MARKS, *TIME_MARKS):
        value = next((text for source in sources if (text := _text(source, keyword))), "")
        if frame is not None and keyword == "AcquisitionNumber":
            value = next((text for source in sources if (text := _text(source, "FrameAcquisitionNumber"))), value)
        if value:
            found.append((keyword, value))
    return tuple(found)


def _functional_groups(dataset: Dataset, keyword: str) -> list[Dataset]:
    return _items(dataset, keyword)


def _macro(group: Dataset, keyword: str) -> Dataset | None:
    items = _items(group, keyword)
    return items[0] if items else None


def _items(dataset: Dataset, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; none where the element is missing or no sequence."""
    value = _value(dataset, keyword)
    return list(value) if isinstance(value, Sequence) else []


def _value(dataset: Dataset, keyword: str) -> Any:
    """Return the value of an element, or None if it is missing, empty or malformed.

    A malformed element costs itself alone, whatever it makes pydicom raise.
    """
    try:
        return dataset.get(keyword)
    except Exception as error:
        raise_system_limit(error)
        return None


def _text(dataset: Dataset, keyword: str) -> str:
    value = _value(dataset, keyword)
    if value is None:
        return ""
    try:
        if isinstance(value, (list, tuple, MultiValue)):
            return "\\".join(str(v).strip() for v in value)
        return str(value).strip()
    except Exception as error:  # names are decoded when they are used
        raise_system_limit(error)
        return ""


def _numbers(dataset: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    value = _value(dataset, keyword)
    if value is None or value == "":
        return None
    values = [value] if count == 1 else value
    try:
        numbers = tuple(float(v) for v in values)
    except (ValueError, TypeError, OverflowError):
        return None
    return numbers if len(numbers) == count and all(abs(v) <= _MAX_NUMBER for v in numbers) else None


def _integer(dataset: Dataset, keyword: str) -> int | None:
    """Return an integer; None also for one that its value representation cannot hold, which is another element's."""
    value = _value(dataset, keyword)
    try:
        number = None if value is None or value == "" else int(value)
    except (ValueError, TypeError, OverflowError):
        return None
    low, high = _RANGES.get(dictionary_VR(keyword), _RANGES["IS"])
    return number if number is not None and low <= number <= high else None
