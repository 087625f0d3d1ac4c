"""Texts of DICOM objects that have to fit a Long String (LO) of 64 characters (PS3.5 6.2)."""

from __future__ import annotations

from collections.abc import Sequence

from cspine.core.volumes import ModelIdentity

_LONG_STRING = 64


def long_string(text: str, end: str = "") -> str:
    """Return a text that fits a Long String; what is too long is cut before its end.

    Parameters
    ----------
    text : str
        The text.
    end : str
        What follows it, and is never cut.

    Examples
    --------
    >>> long_string("neck", " (DEMONSTRATION)")
    'neck (DEMONSTRATION)'
    >>> long_string(80 * "x", " (DEMONSTRATION)")[-20:]
    'x... (DEMONSTRATION)'
    """
    room = _LONG_STRING - len(end)
    return (text if len(text) <= room else text[: room - 3] + "...") + end


def series_title(levels: Sequence[str]) -> str:
    """Return what the description of a series of these levels begins with.

    Parameters
    ----------
    levels : sequence of str
        Names of the levels from head to foot, at least one.
    """
    return f"Vertebrae {levels[0]}-{levels[-1]}" if len(levels) > 1 else f"Vertebra {levels[0]}"


def series_description(title: str, model: ModelIdentity | None, remark: str = "") -> str:
    """Return (0008,103E) *Series Description* of an object of a run.

    Parameters
    ----------
    title : str
        What the object shows.
    model : ModelIdentity or None
        The model that the result comes from: a demonstration is marked as such, however long the title is.
    remark : str
        What a reader of the list of series must know first; empty for nothing.
    """
    mark = " DEMONSTRATION" if model and model.demonstration else ""
    return long_string(f"{remark}: {title}" if remark else title, f" (cspine){mark}")
