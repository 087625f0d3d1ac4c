"""The boundary to files from outside: what they make a library raise is their damage, not a defect of cspine."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cspine.core.errors import CSpineError, OutOfMemoryError, OutputError, SystemLimitError, system_limit


@contextmanager
def foreign_file(error: Callable[[str], CSpineError]) -> Iterator[None]:
    """Raise the error of a damaged file for any exception that reading it raises.

    Errors of cspine pass unchanged, and what the operating system refuses is no damage. The text of the exception is
    omitted, because it may quote values of the file.

    Parameters
    ----------
    error : callable
        Returns the error to raise; gets the name of the exception's type.

    Examples
    --------
    >>> from cspine.core.errors import InputError
    >>> with foreign_file(lambda kind: InputError(f"scan.dcm cannot be read ({kind})")):
    ...     int("not a number")
    Traceback (most recent call last):
    cspine.core.errors.source.InputError: [CS-IN-001] scan.dcm cannot be read (ValueError)
    """
    try:
        yield
    except CSpineError:
        raise
    except Exception as cause:
        raise_system_limit(cause)
        raise error(type(cause).__name__) from cause


def raise_system_limit(cause: Exception, *, memory: bool = False) -> None:
    """Raise the error of a limit of the operating system, which no file is to blame for; do nothing for other causes.

    A file that asks for more memory than there is, is damaged.

    Parameters
    ----------
    cause : Exception
        As a library raised it.
    memory : bool
        True where no content can ask for much memory, so that memory which is refused is that of the machine.

    Raises
    ------
    SystemLimitError, OutputError
        If the operating system refuses a resource; a name that is too long is the file's own.
    OutOfMemoryError
        With ``memory``, if memory is refused.
    """
    if isinstance(cause, (SystemLimitError, OutputError)):  # as an inner call of this function raised it
        raise cause
    limit = system_limit(cause)
    if memory and isinstance(limit, OutOfMemoryError):
        raise limit from cause
    too_long = isinstance(cause, OSError) and cause.errno == errno.ENAMETOOLONG  # a name within an archive
    if isinstance(limit, (SystemLimitError, OutputError)) and not too_long:
        raise limit from cause


def require_possible_path(path: Path) -> None:
    """Raise SystemLimitError for a path that the file system cannot have, which Python would raise OSError for.

    Parameters
    ----------
    path : Path
        A path that need not exist.
    """
    try:
        path.stat()
    except OSError as error:
        limit = system_limit(error)
        if limit is not None:
            raise limit from error
    except ValueError as error:
        raise SystemLimitError("a path contains a null character", "Use a path without control characters.") from error
