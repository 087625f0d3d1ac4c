"""Write files and folders atomically, so that they appear when complete or not at all; checksums of files."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib import resources
from pathlib import Path

from cspine.core.errors import OutputError, UsageError


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name beside its target, then rename it.

    Parameters
    ----------
    path : Path
        File to write; its folder is created if it does not exist.
    write : callable
        Called with the temporary path.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left behind.
    """
    partial = path.with_name(f".partial-{path.name}")  # keeps the suffix, from which writers infer the format
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(partial)
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"{path.name} cannot be written: {error.strerror or type(error).__name__}") from error
    finally:
        with suppress(OSError):
            partial.unlink()


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Parameters
    ----------
    path : Path
        The file; it is read in parts.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_ending(path: str | Path, endings: tuple[str, ...]) -> None:
    """Refuse a path whose ending promises another format than the one that is written.

    Parameters
    ----------
    path : str or Path
        File to write.
    endings : tuple of str
        Endings of the format, for example ``(".png",)``.

    Raises
    ------
    UsageError
        If the name has none of them.
    """
    if not Path(path).name.lower().endswith(endings):
        raise UsageError(
            f"{Path(path).name} does not end in {' or '.join(endings)}, the format that is written",
            advice="Change the ending of the file.",
        )


def remove_file(path: Path) -> None:
    """Remove a file, if it exists.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    OutputError
        If it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{path.name} cannot be removed: {error.strerror}") from error


def read_resource(package: str, name: str) -> str:
    """Return the text of a file that is part of a package of cspine.

    Parameters
    ----------
    package : str
        Name of the package, for example ``"cspine.dicom"``.
    name : str
        Name of the file, UTF-8.
    """
    return (resources.files(package) / name).read_text(encoding="utf-8")


def write_folder_atomic(folder: Path, write: Callable[[Path], object]) -> None:
    """Write a folder under a temporary name beside its target, then rename it; an existing folder is replaced.

    Parameters
    ----------
    folder : Path
        Folder to write.
    write : callable
        Called with the temporary path, an empty folder.

    Raises
    ------
    OutputError
        If the folder cannot be written; nothing unfinished is left behind.
    """
    partial = folder.with_name(f".partial-{folder.name}")
    try:
        shutil.rmtree(partial, ignore_errors=True)  # of a call that was killed
        partial.mkdir(parents=True)
        write(partial)
        if folder.exists():
            shutil.rmtree(folder)
        partial.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be written: {error.strerror or type(error).__name__}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
