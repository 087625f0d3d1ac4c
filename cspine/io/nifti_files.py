"""Names of NIfTI files in folders; `cspine.io.nifti` reads them, for which it needs SimpleITK."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cspine.io.tables import counted

#: How the names of the NIfTI files end that cspine reads and writes.
ENDING = ".nii.gz"


def files_in(folder: Path) -> list[Path]:
    """Return the NIfTI files of a folder by name; hidden ones (unfinished, or made by a file manager) are none."""
    return sorted(path for path in folder.glob(f"*{ENDING}") if not path.name.startswith("."))


def uncompressed(folders: Iterable[Path | None]) -> list[str]:
    """Return a sentence for each folder with NIfTI files that are not compressed, and so are not read.

    Parameters
    ----------
    folders : iterable of Path or None
        Folders to look into; None and folders that do not exist are omitted.
    """
    told = []
    for folder in dict.fromkeys(place for place in folders if place is not None):
        count = sum(not path.name.startswith(".") for path in folder.glob("*.nii")) if folder.is_dir() else 0
        if count:
            told.append(f"{counted(count, 'file')} *.nii in {folder.name} not read: compress them, for example by gzip")
    return told


def nifti_stem(path: Path) -> str:
    """Return the name of a NIfTI file without its ending."""
    return path.name.removesuffix(ENDING)
