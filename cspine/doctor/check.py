"""One line of a diagnosis: what was looked at, how it is, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from enum import StrEnum

from cspine.core.errors import CSpineError, as_defect

GIB = 2**30


class Readiness(StrEnum):
    """How it is: WARN is slower or less than it could be, FAIL is something without which a run fails."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Diagnosis:
    """One line.

    Parameters
    ----------
    name : str
        What was looked at.
    verdict : Readiness
        How it is.
    text : str
        What was seen.
    advice : str
        What to do; empty where nothing is to be done.
    """

    name: str
    verdict: Readiness
    text: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return the line for machines."""
        return {key: str(value) for key, value in asdict(self).items()}


def ok(name: str, text: str) -> Diagnosis:
    """Return a line about what is as it should be."""
    return Diagnosis(name, Readiness.OK, text)


def warn(name: str, text: str, advice: str) -> Diagnosis:
    """Return a line about what a run can do without."""
    return Diagnosis(name, Readiness.WARN, text, advice)


def fail(name: str, text: str, advice: str) -> Diagnosis:
    """Return a line about what a run cannot do without."""
    return Diagnosis(name, Readiness.FAIL, text, advice)


def looked_at(name: str, look: Callable[[], Diagnosis], advice: str) -> Diagnosis:
    """Return what ``look`` finds; whatever it raises is a failure, for a run would meet the same.

    Parameters
    ----------
    name : str
        What is looked at.
    look : callable
        Looks.
    advice : str
        What to do where it raises; an error of cspine brings its own.
    """
    try:
        return look()
    except CSpineError as error:
        return fail(name, error.message, error.advice)
    except Exception as error:  # a broken library raises anything
        first_line = next(iter(str(error).splitlines()), "")
        return fail(name, f"{type(error).__name__}: {first_line}" if first_line else as_defect(error).message, advice)
