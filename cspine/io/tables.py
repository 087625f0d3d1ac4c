"""Write tables and summaries as CSV and JSON files, atomically."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cspine.io.files import write_atomic


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV file; raise OutputError if it cannot be written.

    Parameters
    ----------
    path : Path
        File to write.
    columns : sequence of str
        Names of the columns.
    rows : iterable of sequence of str
        The rows.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_atomic(path, lambda partial: partial.write_text(text.getvalue(), encoding="utf-8"))


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file.

    Parameters
    ----------
    path : Path
        File to write; it appears when it is complete.
    content : dict
        What it contains; numbers that are not finite are written as Python's `json` does.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as text for a table, empty for None.

    Parameters
    ----------
    value : float or None
        The number.
    digits : int
        Digits behind the point.
    """
    return "" if value is None else f"{value:.{digits}f}"


def counted(count: int, one: str, many: str = "") -> str:
    """Return a count with its noun.

    Parameters
    ----------
    count : int
        The number.
    one : str
        The noun for one.
    many : str
        The noun for any other number; that for one with an s if empty.

    Examples
    --------
    >>> counted(1, "case"), counted(2, "case"), counted(2, "study", "studies")
    ('1 case', '2 cases', '2 studies')
    """
    return f"{count} {one if count == 1 else many or one + 's'}"


def duration(seconds: float) -> str:
    """Return a duration as text.

    Parameters
    ----------
    seconds : float
        The duration; it is rounded to seconds below 90 s, and to minutes above.

    Examples
    --------
    >>> duration(40), duration(720), duration(12000)
    ('40 s', '12 min', '3 h 20 min')
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
