"""Errors of the selection of a series (CS-SEL)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class NoSuitableSeriesError(CSpineError):
    """No series meets the selection rules."""

    code = "CS-SEL-001"
    exit_code = 4
    subject = Subject.IMAGES
    advice = "Run `cspine series DIR` to see why each series was rejected; override with `series_uid` or `rules`."


class UnknownSeriesError(NoSuitableSeriesError):
    """The requested series is not in the input."""

    code = "CS-SEL-002"
    advice = "Run `cspine series DIR` to list the series of the input."
