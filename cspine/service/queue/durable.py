"""File operations that survive a power cut: their effect is on disk when they return.

Each is atomic: a crash leaves the state before it or the state after it. The spool uses no other operations.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path


def sync_folder(folder: Path) -> None:
    """Flush the directory entries of a folder to disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder whose parent exists, unless it exists already."""
    if not folder.is_dir():
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_folder(folder.parent)


def make_file(path: Path) -> None:
    """Create an empty file, unless it exists already."""
    path.touch(mode=0o600)
    sync_folder(path.parent)


def stage(data: bytes, folder: Path) -> Path:
    """Write bytes to a new temporary file; `move` then gives it its final name.

    Parameters
    ----------
    data : bytes
        Content.
    folder : Path
        Folder for temporary files, on the same file system as the final file.

    Returns
    -------
    Path
        The file; its content is on disk.
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
    """Write or replace a file atomically.

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
    """Rename a file or folder; an existing file of that name is replaced."""
    source.rename(target)
    sync_folder(target.parent)
    if source.parent != target.parent:
        with suppress(FileNotFoundError):  # the folder may have been removed
            sync_folder(source.parent)


def link(source: Path, target: Path) -> None:
    """Create a hard link, unless the target exists already."""
    with suppress(FileExistsError):
        os.link(source, target)
        sync_folder(target.parent)


def remove_file(path: Path) -> None:
    """Remove a file if it exists."""
    path.unlink(missing_ok=True)


def remove_folder(folder: Path, staging: Path) -> None:
    """Remove a folder and its content atomically.

    Parameters
    ----------
    folder : Path
        The folder.
    staging : Path
        Folder for temporary files; it is emptied at the next start.
    """
    trash = staging / uuid.uuid4().hex
    try:
        move(folder, trash)
    except FileNotFoundError:
        return
    shutil.rmtree(trash, ignore_errors=True)


def sync_tree(folder: Path) -> None:
    """Flush every file below a folder to disk."""
    for parent, _, names in os.walk(folder):
        for name in names:
            handle = os.open(Path(parent) / name, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(parent))
    sync_folder(folder.parent)


def tree_bytes(folder: Path) -> int:
    """Return the size of all files below a folder in bytes; hard links count once."""
    sizes: dict[int, int] = {}
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):  # it may have been moved
                status = (Path(parent) / name).stat()
                sizes[status.st_ino] = status.st_size
    return sum(sizes.values())
