"""Open an input for the scan: a folder, or a zip archive unpacked into a temporary folder."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cspine.core.errors import InputError, UnreadableArchiveError
from cspine.io.archives import unpack
from cspine.io.foreign import require_possible_path
from cspine.io.staging import staging_folder


@contextmanager
def open_input(path: Path) -> Iterator[Path]:
    """Yield the folder with the files of an input: the folder itself, or a temporary one for a zip archive.

    Parameters
    ----------
    path : Path
        A folder or a ``.zip`` file.

    Yields
    ------
    Path
        The folder; a temporary one is removed afterwards.

    Raises
    ------
    InputError
        If the path is neither.
    UnreadableArchiveError
        If the archive is damaged, encrypted or too large for the free space, or would unpack outside its folder.
    """
    require_possible_path(path)
    if path.is_dir():
        yield path
    elif path.is_file() and zipfile.is_zipfile(path):
        with staging_folder(Path(tempfile.gettempdir()), "cspine-zip-") as folder:
            unpack(path, folder)
            yield folder
    elif path.is_file() and path.suffix.lower() == ".zip":
        raise UnreadableArchiveError("the archive is damaged: its directory is missing")
    else:
        raise InputError(
            "the input is neither a folder nor a .zip file" if path.exists() else "the input does not exist"
        )
