"""Open an input for the scan: a folder as it is, a zip archive unpacked into a temporary folder."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspine.core.errors import InputError, UnreadableArchiveError
from cspine.io.archives import unpack


@contextmanager
def open_input(path: Path) -> Iterator[Path]:
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
            unpack(path, Path(folder))
            yield Path(folder)
    elif path.is_file() and path.suffix.lower() == ".zip":
        raise UnreadableArchiveError("the archive is damaged: it has no directory of its contents")
    else:
        raise InputError("the input is neither a folder nor a .zip" if path.exists() else "the input does not exist")
