"""Studies whose text elements all carry markers, complete or damaged, and the search for the markers in an output."""

from __future__ import annotations

import gzip
import re
import shutil
import warnings
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

from pydicom import Dataset, config, dcmread
from pydicom.datadict import keyword_for_tag
from pydicom.filereader import data_element_generator
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32

from tests.builders.bright_studies import write_bright_study
from tests.builders.segmentations import as_bytes

#: Part of every marker; four characters, so that a fragment of a value shows itself.
TOKEN = "Qxj7"
#: Dates, a time and a component of UIDs with a leading zero, none of which occurs by chance.
BIRTH_DATE, STUDY_DATE, STUDY_TIME, COMPONENT = "19470213", "20310917", "031337.713113", "0731007731"

_TEXTS = {
    "PN": "PatientName OtherPatientNames PatientMotherBirthName ReferringPhysicianName PerformingPhysicianName "
    "OperatorsName NameOfPhysiciansReadingStudy RequestingPhysician PatientBirthName ResponsiblePerson",
    "LO": "PatientID OtherPatientIDs IssuerOfPatientID PatientAddress MedicalRecordLocator InstitutionName "
    "InstitutionalDepartmentName StudyDescription SeriesDescription ProtocolName DeviceSerialNumber Manufacturer "
    "ManufacturerModelName RequestedProcedureDescription CountryOfResidence ContrastBolusAgent ImageComments "
    "PatientReligiousPreference ServiceEpisodeID ClinicalTrialSubjectID",
    "SH": "AccessionNumber StudyID StationName EthnicGroup Occupation PatientTelephoneNumbers RequestedProcedureID "
    "ConvolutionKernel FilterType PerformedProcedureStepID",
    "ST": "InstitutionAddress DerivationDescription",
    "LT": "AdditionalPatientHistory PatientComments ImageComments",
    "UT": "ReasonForVisit TextValue",
    "AE": "RetrieveAETitle StationAETitle",
}
_DATES = {
    "PatientBirthDate": BIRTH_DATE, "StudyDate": STUDY_DATE, "SeriesDate": STUDY_DATE, "ContentDate": STUDY_DATE,
    "AcquisitionDate": STUDY_DATE, "StudyTime": STUDY_TIME, "SeriesTime": STUDY_TIME, "PatientBirthTime": STUDY_TIME,
    "AcquisitionTime": STUDY_TIME, "AcquisitionDateTime": f"{STUDY_DATE}{STUDY_TIME}",
}  # fmt: skip
#: Numbers, dates and codes that a run does without.
_NEEDLESS = (
    "KVP", "WindowCenter", "WindowWidth", "AcquisitionNumber", "PatientAge", "PatientSex", "SeriesNumber", "StudyDate",
    "PatientBirthDate", "StudyTime", "AcquisitionDateTime", "SliceLocation",
)  # fmt: skip
#: What a run needs of every slice.
_NEEDED = (
    "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "RescaleIntercept",
    "InstanceNumber", "SliceThickness", "FrameOfReferenceUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality",
    "PhotometricInterpretation", "RescaleType",
)  # fmt: skip


def marker(keyword: str) -> str:
    """Return the text of an element."""
    return f"{TOKEN}{keyword[:4]}{TOKEN}"


def mark(path: Path, number: int) -> bytes:
    """Return a file with a marker in every text element, date and UID."""
    with warnings.catch_warnings(), config.disable_value_validation():
        warnings.simplefilter("ignore")
        return as_bytes(_marked(dcmread(path), number))


def _marked(marked: Dataset, number: int) -> Dataset:
    for keywords in _TEXTS.values():
        for keyword in keywords.split():
            setattr(marked, keyword, marker(keyword))
    for keyword, value in _DATES.items():
        setattr(marked, keyword, value)
    for keyword, end in (("StudyInstanceUID", "1"), ("SeriesInstanceUID", "2"), ("FrameOfReferenceUID", "3")):
        setattr(marked, keyword, f"1.2.826.0.1.{COMPONENT}.{end}")
    marked.SOPInstanceUID = f"1.2.826.0.1.{COMPONENT}.4.{number}"
    marked.file_meta.MediaStorageSOPInstanceUID = marked.SOPInstanceUID
    marked.add_new(0x00090010, "LO", marker("creator"))
    for offset, vr in enumerate(("LO", "PN", "SH", "LT", "UT", "DA", "UI", "CS")):
        value = {"DA": BIRTH_DATE, "UI": marked.StudyInstanceUID, "CS": TOKEN.upper()}.get(vr, marker(vr))
        marked.add_new(0x00091001 + offset, vr, value)
    item = Dataset()
    item.ScheduledProcedureStepDescription, item.RequestedProcedureID = marker("item"), marker("id")
    marked.RequestAttributesSequence = [item]
    return marked


