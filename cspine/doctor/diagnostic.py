"""One diagnostic: what was checked, its status, and advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from cspine.core.errors import CSpineError, as_defect

GIB = 2**30


class Status(StrEnum):
    """Status of a diagnostic: WARN means slow or limited runs, FAIL means that a run would fail."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Diagnostic:
    """The result of one check.

    Parameters
    ----------
    name : str
        What was checked.
    status : Status
        Status.
    text : str
        What was observed.
    advice : str
        What to do; empty if there is nothing to do.
    """

    name: str
    status: Status
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the diagnostic as JSON-compatible values."""
        return {key: str(value) for key, value in asdict(self).items()}


def ok(name: str, text: str) -> Diagnostic:
    """Return a diagnostic with status OK."""
    return Diagnostic(name, Status.OK, text)


def warn(name: str, text: str, advice: str) -> Diagnostic:
    """Return a diagnostic with status WARN."""
    return Diagnostic(name, Status.WARN, text, advice)


def fail(name: str, text: str, advice: str) -> Diagnostic:
    """Return a diagnostic with status FAIL."""
    return Diagnostic(name, Status.FAIL, text, advice)


def run_check(name: str, check: Callable[[], Diagnostic], advice: str) -> Diagnostic:
    """Return the result of ``check``; an exception becomes a failure, because a run would meet it too.

    Parameters
    ----------
    name : str
        What is checked.
    check : callable
        Returns the diagnostic.
    advice : str
        What to do if it raises; an error of cspine has its own advice.
    """
    try:
        return check()
    except CSpineError as error:
        return fail(name, error.message, error.advice)
    except Exception as error:  # a broken library raises anything
        first_line = next(iter(str(error).splitlines()), "")
        return fail(name, f"{type(error).__name__}: {first_line}" if first_line else as_defect(error).message, advice)
