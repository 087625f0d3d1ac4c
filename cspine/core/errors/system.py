"""What the operating system refuses (CS-SYS), as errors of cspine."""

from __future__ import annotations

import errno

from cspine.core.errors.base import CSpineError
from cspine.core.errors.inference import OutOfMemoryError
from cspine.core.errors.results import OutputError


class SystemLimitError(CSpineError):
    """The operating system refuses a thread, a process, an open file, or a path of this length.

    Parameters
    ----------
    message : str
        What was refused.
    advice : str, optional
        How to get it; about threads and processes if omitted.
    """

    code = "CS-SYS-001"
    exit_code = 20
    advice = "Raise the limit of threads and processes (ulimit -u, --pids-limit of a container), or end other programs."

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)


class ProcessStartError(SystemLimitError):
    """No process that was started for a task came to work."""

    code = "CS-SYS-002"
    advice = (
        'In a script, call cspine under `if __name__ == "__main__":`, since every process imports the script first, or '
        "use `jobs` 1; else free memory."
    )


_SYSTEM_LIMITS: dict[int, tuple[str] | tuple[str, str]] = {
    errno.EAGAIN: ("no further process can be started",),
    errno.EMFILE: ("no further file can be opened", "Raise the limit of open files of this user: ulimit -n."),
    errno.ENFILE: ("no further file can be opened", "The machine has too many open files: end other programs."),
    errno.ENOMEM: (
        "the system refuses memory",
        "End other programs, or raise the limit of memory.",
    ),
    errno.ENAMETOOLONG: ("a path is too long", "Use a shorter path: a name may have 255 bytes, a path 4095."),
}


def system_limit(error: BaseException) -> CSpineError | None:
    """Return the error for an exception by which the operating system refuses a resource, or None for any other.

    Parameters
    ----------
    error : BaseException
        As Python or a library raises it.
    """
    if isinstance(error, MemoryError):
        return OutOfMemoryError("memory was refused")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return SystemLimitError("no further thread can be started")
    if isinstance(error, OSError) and error.errno in _SYSTEM_LIMITS:
        return SystemLimitError(*_SYSTEM_LIMITS[error.errno])
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError("the disk is full")
    return None