def _malformed(data: bytes, keywords: Sequence[str]) -> bytes:
    """Return a file with a marker where elements have their values."""
    for element in list(_elements(data)):
        if keyword_for_tag(element.tag) in keywords:
            end = element.value_tell + element.length
            data = data[: element.value_tell] + (TOKEN * 20)[: element.length].encode() + data[end:]
    return data


def _elements(data: bytes) -> Iterator:  # type: ignore[type-arg]
    """Yield the raw elements of a file in Explicit VR Little Endian."""
    file = BytesIO(data)
    file.seek(132)
    yield from data_element_generator(file, False, True)


def shifted_files(data: bytes) -> Iterator[bytes]:
    """Yield the file with the length of each of its text elements in turn too large or too small."""
    for element in _elements(data):
        if element.tag >> 16 == 2 or element.VR in ("OW", "OB", "US", "SQ") or not element.length:
            continue
        size = 4 if element.VR in EXPLICIT_VR_LENGTH_32 else 2
        for change in (1, 2, -2, 40):
            length = max(element.length + change, 0).to_bytes(size, "little")
            yield data[: element.value_tell - size] + length + data[element.value_tell :]


def write_marked_studies(folder: Path) -> None:
    """Write studies into folders.

    ``complete``; ``needless`` and ``needed``, malformed in what a run does without, or in an element that it needs,
    another one in each slice; ``shifted``, with files of which an element has a wrong length.
    """
    files = sorted(write_bright_study(folder / "source", "marked"))
    slices = [mark(path, number) for number, path in enumerate(files)]
    shutil.rmtree(folder / "source")
    studies = {
        "complete": slices,
        "needless": [_malformed(data, _NEEDLESS) for data in slices],
        "needed": [_malformed(data, _NEEDED[number % len(_NEEDED) :][:1]) for number, data in enumerate(slices)],
        "shifted": [*slices[1:], *shifted_files(slices[0])],
    }
    for name, contents in studies.items():
        (folder / name).mkdir()
        for number, data in enumerate(contents):
            (folder / name / f"{number:04d}.dcm").write_bytes(data)


def mark_files(folder: Path) -> None:
    """Mark the DICOM files below a folder."""
    for number, path in enumerate(sorted(folder.rglob("*.dcm"))):
        path.write_bytes(mark(path, number))


_LEAKS = re.compile(
    "|".join((TOKEN, BIRTH_DATE[2:], "1947-02", STUDY_DATE, "2031-09", "731007731", STUDY_TIME[:6])), re.I
)


def leaks(output: str | bytes) -> set[str]:
    """Return the markers in an output, each with what stands around it."""
    text = output.decode("utf-8", "replace") if isinstance(output, bytes) else output
    return {text[max(0, found.start() - 60) : found.end() + 60] for found in _LEAKS.finditer(text)}


def leaking_files(folder: Path) -> dict[str, set[str]]:
    """Return the markers in the files below a folder, DICOM objects aside, which are filed by them."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.suffix == ".dcm":
            continue
        data = path.read_bytes()
        found[path.relative_to(folder).as_posix()] = leaks(gzip.decompress(data) if path.suffix == ".gz" else data)
    return {name: texts for name, texts in found.items() if texts}


def shown_by_series() -> re.Pattern[str]:
    """Return a pattern of what `cspine series` is there to show: UID, description and kernel of a series."""
    values = (f"1.2.826.0.1.{COMPONENT}.2", marker("SeriesDescription"), marker("ConvolutionKernel"), f"({TOKEN})+")
    return re.compile(rf"(?<![^\s\"])({'|'.join(values)})(?![^\s\"])")
