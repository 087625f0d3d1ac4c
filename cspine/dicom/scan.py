"""Find the DICOM series in a folder tree, from headers alone.

What is not DICOM is skipped and counted; DICOM that is damaged is reported. The order of files changes nothing.
"""

from __future__ import annotations

import filecmp
import logging
import os
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian, MediaStorageDirectoryStorage

from cspine.core.errors import InputError, NoDicomError, SeveralPatientsError, UnknownSeriesError, hashed
from cspine.dicom.headers import WANTED_TAGS, InstanceHeader, read_header
from cspine.dicom.series import Series

_log = logging.getLogger(__name__)
_THREADS = 8
_IDENTIFIERS = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
#: What reading a damaged file raises.
DAMAGE = (
    InvalidDicomError,
    BytesLengthException,
    EOFError,
    OSError,
    ValueError,
    KeyError,
    AttributeError,
    TypeError,
    NotImplementedError,
    struct.error,
    zlib.error,
)


@dataclass(frozen=True)
class Skipped:
    """How many files were left out, and why.

    Parameters
    ----------
    directories : int
        DICOMDIR files.
    sidecars : int
        ``.json`` files, such as the MONAI Informatics Gateway stores beside instances.
    not_dicom : int
        Anything else that is not DICOM.
    copies : int
        Files that equal another one byte for byte.
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
    """A file that is DICOM but cannot be used whole.

    Parameters
    ----------
    path : Path
        The file.
    reason : str
        What is wrong.
    series_uid : str
        The series it belongs to, empty where even that is lost.
    """

    path: Path
    reason: str
    series_uid: str = ""


@dataclass(frozen=True)
class Scan:
    """All series of an input.

    Parameters
    ----------
    series : tuple of Series
        Sorted by patient, study and series UID.
    skipped : Skipped
        What was left out.
    damaged : tuple of DamagedFile
        What should have been there.
    """

    series: tuple[Series, ...]
    skipped: Skipped = Skipped()
    damaged: tuple[DamagedFile, ...] = ()

    def studies(self) -> tuple[Scan, ...]:
        """One scan for each patient and study, in the order of the series."""
        groups: dict[tuple[str, str], list[Series]] = defaultdict(list)
        for series in self.series:
            groups[series.patient_key, series.study_uid].append(series)
        return tuple(replace(self, series=tuple(members)) for members in groups.values())


def one_study(scan: Scan, series_uid: str | None = None) -> Scan:
    """Return the scan of the one study that the input holds, or of the one that holds ``series_uid``.

    Parameters
    ----------
    scan : Scan
        An input.
    series_uid : str, optional
        Series that the user asked for: it says which study is meant.

    Returns
    -------
    Scan

    Raises
    ------
    SeveralPatientsError
        If there is more than one study to choose from.
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
            f"the input holds {patients} patient(s) with {len(studies)} studies and {len(scan.series)} series"
        )
    return studies[0]


