"""The exclusion file: which cases a research site excludes, and why."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from cspine.core.errors import DatasetError
from cspine.io.documents import DocumentError, read_csv
from cspine.io.tables import write_csv
from cspine.study.datasets.case_table import CaseRow

_COLUMNS = ("case", "reason")
#: Reason that a case gets by itself.
NOTHING_IN_VIEW = "no vertebra of the label set is in view"


def read_exclusions(path: Path) -> dict[str, str]:
    """Return the reasons by case or patient.

    Parameters
    ----------
    path : Path
        CSV file with the columns ``case`` (a case or a patient) and ``reason``.

    Raises
    ------
    DatasetError
        If it cannot be read, or a row has no reason.
    """
    try:
        columns, table = read_csv(path, ragged=True)
    except DocumentError as error:
        raise DatasetError(f"the exclusion file {path.name} {error}") from error
    except OSError as error:
        raise DatasetError(f"the exclusion file {path.name} cannot be read") from error
    if not set(_COLUMNS) <= set(columns):
        raise DatasetError(f"{path.name} needs the columns case and reason")
    rows = [(row["case"].strip(), row.get("reason", "").strip()) for row in table if row.get("case", "").strip()]
    unexplained = [case for case, reason in rows if not reason]
    if unexplained:
        raise DatasetError(
            f"{path.name} gives no reason for {unexplained[0]}", advice="Give the reason for its exclusion."
        )
    return dict(rows)


def excluded(rows: Sequence[CaseRow], reasons: dict[str, str]) -> tuple[list[CaseRow], list[str]]:
    """Return the rows with their reasons for exclusion, and a sentence for each name that no case has.

    A case without a vertebra of the label set is excluded by itself.

    Parameters
    ----------
    rows : sequence of CaseRow
        The cases; an earlier exclusion that the file no longer names is lifted.
    reasons : dict of str to str
        From `read_exclusions`.
    """
    marked = [
        replace(row, excluded=reasons.get(row.case, reasons.get(row.patient, "" if row.levels else NOTHING_IN_VIEW)))
        for row in rows
    ]
    return marked, unknown_names("exclusion", reasons, {row.case for row in rows} | {row.patient for row in rows})


def unknown_names(file: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    """Return a sentence for each name in a file, for example of the exclusions, that no case has.

    Parameters
    ----------
    file : str
        What the sentence calls the file.
    names : iterable of str
        Names in the file.
    known : collection of str
        Names that exist.
    """
    unknown = []
    for name in sorted(set(names) - set(known)):
        near = difflib.get_close_matches(name, known, 1)
        unknown.append(f"the {file} file names {name}, which is not a case" + (f"; {near[0]} is one" if near else ""))
    return unknown


def propose(path: Path, rows: Iterable[CaseRow]) -> int:
    """Write a file that excludes every case with a doubt, to be looked through; return how many it names.

    Parameters
    ----------
    path : Path
        File to write.
    rows : iterable of CaseRow
        Every case of a dataset.
    """
    doubtful = [row for row in rows if row.doubts and row.levels]
    write_csv(path, _COLUMNS, [[row.case, "; ".join(row.doubts)] for row in doubtful])
    return len(doubtful)
