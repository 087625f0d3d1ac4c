"""Changes on disk that survive a power cut: what these functions have done before they return is there afterwards.

Each is one step: a crash before it leaves the old state, a crash after it the new one. The spool uses no others.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder whose parent exists; nothing happens where it is there already."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def stage(data: bytes, folder: Path) -> Path:
    """Write bytes to a new file of a folder for temporary files; `move` then gives it its name.

    Parameters
    ----------
    data : bytes
        Content.
    folder : Path
        On the same file system as the later place.

    Returns
    -------
    Path
        The file, its content on the disk.
    """
    path = folder / uuid.uuid4().hex
    try:
        with path.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise
    return path


def write(path: Path, data: bytes, staging: Path) -> None:
    """Write a file, or replace it whole.

    Parameters
    ----------
    path : Path
        The file.
    data : bytes
        Its new content.
    staging : Path
        Folder for temporary files.
    """
    move(stage(data, staging), path)


def move(source: Path, target: Path) -> None:
    """Rename a file or a folder; a file of that name is replaced."""
    source.rename(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        with suppress(FileNotFoundError):  # the folder itself may be gone since
            sync_folder(source.parent)


def link(source: Path, target: Path) -> None:
    """Give a file a second name; nothing happens where the name is taken."""
    with suppress(FileExistsError):
        os.link(source, target)
        sync_folder(target.parent)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path, staging: Path) -> None:
    """Remove a folder with all that is in it: it disappears at once, a crash leaves no half of it.

    Parameters
    ----------
    folder : Path
        The folder.
    staging : Path
        Folder for temporary files, which is emptied at the next start.
    """
    grave = staging / uuid.uuid4().hex
    try:
        move(folder, grave)
    except FileNotFoundError:
        return
    shutil.rmtree(grave, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Make every file below a folder durable, written by whomever."""
    for place, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(place) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(place))
    sync_folder(folder.parent)


def tree_bytes(folder: Path) -> int:
    """Return the bytes of all files below a folder, a file with several names once."""
    sizes: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # moved meanwhile
                status = (Path(place) / name).stat()
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())
