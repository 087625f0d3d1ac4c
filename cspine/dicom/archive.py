"""Open an input for the scan: a folder as it is, a zip archive unpacked into a temporary folder."""

from __future__ import annotations

import shutil
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspine.errors import InputError, UnreadableArchiveError, hashed


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Give the folder that holds the files of an input: itself, or a temporary one with what a zip archive contains.

    Parameters
    ----------
    path : Path
        A folder, or a ``.zip``.

    Yields
    ------
    Path
        A folder; one made for an archive is gone afterwards.

    Raises
    ------
    InputError
        If the path is neither.
    UnreadableArchiveError
        If the archive is damaged, encrypted, larger than the free space, or unpacks outside its folder.
    """
    if path.is_dir():
        yield path
    elif path.is_file() and zipfile.is_zipfile(path):
        with tempfile.TemporaryDirectory(prefix="cspine-") as folder:
            _unpack(path, Path(folder))
            yield Path(folder)
    elif path.is_file() and path.suffix.lower() == ".zip":
        raise UnreadableArchiveError("the archive is damaged: it has no directory of its contents")
    else:
        raise InputError("the input is neither a folder nor a .zip" if path.exists() else "the input does not exist")


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(archive) as zipped:
            members = [m for m in zipped.infolist() if not m.is_dir()]
            for member in members:
                _guard(member, folder)
            size = sum(m.file_size for m in members)
            if size > shutil.disk_usage(folder).free:
                raise UnreadableArchiveError(f"the archive holds {size / 2**20:.0f} MiB, more than the free space")
            for member in members:
                zipped.extract(member, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise UnreadableArchiveError(f"the archive cannot be unpacked ({type(error).__name__})") from error


def _guard(member: zipfile.ZipInfo, folder: Path) -> None:
    name = member.filename.replace("\\", "/")
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()) or ".." in name.split("/"):
        raise UnreadableArchiveError(f"a member of the archive ({hashed(name)}) would be written outside its folder")
    if stat.S_ISLNK(member.external_attr >> 16):
        raise UnreadableArchiveError(f"a member of the archive ({hashed(name)}) is a link")
    if member.flag_bits & 0x1:
        raise UnreadableArchiveError("the archive is encrypted")
