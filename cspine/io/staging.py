"""Folders for unfinished work: private, and removed by a later call where a killed one left them."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

#: A folder has a file of this name while what is in it is moved to its place.
MOVING = "moving"
#: A folder of this age without a lock was left behind; a younger one may be about to be locked.
_MIN_AGE_S = 60.0


@contextmanager
def staging_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Yield a new folder that only this user can read, locked while it is used, and remove it afterwards.

    Folders of the same kind that were left behind by calls that were killed are removed first.

    Parameters
    ----------
    parent : Path
        An existing folder.
    prefix : str
        Start of the name, which no other kind of folder in ``parent`` has.

    Raises
    ------
    OSError
        If the folder cannot be made.
    """
    remove_abandoned(parent, prefix)
    folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    descriptor = _locked(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if descriptor is not None:
            os.close(descriptor)


def remove_abandoned(parent: Path, prefix: str, *, restore: Callable[[Path], object] | None = None) -> None:
    """Remove the folders of a kind that no process has locked and that this user owns.

    Parameters
    ----------
    parent, prefix : Path, str
        As of `staging_folder`.
    restore : callable, optional
        Called with each such folder that has a file `MOVING`, before it is removed: puts back what was moved.

    Raises
    ------
    OSError
        If ``restore`` raises it; the folder is kept.
    """
    for folder in parent.glob(f"{prefix}*"):
        if not _is_ours(folder):
            continue
        was_moving = restore is not None and (folder / MOVING).exists()
        if not was_moving and time.time() - folder.lstat().st_mtime <= _MIN_AGE_S:
            continue
        descriptor = _locked(folder)
        if descriptor is None:
            continue
        try:
            if restore is not None and was_moving:
                restore(folder)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(descriptor)


def _is_ours(folder: Path) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    is_ours = not hasattr(os, "geteuid") or status.st_uid == os.geteuid()
    return is_ours and folder.is_dir() and not folder.is_symlink()


def _locked(folder: Path) -> int | None:
    """Return the descriptor that locks a folder; None if it is locked, or its file system has no such locks."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        with suppress(OSError):
            if filelock.lock_descriptor(descriptor, blocking=False):
                return descriptor
        os.close(descriptor)
    return None