def scan_folder(folder: Path) -> Scan:
    """Read the headers below a folder.

    Parameters
    ----------
    folder : Path
        As `archive.open_input` gives it.

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
    paths = _files_below(folder)
    with ThreadPoolExecutor(_THREADS) as pool:
        results = list(pool.map(_examine, paths))
    headers = [r for r in results if isinstance(r, InstanceHeader)]
    damaged = tuple(r for r in results if isinstance(r, DamagedFile))
    kinds = Counter(r for r in results if isinstance(r, str))
    headers, copies = _without_copies(headers)
    skipped = Skipped(kinds["directory"], kinds["sidecar"], kinds["other"], copies)
    if not headers:
        raise NoDicomError(f"no usable DICOM among {len(paths)} files: {skipped}, {len(damaged)} damaged")
    groups: dict[tuple[str, str, str], list[InstanceHeader]] = defaultdict(list)
    for header in headers:
        groups[header.patient_key, header.study_uid, header.series_uid].append(header)
    lost = Counter(d.series_uid for d in damaged)
    series = tuple(
        Series(*key, tuple(sorted(groups[key], key=lambda h: (h.sop_instance_uid, str(h.path)))), lost[key[2]])
        for key in sorted(groups)
    )
    _log.info("%d series with %d instances; skipped %s", len(series), len(headers), skipped)
    for reason, count in Counter(d.reason for d in damaged).items():
        _log.warning("%d damaged DICOM files: %s", count, reason)
    return Scan(series, skipped, damaged)


def _files_below(folder: Path) -> list[Path]:
    """Return all files, those behind links to folders too; a folder that cannot be read may hide slices: an error."""

    def refuse(error: OSError) -> None:
        raise InputError(
            f"a folder of the input cannot be read: {error.strerror}", advice="Check the permissions of the input."
        ) from error

    seen: set[Path] = set()
    paths: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        real = Path(place).resolve()
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        paths += [Path(place) / name for name in names]
    return sorted(paths)


# --- one file ---------------------------------------------------------------------------------------------------------


def _examine(path: Path) -> InstanceHeader | DamagedFile | str:
    """Return the header of a file, what is wrong with it, or as a word why it is skipped."""
    if path.name.upper() == "DICOMDIR":
        return "directory"
    if path.suffix.lower() == ".json":
        return "sidecar"
    if not path.is_file():
        return "other"
    try:
        with path.open("rb") as file:
            start = file.read(144)
            has_preamble = start[128:132] == b"DICM"
            if not has_preamble and not _looks_bare(start, path.stat().st_size):
                return "other"
            file.seek(0)
            dataset = dcmread(file, stop_before_pixels=True, force=not has_preamble, specific_tags=WANTED_TAGS)
            pixel_start = file.tell()
        if dataset.file_meta.get("MediaStorageSOPClassUID") == MediaStorageDirectoryStorage:
            return "directory"
        return _checked(dataset, path, pixel_start, has_preamble)
    except DAMAGE as error:
        return DamagedFile(path, f"the header cannot be read ({type(error).__name__})")


def _looks_bare(start: bytes, size: int) -> bool:
    """Tell whether a file without a preamble begins with an element of group 0002 or 0008."""
    if len(start) < 12 or start[:2] not in (b"\x02\x00", b"\x08\x00", b"\x00\x08"):
        return False
    explicit = start[4:6].isalpha() and start[4:6].isupper()
    return explicit or int.from_bytes(start[4:8], "little") <= min(size, 1024)


def _checked(dataset: Dataset, path: Path, pixel_start: int, has_preamble: bool) -> InstanceHeader | DamagedFile | str:
    missing = [keyword for keyword in _IDENTIFIERS if not dataset.get(keyword)]
    series_uid = str(dataset.get("SeriesInstanceUID") or "")
    if missing:
        if len(missing) == 4 and not has_preamble:
            return "other"
        return DamagedFile(path, f"{', '.join(missing)} missing", series_uid)
    syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID") or ImplicitVRLittleEndian))
    header = read_header(dataset, path, syntax)
    left = path.stat().st_size - pixel_start
    if header.is_ct and (not header.planes or left <= 0) and syntax != DeflatedExplicitVRLittleEndian:
        return DamagedFile(path, "a CT image without pixels", series_uid)
    if header.planes and not syntax.is_encapsulated and syntax != DeflatedExplicitVRLittleEndian:
        bits = int(dataset.get("BitsAllocated") or 16) * header.samples_per_pixel
        plane = header.planes[0]
        if left < len(header.planes) * plane.rows * plane.columns * bits // 8:
            return DamagedFile(path, "the file ends before its pixels do", series_uid)
    return header


def _without_copies(headers: Sequence[InstanceHeader]) -> tuple[list[InstanceHeader], int]:
    """Leave out files that equal an earlier one; one UID with two contents stays, for the geometry check."""
    kept: dict[tuple[str, ...], list[InstanceHeader]] = defaultdict(list)
    copies = 0
    for header in headers:
        others = kept[header.patient_key, header.study_uid, header.series_uid, header.sop_instance_uid]
        if any(filecmp.cmp(header.path, other.path, shallow=False) for other in others):
            copies += 1
        else:
            others.append(header)
    return [header for group in kept.values() for header in group], copies
