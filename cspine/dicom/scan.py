"""Find the DICOM series of a folder tree from headers alone.

Files that are not DICOM are skipped and counted; damaged DICOM files are reported. The order of files does not matter.
"""

from __future__ import annotations

import logging
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from cspine.core.errors import InputError, NoDicomError, SeveralPatientsError, UnknownSeriesError, hashed
from cspine.dicom.deflated import dataset_bytes, reasonable_bytes
from cspine.dicom.headers import CT_CLASSES, WANTED_TAGS, InstanceHeader, read_header
from cspine.dicom.series import Series
from cspine.dicom.streams import exceeds
from cspine.io.files import sha256_of
from cspine.io.foreign import raise_system_limit
from cspine.io.tables import counted
from cspine.io.walk import files_below

_log = logging.getLogger(__name__)
_THREADS = 8
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
#: Components of digits; leading zeros are not allowed, but occur.
_UID = re.compile(r"^(?=.{3,64}$)\d+(\.\d+)+$", re.ASCII)
#: What names of slices differ in: IM000001, IM000002; 1.2.840.3.1, 1.2.840.3.2.
_NUMBER = re.compile(r"[0-9]+")
#: Values, or characters of a single one: pydicom looks up each for every file, which takes long for thousands.
_MAX_CHARACTER_SETS = 64
#: First bytes of (7FE0,0008) *Float Pixel Data* and (7FE0,0009) *Double Float Pixel Data*.
_FLOAT_PIXELS = (b"\xe0\x7f\x08\x00", b"\xe0\x7f\x09\x00", b"\x7f\xe0\x00\x08", b"\x7f\xe0\x00\x09")


@dataclass(frozen=True)
class Skipped:
    """The number of files that were skipped, by reason.

    Parameters
    ----------
    directories : int
        DICOMDIR files.
    sidecars : int
        ``.json`` files, which the MONAI Informatics Gateway stores beside instances.
    not_dicom : int
        Other files that are not DICOM.
    copies : int
        Files that are identical to another one.
    """

    directories: int = 0
    sidecars: int = 0
    not_dicom: int = 0
    copies: int = 0

    def __str__(self) -> str:
        return (
            f"{self.directories} DICOMDIR, {self.sidecars} JSON, {self.not_dicom} not DICOM, {self.copies} copied files"
        )


@dataclass(frozen=True)
class DamagedFile:
    """A file that is damaged.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong.
    series_uid : str
        The series that it belongs to; empty if unknown.
    may_be_slice : bool
        False if its header shows that it is no CT image.
    """

    path: Path
    reason: str
    series_uid: str = ""
    may_be_slice: bool = True

    @property
    def is_unattributed(self) -> bool:
        """Whether it may be a slice of any series of the input."""
        return self.may_be_slice and not self.series_uid


@dataclass(frozen=True)
class Scan:
    """The series of an input.

    Parameters
    ----------
    series : tuple of Series
        Sorted by patient, study and series UID.
    skipped : Skipped
        Files that were skipped.
    damaged : tuple of DamagedFile
        Files that are damaged.
    """

    series: tuple[Series, ...]
    skipped: Skipped = Skipped()
    damaged: tuple[DamagedFile, ...] = ()

    def studies(self) -> tuple[Scan, ...]:
        """Return one scan for each patient and study, in the order of the series."""
        groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
        for series in self.series:
            groups[series.patient_key, series.study_uid].append(series)
        return tuple(replace(self, series=tuple(members)) for members in groups.values())

    def named_studies(self) -> dict[str, Scan]:
        """Return the studies by the name that a folder of their results has: the hashed Study Instance UID.

        Of patients who share a Study Instance UID, each has a name of its own, and none has the name of a study of one
        patient: whose folder it is would depend on who else is in the input.
        """
        studies = self.studies()
        patients = Counter(study.series[0].study_uid for study in studies)
        return {_study_name(study.series[0], patients): study for study in studies}


def _study_name(series: Series, patients: Counter[str]) -> str:
    shared = patients[series.study_uid] > 1
    return hashed(series.patient_key + series.study_uid if shared else series.study_uid)


