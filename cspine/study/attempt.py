"""One case of many may fail: which errors end with their case, and which end the complete study."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from cspine.core.errors import CSpineError, OutOfMemoryError, Subject, hashed

_log = logging.getLogger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True)
class Failure:
    """Why a case could not be done.

    Parameters
    ----------
    text : str
        Code and message; it may name the case's files, so it stands in tables and no log line.
    """

    text: str


def attempt(case: str, work: Callable[[], Result]) -> Result | Failure:
    """Do a case; where its files, labels, grid or the network fail, report it and continue with the others.

    Parameters
    ----------
    case : str
        Its name, hashed in the log.
    work : callable
        Does it.

    Returns
    -------
    What ``work`` returns, or a Failure. The error itself, which keeps the case's images in memory, is let go.

    Raises
    ------
    CSpineError
        What would fail for every case: model, device, output, settings.
    """
    try:
        return work()
    except CSpineError as error:
        if error.subject is Subject.SYSTEM:
            raise
        failed = error
    except MemoryError:
        failed = OutOfMemoryError("out of memory")
    _log.warning("case %s failed: %s", hashed(case), failed.code)
    return Failure(str(failed))
