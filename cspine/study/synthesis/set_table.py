"""The table `cases.csv` beside an evaluation set: what each case is, so that failures can be grouped."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

from cspine import __version__
from cspine.io.documents import read_csv
from cspine.io.files import write_atomic
from cspine.study.synthesis.evaluation_sets import EDITION
from cspine.study.synthesis.neck.case import EDITION as NECK_EDITION
from cspine.study.synthesis.set_names import ARTICULATED

Rows = dict[str, dict[str, str]]


def _made_by(row: Mapping[str, str]) -> str:
    """Return what makes a row's case: figures of different ones do not compare."""
    edition = f"{EDITION}.{NECK_EDITION}" if row.get("set") in ARTICULATED else f"{EDITION}"
    return f"cspine {__version__}, edition {edition}"


def read_table(path: Path) -> Rows:
    """Return the rows, by case, that this version wrote; none where there is no table."""
    if not path.is_file():
        return {}
    try:
        rows = read_csv(path)[1]
    except ValueError:
        return {}  # the cases are made again
    return {row["case"]: row for row in rows if row.get("made_by") == _made_by(row) and row.get("case")}


def write_table(path: Path, rows: Rows) -> None:
    """Write the rows in the order of their cases; the file appears when it is complete."""
    ordered = [rows[name] | {"made_by": _made_by(rows[name])} for name in sorted(rows)]

    def save(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(ordered[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(ordered)

    write_atomic(path, save)
