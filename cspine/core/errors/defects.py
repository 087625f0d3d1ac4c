"""Unexpected exceptions as errors of cspine."""

from __future__ import annotations

import traceback
from pathlib import Path

from cspine.core.errors.base import CSpineError
from cspine.core.errors.system import system_limit


def as_defect(error: Exception) -> CSpineError:
    """Return an error that can be shown for an unexpected exception: its type and where it was raised, not its text.

    The text of another library's exception may quote values of a header. What the operating system refuses is no defect
    of cspine, and has its own error.

    Parameters
    ----------
    error : Exception
        Any exception; a `CSpineError` is returned unchanged.
    """
    if isinstance(error, CSpineError):
        return error
    limit = system_limit(error)
    if limit is not None:
        return limit
    package = f"{Path(__file__).parents[2]}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if package in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return CSpineError(f"{type(error).__name__}{where}")
