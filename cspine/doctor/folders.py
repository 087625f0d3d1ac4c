"""Folders that a run writes to: write and remove a file, and measure the free space."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cspine.doctor.diagnostic import GIB, Diagnostic, Status, ok, warn

_LOW_SPACE_BYTES = GIB


def output_folder(folder: Path) -> Diagnostic:
    """Check that results can be written; the folder itself need not exist yet.

    Parameters
    ----------
    folder : Path
        OUT of a run.
    """
    advice = "Give or mount a folder that this user can write to."
    existing = folder.absolute()
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    return _writable("output folder", existing, Status.FAIL, advice)


def temporary_folder() -> Diagnostic:
    """Check that archives can be unpacked; folders are read in place, so a failure is a warning."""
    advice = "Set TMPDIR to a writable folder, or mount a tmpfs on /tmp: .zip inputs and cohorts need it."
    try:
        folder = Path(tempfile.gettempdir())
    except OSError:
        return Diagnostic("temporary folder", Status.WARN, "no writable folder", advice)
    return _writable("temporary folder", folder, Status.WARN, advice)


def _writable(name: str, folder: Path, status: Status, advice: str) -> Diagnostic:
    try:
        descriptor, path = tempfile.mkstemp(prefix=".cspine-doctor-", dir=folder)
        try:
            os.write(descriptor, b"cspine")
        finally:
            os.close(descriptor)
            Path(path).unlink()
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Diagnostic(name, status, f"not writable by user {os.getuid()}: {error.strerror}", advice)
    text = f"writable, {free / GIB:.1f} GiB free"
    if free < _LOW_SPACE_BYTES:
        return warn(name, text, "Free some space: less than 1 GiB is left.")
    return ok(name, text)
