"""The boundary to files from outside: what they make a library raise is their damage, not a defect of cspine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cspine.core.errors import CSpineError


@contextmanager
def foreign_file(error: Callable[[str], CSpineError]) -> Iterator[None]:
    """Raise the error of a damaged file for any exception that reading it raises.

    Errors of cspine pass unchanged. The text of the exception is left out, because it may quote values of the file.

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
    cspine.core.errors.InputError: [CS-IN-001] scan.dcm cannot be read (ValueError)
    """
    try:
        yield
    except CSpineError:
        raise
    except Exception as cause:
        raise error(type(cause).__name__) from cause
