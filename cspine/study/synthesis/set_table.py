"""The table `cases.csv` beside an evaluation set: what each case is, so that failures can be grouped."""

from __future__ import annotations

import csv
from pathlib import Path

from cspine import __version__
from cspine.io.files import write_atomic
from cspine.study.synthesis.evaluation_sets import EDITION

_MADE_BY = f"cspine {__version__}, edition {EDITION}"

Rows = dict[str, dict[str, str]]


def read_table(path: Path) -> Rows:
    """Return the rows, by case, that this version wrote; none where there is no table."""
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as lines:
        return {row["case"]: row for row in csv.DictReader(lines) if row.get("made_by") == _MADE_BY and row.get("case")}


def write_table(path: Path, rows: Rows) -> None:
    """Write the rows in the order of their cases; the file appears when it is whole."""
    ordered = [rows[name] | {"made_by": _MADE_BY} for name in sorted(rows)]

    def save(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as lines:
            writer = csv.DictWriter(lines, fieldnames=list(ordered[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(ordered)

    write_atomic(path, save)
