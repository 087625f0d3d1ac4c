"""The files of instances in the spool: their names, whether they are CT images, and whether two are equal."""

from __future__ import annotations

import hashlib
from pathlib import Path

from pydicom import dcmread
from pydicom.filereader import read_file_meta_info
from pydicom.uid import CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage

from cspine.io.foreign import raise_system_limit

#: Empty file that marks an incomplete study: a transfer was interrupted.
INCOMPLETE = "incomplete"

_CT = {CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage}


def file_name(sop_uid: str) -> str:
    """Return the file name of an instance: the SHA-256 of its SOP Instance UID."""
    return f"{hashlib.sha256(sop_uid.encode('utf-8')).hexdigest()}.dcm"


def is_ct(path: Path) -> bool:
    """Return whether an instance is a CT image, by its file meta information: only CT images start a run.

    A result of cspine that a PACS sends back must not start one.
    """
    try:
        return read_file_meta_info(path).get("MediaStorageSOPClassUID") in _CT
    except Exception as error:  # pydicom parsers raise many types of exception
        raise_system_limit(error)
        return False


def sop_uid_of(path: Path) -> str:
    """Return the SOP Instance UID of a DICOM file."""
    return str(dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).SOPInstanceUID)


def same_content(first: Path, second: Path) -> bool:
    """Return whether two DICOM files have equal datasets, regardless of the file meta information of the writer."""
    if first.samefile(second):
        return True
    return _dataset(first) == _dataset(second)


def _dataset(path: Path) -> bytes:
    """Return the encoded dataset, prefixed with its transfer syntax."""
    data = path.read_bytes()
    if data[128:132] != b"DICM" or data[132:138] != b"\x02\x00\x00\x00UL":
        return data
    start = 144 + int.from_bytes(data[140:144], "little")  # (0002,0000) File Meta Information Group Length
    syntax = read_file_meta_info(path).get("TransferSyntaxUID", "")
    return f"{syntax} ".encode() + data[start:]
