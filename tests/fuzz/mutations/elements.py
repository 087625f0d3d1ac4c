"""Elements of the header: lost, emptied, of another VR or type, huge, not finite, several values, exchanged."""

from __future__ import annotations

import copy
import random
import re
from functools import partial

from pydicom import DataElement, Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.valuerep import VR

from tests.fuzz.case import BIRTH_DATE, MARKER, Case, every_dataset, replace_meta, set_raw, tag_of
from tests.fuzz.mutations.registry import DoesNotApplyError, mutation

#: What decides about selection, geometry and values: changed as often as all others together.
_DECISIVE = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "PatientID"),
    *("Modality", "ImageType", "SliceThickness", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient"),
    *("PixelSpacing", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns", "BitsAllocated", "BitsStored"),
    *("HighBit", "PixelRepresentation", "RescaleSlope", "RescaleIntercept", "RescaleType", "SpecificCharacterSet"),
    *("SeriesNumber", "AcquisitionNumber", "SliceLocation", "ConvolutionKernel", "BodyPartExamined", "PatientAge"),
    *("StudyDate", "StudyTime", "SeriesDate", "SeriesTime", "PatientName", "PatientBirthDate", "PatientSex"),
)
#: Legal for some reader: they change what a series is, and have mutations of their own.
_TEXTS = (
    *(b"NaN", b"inf", b"-inf", b"1e400", b"-1e-400", b"1e300", b"99999999999999999999", b"0x10", b"1,5", b"--1", b"."),
    *(
        b"\\",
        b"\\\\\\",
        b"1\\2",
        b"1\\2\\3\\4\\5\\6\\7\\8",
        b"\x00\x00",
        b"\xff\xfe\xfd\xfc",
        b"\x1b$B\x1b(B",
        b"^=^=^",
    ),
    *(b"%s%n{0}", b"${jndi:x}", b"\r\n\r\n", b"00000000", b"20241345", b"2024.13.45", b"999Y", b"AAAA"),
    *(f"{MARKER}^Doe".encode(), f"{MARKER}\\{BIRTH_DATE}".encode(), BIRTH_DATE.encode(), b"01.2.3", b"1..2", b"1.2."),
)
_IDENTIFIERS = tuple(tag_of(keyword) for keyword in ("SeriesInstanceUID", "StudyInstanceUID", "SOPClassUID"))
_VRS = [vr.value for vr in VR if len(vr.value) == 2]


def _tag(dataset: Dataset, rng: random.Random) -> BaseTag:
    tags = [tag for tag in dataset.keys() if tag != 0x7FE00010]  # noqa: SIM118
    decisive = [tag for keyword in _DECISIVE if (tag := tag_of(keyword)) in dataset]
    pool = decisive if decisive and rng.random() < 0.5 else tags
    if not pool:
        raise DoesNotApplyError
    return rng.choice(pool)


def _holder(case: Case, rng: random.Random) -> Dataset:
    """A data set, or an item within one."""
    return rng.choice(list(every_dataset(rng.choice(case.datasets))))


def _each(case: Case, rng: random.Random) -> tuple[BaseTag, list[Dataset]]:
    """An element, and the data sets to change it in."""
    tag = _tag(rng.choice(case.datasets), rng)
    return tag, [dataset for dataset in case.some(rng) if tag in dataset]


def _require_effect(tag: BaseTag, value: bytes) -> None:
    """Another valid identifier makes a slice part of another series."""
    if tag in _IDENTIFIERS and re.fullmatch(rb"[0-9]+(\.[0-9]+)+", value.strip(b"\0 ")):
        raise DoesNotApplyError


@mutation("element")
def element_deleted(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    for dataset in datasets:
        del dataset[tag]


@mutation("element")
def element_emptied(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    for dataset in datasets:
        dataset[tag] = DataElement(tag, dataset[tag].VR, None)


@mutation("element")
def element_within_an_item_changed(case: Case, rng: random.Random) -> None:
    holder = _holder(case, rng)
    tag = _tag(holder, rng)
    if rng.random() < 0.4:
        del holder[tag]
    else:
        set_raw(holder, tag, rng.choice([holder[tag].VR, rng.choice(_VRS)]), rng.choice(_TEXTS))


@mutation("element")
def element_of_another_vr(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    vr, value = rng.choice(_VRS), rng.choice([*_TEXTS, b"", rng.randbytes(rng.randint(1, 40))])
    _require_effect(tag, value)
    for dataset in datasets:
        set_raw(dataset, tag, vr, value)


@mutation("element")
def element_of_another_value(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    value = rng.choice([*_TEXTS, rng.randbytes(rng.randint(1, 40))])
    _require_effect(tag, value)
    for dataset in datasets:
        set_raw(dataset, tag, dataset[tag].VR, value)


@mutation("element")
def element_huge(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    unit = rng.choice([b"9", b"1\\", MARKER.encode(), b"\\", b"A" * 64 + b"\\"])
    value = unit * (rng.choice([65, 1025, 30_000]) // len(unit))
    for dataset in datasets:
        vr = dataset[tag].VR
        set_raw(dataset, tag, vr if vr in ("UT", "UN", "LT", "OB", "OW") or len(value) < 65_000 else "UT", value)


@mutation("element")
def element_exchanged_between_slices(case: Case, rng: random.Random) -> None:
    if len(case.datasets) < 2:
        raise DoesNotApplyError
    first, second = rng.sample(case.datasets, 2)
    tag = _tag(first, rng)
    if tag not in second or tag in (tag_of("ImagePositionPatient"), tag_of("RescaleIntercept"), tag_of("RescaleSlope")):
        raise DoesNotApplyError
    first[tag], second[tag] = second[tag], first[tag]


@mutation("element")
def private_value_in_another_element(case: Case, rng: random.Random) -> None:
    tag, datasets = _each(case, rng)
    source = rng.choice(["PatientName", "PatientID", "PatientBirthDate", "AccessionNumber"])
    for dataset in datasets:
        set_raw(dataset, tag, dataset[tag].VR, str(dataset.get(source, MARKER)).encode())


@mutation("syntax")
def private_value_in_the_file_header(case: Case, rng: random.Random) -> None:
    keyword = rng.choice(["TransferSyntaxUID", "MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID"])
    value = rng.choice(
        [MARKER, f"1.2.{BIRTH_DATE}", f"1.2.{MARKER}", "1.2.840.10008.1.2.4.999", "1.2.840.10008.1.2.1.99"]
    )
    for dataset in case.some(rng):
        case.on_disk.append(partial(replace_meta, case.index(dataset), keyword, value))


@mutation("element")
def character_set_unknown(case: Case, rng: random.Random) -> None:
    name = rng.choice(["ISO_IR 999", "NONSENSE", "ISO 2022 IR 87", "\\ISO 2022 IR 149", "GB18030", MARKER, "utf8", ""])
    for dataset in case.some(rng):
        set_raw(dataset, tag_of("SpecificCharacterSet"), "CS", name.encode())
        set_raw(dataset, tag_of("PatientName"), "PN", MARKER.encode() + rng.randbytes(9).replace(b"\\", b"/"))


@mutation("element")
def sequence_nested_deeply(case: Case, rng: random.Random) -> None:
    if not case.syntax.is_little_endian:
        raise DoesNotApplyError
    keyword = rng.choice(["RequestAttributesSequence", "ProcedureCodeSequence", "ReferencedStudySequence"])
    depth, has_lengths = rng.choice([5, 60, 300, 5000]), rng.random() < 0.5
    value = _nested(depth, implicit=case.syntax.is_implicit_VR, has_lengths=has_lengths)
    for dataset in case.some(rng):
        set_raw(dataset, tag_of(keyword), "SQ", value)


def _nested(depth: int, *, implicit: bool, has_lengths: bool) -> bytes:
    """Return the items of a sequence that holds sequences within each other, as bytes."""
    tag = b"\x40\x00\x30\xa7" + (b"" if implicit else b"SQ\0\0")  # (0040,A730) Content Sequence
    value = b"\x08\x00\x04\x01" + (b"\x06\0\0\0" if implicit else b"LO\x06\0") + MARKER.encode()
    undefined = b"\xff" * 4
    starts, ends = [], []
    for _ in range(depth):
        if has_lengths:
            value = b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value
            value = tag + len(value).to_bytes(4, "little") + value
        else:
            starts.append(tag + undefined + b"\xfe\xff\x00\xe0" + undefined)
            ends.append(b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0")
    value = b"".join(starts) + value + b"".join(ends)
    return b"\xfe\xff\x00\xe0" + len(value).to_bytes(4, "little") + value


@mutation("element")
def sequence_of_bytes(case: Case, rng: random.Random) -> None:
    keyword = rng.choice(
        ["RequestAttributesSequence", "ContrastBolusAgentSequence", "ReferencedStudySequence", "ProcedureCodeSequence"]
    )
    value = rng.choice(
        [b"\xfe\xff\x00\xe0\xff\xff\xff\xff", b"\xfe\xff\x00\xe0\x08\x00\x00\x00AAAA", rng.randbytes(30)]
    )
    for dataset in case.some(rng):
        set_raw(dataset, tag_of(keyword), "SQ", value)


@mutation("element")
def elements_added_without_meaning(case: Case, rng: random.Random) -> None:
    for dataset in case.some(rng):
        for _ in range(rng.randint(1, 6)):
            group, element = rng.randrange(0x0008, 0x7FDF), rng.randrange(0x10000)
            if Tag(group, element) not in dataset and group > 8:
                set_raw(dataset, Tag(group, element), rng.choice(_VRS), rng.choice(_TEXTS))


@mutation("element")
def other_objects_of_the_study(case: Case, rng: random.Random) -> None:
    """A presentation state, a report and a dose report, damaged or not, beside the series."""
    for number in range(rng.randint(1, 3)):
        other = copy.deepcopy(rng.choice(case.datasets))
        other.pop("PixelData", None)
        other.SOPClassUID = rng.choice(
            ["1.2.840.10008.5.1.4.1.1.11.1", "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.66.4"]
        )
        for keyword in ("Rows", "Columns", "ImagePositionPatient", "PerFrameFunctionalGroupsSequence"):
            other.pop(keyword, None)
        other.SOPInstanceUID, other.Modality = f"1.2.3.{number}", rng.choice(["PR", "SR", "SEG", ""])
        other.SeriesInstanceUID = rng.choice([f"1.2.4.{number}", str(other.get("SeriesInstanceUID", "1.2.5"))])
        other.file_meta.MediaStorageSOPClassUID = other.SOPClassUID
        case.datasets.append(other)
