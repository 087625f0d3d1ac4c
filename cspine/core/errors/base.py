"""The root of the error tree, and what an error can be about."""

from __future__ import annotations

from enum import StrEnum


class Subject(StrEnum):
    """What an error is about, which decides who can help: another try, another case, or nothing but another input."""

    SYSTEM = "system"
    """Settings, models, devices, disks: every other case would fail as well."""

    CASE = "case"
    """The computation of one case: other cases, and another try, may succeed."""

    FILES = "files"
    """Files of the input, which cannot be read or used: another try gives the same."""

    IMAGES = "images"
    """Images that were read: their series, geometry, pixels or anatomy. Another try gives the same."""


class CSpineError(Exception):
    """An unexpected error occurred.

    It is the root of the tree. ``code`` is stable over releases, ``exit_code`` is what the process returns, and
    ``subject`` is what errors of the class are about.

    Parameters
    ----------
    message : str
        What happened, with the numbers.
    advice : str, optional
        What to do next; the class's own advice if omitted. Here and in the message, a setting is named as in Python and
        in backticks, for example `device`; the command line shows its option instead.
    """

    code: str = "CS-INT-001"
    exit_code: int = 1
    subject: Subject = Subject.SYSTEM
    advice: str = "This is a bug in cspine. Please report it together with the log."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    @property
    def is_about_input(self) -> bool:
        """True where the input must change before another try can succeed."""
        return self.subject in (Subject.FILES, Subject.IMAGES)
