"""Write files and folders atomically, so that they appear when complete or not at all; checksums of files."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from glob import escape
from importlib import resources
from pathlib import Path

from cspine.core.errors import OutputError, UsageError

#: Unfinished files of this age are those of calls that were killed.
_ABANDONED_S = 3600.0


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under a temporary name of its own beside its target, then rename it.

    Two processes that write the same file do not disturb each other: the last to finish has written it.

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
    partial = _beside(path, "partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left in _abandoned(path, "partial"):
            left.unlink(missing_ok=True)
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
    """Write a folder under a temporary name of its own beside its target, then rename it.

    An existing folder is replaced; one that a call was killed in the midst of replacing is put back first.

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
    partial, replaced = _beside(folder, "partial"), _beside(folder, "replaced")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        for left in sorted(_abandoned(folder, "replaced"), key=lambda path: path.stat().st_mtime, reverse=True):
            if folder.exists():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.rename(folder)
        for left in _abandoned(folder, "partial"):
            shutil.rmtree(left, ignore_errors=True)
        partial.mkdir()
        write(partial)
        if folder.exists():
            folder.rename(replaced)
        partial.rename(folder)
    except OSError as error:
        raise OutputError(f"{folder.name} cannot be written: {error.strerror or type(error).__name__}") from error
    finally:
        if replaced.exists() and not folder.exists():
            replaced.rename(folder)
        for path in (partial, replaced):
            shutil.rmtree(path, ignore_errors=True)


def _beside(path: Path, kind: str) -> Path:
    """Return a new hidden name beside a path; it keeps the suffix, from which writers infer the format."""
    return path.with_name(f".{kind}-{secrets.token_hex(4)}-{path.name}")


def _abandoned(path: Path, kind: str) -> list[Path]:
    """Return what calls that were killed left beside a path."""
    found = []
    for left in path.parent.glob(f".{kind}-{'[0-9a-f]' * 8}-{escape(path.name)}"):
        with suppress(OSError):
            if kind == "replaced" or time.time() - left.stat().st_mtime > _ABANDONED_S:
                found.append(left)
    return found
