"""Folders that a run writes to: a file is written and removed, and the space is counted."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from cspine.doctor.check import GIB, Diagnosis, Readiness, ok

_LITTLE_BYTES = GIB


def output_folder(folder: Path) -> Diagnosis:
    """Return whether results can be written; the folder itself need not be there yet.

    Parameters
    ----------
    folder : Path
        OUT of a run.
    """
    advice = "Give a folder that this user may write to, or mount one; a run leaves nothing where it cannot write."
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return _writable("output folder", place, Readiness.FAIL, advice)


def temporary_folder() -> Diagnosis:
    """Return whether archives can be unpacked; folders are read where they lie, so this is no must."""
    advice = "Set TMPDIR to a folder with space, or mount a tmpfs on /tmp: .zip inputs and cohorts need it."
    try:
        place = Path(tempfile.gettempdir())
    except OSError:
        return Diagnosis("temporary folder", Readiness.WARN, "there is none that can be written", advice)
    return _writable("temporary folder", place, Readiness.WARN, advice)


def _writable(name: str, place: Path, verdict: Readiness, advice: str) -> Diagnosis:
    try:
        descriptor, path = tempfile.mkstemp(prefix=".cspine-doctor-", dir=place)
        try:
            os.write(descriptor, b"cspine")
        finally:
            os.close(descriptor)
            Path(path).unlink()
        free = shutil.disk_usage(place).free
    except OSError as error:
        return Diagnosis(name, verdict, f"cannot be written by user {os.getuid()}: {error.strerror}", advice)
    text = f"can be written, {free / GIB:.1f} GiB free"
    return Diagnosis(name, Readiness.WARN, text, "Little space is left.") if free < _LITTLE_BYTES else ok(name, text)
