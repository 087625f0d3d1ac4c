"""What kind of input a path is, found out before any library of images is loaded."""

from __future__ import annotations

import zipfile
from enum import StrEnum
from pathlib import Path

from cspine.core.errors import InputError, UnreadableArchiveError
from cspine.io.foreign import require_possible_path

_NIFTI = (".nii", ".nii.gz")


class SourceKind(StrEnum):
    """Kind of an input."""

    DICOM = "DICOM"
    NIFTI = "NIfTI"


def kind_of_source(path: Path) -> SourceKind:
    """Return what kind of input a path is.

    Parameters
    ----------
    path : Path
        A folder, a .zip, or a NIfTI file.

    Raises
    ------
    InputError
        If it does not exist, or is neither a folder, nor a zip archive, nor a NIfTI file by its name.
    UnreadableArchiveError
        If it is called a zip archive and is none.
    """
    require_possible_path(path)
    if path.is_dir():
        return SourceKind.DICOM
    if not path.exists():
        raise InputError("the input does not exist")
    if not path.is_file():
        raise InputError("the input is a pipe, a socket or a device")
    if path.name.lower().endswith(_NIFTI):
        return SourceKind.NIFTI
    if zipfile.is_zipfile(path):
        return SourceKind.DICOM
    if path.suffix.lower() == ".zip":
        raise UnreadableArchiveError("the archive is damaged: it has no directory of its contents")
    raise InputError("the input is neither a folder, nor a .zip, nor a NIfTI file")