def one_study(scan: Scan, series_uid: str | None = None) -> Scan:
    """Return the scan of the only study of the input, or of the one that contains ``series_uid``.

    Parameters
    ----------
    scan : Scan
        Scan of an input.
    series_uid : str, optional
        Series that the user requested, which identifies the study.

    Returns
    -------
    Scan

    Raises
    ------
    SeveralPatientsError
        If there is more than one study.
    """
    studies = scan.studies()
    if series_uid is not None:
        holders = [study for study in studies if any(s.series_uid == series_uid for s in study.series)]
        if len(holders) == 1:
            return holders[0]
        if not holders:
            raise UnknownSeriesError(
                f"series {hashed(series_uid)} is not among the {len(scan.series)} series of the input"
            )
    if len(studies) != 1:
        patients = len({series.patient_key for series in scan.series})
        raise SeveralPatientsError(
            f"the input contains {counted(patients, 'patient')} with {counted(len(studies), 'study', 'studies')} and "
            f"{len(scan.series)} series"
        )
    return studies[0]


def scan_folder(folder: Path) -> Scan:
    """Return the series of the files below a folder.

    Parameters
    ----------
    folder : Path
        As `archive.open_input` yields it.

    Returns
    -------
    Scan

    Raises
    ------
    NoDicomError
        If no file is DICOM.
    InputError
        If a folder cannot be read.
    """
    paths = _files_of(folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(_examine, paths))
    headers = [r for r in results if isinstance(r, InstanceHeader)]
    lost = _like_slices([path for path, r in zip(paths, results, strict=True) if r == "other"], headers)
    damaged = (*(r for r in results if isinstance(r, DamagedFile)), *lost)
    kinds = Counter(r for r in results if isinstance(r, str))
    kinds["other"] -= len(lost)
    headers, copies = _without_copies(headers)
    skipped = Skipped(kinds["directory"], kinds["sidecar"], kinds["other"], copies)
    if not headers:
        raise NoDicomError(
            f"no usable DICOM file among {counted(len(paths), 'file')}: {skipped}, {len(damaged)} damaged"
        )
    groups: dict[tuple[str, str, str], list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        groups[header.patient_key, header.study_uid, header.series_uid].append(header)
    damaged_of = Counter(d.series_uid for d in damaged)
    series = tuple(
        Series(*key, tuple(sorted(groups[key], key=lambda h: (h.sop_instance_uid, str(h.path)))), damaged_of[key[2]])
        for key in sorted(groups)
    )
    _log.info("%d series with %d instances; skipped %s", len(series), len(headers), skipped)
    for reason, count in Counter(d.reason for d in damaged).items():
        _log.warning("%d damaged DICOM files: %s", count, reason)
    return Scan(series, skipped, damaged)


def _files_of(folder: Path) -> list[Path]:
    """Return all files, following links; raise InputError for an unreadable folder, which may hide slices."""

    def refuse(error: OSError) -> None:
        raise InputError(
            f"a folder of the input cannot be read: {error.strerror}",
            advice="Check the permissions of the input folder.",
        ) from error

    return files_below(folder, refuse)


# --- one file ---------------------------------------------------------------------------------------------------------


def _examine(path: Path) -> InstanceHeader | DamagedFile | str:
    """Return the header of a file, its damage, or the reason for skipping it; its content decides, not its name."""
    try:
        if not path.is_file():
            return "other"
        with path.open("rb") as file:
            start = file.read(144)
            has_preamble, size = start[128:132] == b"DICM", path.stat().st_size
            if not has_preamble and not _looks_bare(start, size):
                return _kind_by_name(path)
            if dataset_bytes(file, limit := reasonable_bytes(size)) > max(size, limit):
                return DamagedFile(path, "the deflated dataset is unreasonably large")
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, force=not has_preamble, specific_tags=WANTED_TAGS)
            pixel_start = file.tell()
            pixel_element = file.read(12)
        if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return "directory"
        return _checked(dataset, path, _PixelStart(pixel_start, pixel_element), has_preamble)
    except Exception as error:  # whatever a damaged file makes pydicom raise
        raise_system_limit(error)
        return DamagedFile(path, f"the header cannot be read ({type(error).__name__})")


def _kind_by_name(path: Path) -> str:
    """Return the kind of a file that is not DICOM."""
    if path.name.upper() == "DICOMDIR":
        return "directory"
    return "sidecar" if path.suffix.lower() == ".json" else "other"


def _like_slices(paths: Sequence[Path], headers: Sequence[InstanceHeader]) -> tuple[DamagedFile, ...]:
    """Return the files without a DICOM header that are named like the CT images beside them."""
    names = {name for header in headers if header.is_ct for name in _kinds_of_name(header.path)}
    return tuple(
        DamagedFile(path, "the DICOM header is missing") for path in paths if not names.isdisjoint(_kinds_of_name(path))
    )


def _kinds_of_name(path: Path) -> set[tuple[Path, str]]:
    """Return what files that are named alike share: the folder and the name but its numbers, or a suffix of letters."""
    name = path.name.lower()
    alike = {_NUMBER.sub("#", name)}
    if any(map(str.isalpha, suffix := Path(name).suffix)):
        alike.add(suffix)
    return {(path.parent, each) for each in alike}


@dataclass(frozen=True)
class _PixelStart:
    """Where the pixel data begin: offset in the file, and the first twelve bytes of the element there."""

    offset: int
    element: bytes

    @property
    def tag(self) -> bytes:
        """The bytes of the tag."""
        return self.element[:4]

    def length(self, syntax: UID) -> int | None:
        """Return the length of the value that the element states; None if undefined or malformed."""
        at = 4 if syntax.is_implicit_VR else 8
        stated = int.from_bytes(self.element[at : at + 4], "little" if syntax.is_little_endian else "big")
        return stated if len(self.element) >= at + 4 and stated != 0xFFFFFFFF else None


def _looks_bare(start: bytes, size: int) -> bool:
    """Return whether a file without a preamble starts with an element of group 0002 or 0008."""
    if len(start) < 12 or start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") <= min(size, 1024)


def _checked(
    dataset: Dataset, path: Path, pixels: _PixelStart, has_preamble: bool
) -> InstanceHeader | DamagedFile | str:
    missing = [keyword for keyword in _IDENTIFIERS if not dataset.get(keyword)]
    series_uid = str(dataset.get("SeriesInstanceUID") or "")
    if missing:
        if len(missing) == 4 and not has_preamble:
            return "other"
        may_be_slice = str(dataset.get("SOPClassUID") or "") in ("", *CT_CLASSES)
        return DamagedFile(path, f"{', '.join(missing)} missing", series_uid, may_be_slice)
    malformed = [keyword for keyword in _IDENTIFIERS if not _UID.match(str(dataset.get(keyword)))]
    if malformed:
        known = "" if "SeriesInstanceUID" in malformed else series_uid
        return DamagedFile(path, f"{', '.join(malformed)} malformed", known)
    if len(dataset.get("SpecificCharacterSet") or "") > _MAX_CHARACTER_SETS:
        return DamagedFile(path, "the list of character sets is too long", series_uid)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian))
    header = read_header(dataset, path, syntax, has_float_pixels=pixels.tag in _FLOAT_PIXELS)
    left = path.stat().st_size - pixels.offset
    if header.is_ct and (not header.planes or left <= 0) and syntax != DeflatedExplicitVRLittleEndian:
        return DamagedFile(path, "the CT image has no pixels", series_uid)
    if header.planes and not syntax.is_encapsulated and syntax != DeflatedExplicitVRLittleEndian:
        bits = int(dataset.get("BitsAllocated") or 16) * header.samples_per_pixel
        plane = header.planes[0]
        needed = len(header.planes) * plane.rows * plane.columns * bits // 8
        if left < needed:
            return DamagedFile(path, "the file is truncated within its pixels", series_uid)
        if exceeds(pixels.length(syntax) or 0, plane.rows, plane.columns, len(header.planes), bits):
            return DamagedFile(path, "the pixels are more than Rows and Columns state", series_uid)
    return header


def _without_copies(headers: Sequence[InstanceHeader]) -> tuple[list[InstanceHeader], int]:
    """Return the headers without identical files; one UID with two contents is kept for the geometry check."""
    groups: dict[tuple[str, ...], list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        groups[header.patient_key, header.study_uid, header.series_uid, header.sop_instance_uid].append(header)
    kept = [header for group in groups.values() for header in _distinct(group)]
    return kept, len(headers) - len(kept)


def _distinct(group: Sequence[InstanceHeader]) -> list[InstanceHeader]:
    """Return the headers of files with different contents, each read once."""
    if len(group) == 1:
        return list(group)
    distinct: dict[str, InstanceHeader] = {}
    for header in group:
        distinct.setdefault(sha256_of(header.path), header)
    return list(distinct.values())
