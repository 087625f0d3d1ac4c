"""The studies of a cohort: find them in a folder or a list, and detect changes of their files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import CohortError
from cspine.io.documents import DocumentError, read_csv

#: Folder in OUT for tables and records; no study can have this name.
COHORT_FOLDER = "cohort"
_MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class CohortStudy:
    """One study of the cohort.

    Parameters
    ----------
    name : str
        Name of its folder in OUT, chosen by the user: tables contain it, logs do not.
    source : Path
        Its folder or .zip, absolute.

    Raises
    ------
    CohortError
        If the name is not a valid folder name.
    """

    name: str
    source: Path

    def __post_init__(self) -> None:
        bad = not self.name or self.name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in self.name)
        if bad or len(self.name.encode()) > _MAX_NAME_BYTES:
            raise CohortError(
                "a study name is empty, too long, starts with a dot, or contains a slash or unprintable characters",
                advice="Rename the folder, or give names in a CSV list with the columns path and name.",
            )
        if self.name == COHORT_FOLDER:
            raise CohortError(
                f"a study is named {COHORT_FOLDER!r}, which is the folder of the tables in OUT",
                advice="Rename the folder, or give names in a CSV list with the columns path and name.",
            )


def find_studies(source: Path, out: Path) -> tuple[CohortStudy, ...]:
    """Return the studies of a cohort, ordered by name.

    Parameters
    ----------
    source : Path
        A folder with one study per subfolder or .zip; or a list: a .csv with the column ``path`` and optionally
        ``name``, or a text file with one path per line (a line that begins with ``#`` is a comment). Relative paths are
        relative to the folder of the list. The default name is that of the folder, or of the .zip without its
        extension.
    out : Path
        The output folder; it must not overlap with any study.

    Raises
    ------
    CohortError
        If there are no studies, names are not unique, the list cannot be read, or input and output overlap.
    """
    try:
        found = _in_folder(source) if source.is_dir() else _in_list(source)
    except OSError as error:
        raise CohortError(f"cannot read the input: {error.strerror}") from error
    if not found:
        raise CohortError("the input contains no study: no subfolder, .zip, or line of a list")
    _refuse_same_names(found)
    _refuse_overlap(found, out)
    return tuple(sorted(found, key=lambda study: study.name))


def count_other_entries(source: Path) -> int:
    """Return the number of entries of an input folder that are no studies, such as loose files; 0 for a list.

    Raises
    ------
    CohortError
        If the folder cannot be read.
    """
    try:
        return sum(not _is_study(path) for path in _entries(source)) if source.is_dir() else 0
    except OSError as error:
        raise CohortError(f"cannot read the input: {error.strerror}") from error


def is_readable(source: Path) -> bool:
    """Return whether the folder or .zip of a study exists and is readable."""
    return os.access(source, os.R_OK | os.X_OK if source.is_dir() else os.R_OK)


def _entries(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.resolve().iterdir()) if not path.name.startswith(".")]


def _is_study(path: Path) -> bool:
    return path.is_dir() or path.suffix.lower() == ".zip"


def _in_folder(folder: Path) -> list[CohortStudy]:
    studies = (path for path in _entries(folder) if _is_study(path))
    return [CohortStudy(path.name if path.is_dir() else path.stem, path.resolve()) for path in studies]


def _in_list(path: Path) -> list[CohortStudy]:
    if not path.is_file():
        raise CohortError("the input is neither a folder nor a list of paths")
    if path.suffix.lower() == ".zip":
        raise CohortError(
            "the input is a .zip", advice="Use `cspine run` for one study; a cohort needs a folder of studies."
        )
    try:
        rows = _csv_rows(path) if path.suffix.lower() == ".csv" else _lines(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise CohortError("the list is not UTF-8 text") from error
    except DocumentError as error:
        raise CohortError(f"the list {error}") from error
    base = path.resolve().parent
    return [_listed(base / entry, name) for entry, name in rows]


def _listed(source: Path, name: str) -> CohortStudy:
    source = source.resolve()
    return CohortStudy(name or (source.stem if source.suffix.lower() == ".zip" else source.name), source)


def _lines(text: str) -> list[tuple[str, str]]:
    lines = (line.strip() for line in text.splitlines())
    return [(line, "") for line in lines if line and not line.startswith("#")]


def _csv_rows(path: Path) -> list[tuple[str, str]]:
    columns, table = read_csv(path, ragged=True)
    if "path" not in columns:
        raise CohortError("the CSV list has no column 'path'")
    rows = [(row.get("path", "").strip(), row.get("name", "").strip()) for row in table]
    for number, (entry, _) in enumerate(rows, 1):
        if not entry:
            raise CohortError(f"row {number} of the CSV list has no path")
    return rows


def _refuse_same_names(found: Sequence[CohortStudy]) -> None:
    numbers: dict[str, int] = {}
    for number, study in enumerate(found, 1):
        other = numbers.setdefault(study.name, number)
        if other != number:
            raise CohortError(
                f"studies {other} and {number} of the input have the same name",
                advice="Give names in a CSV list with the columns path and name.",
            )


def _refuse_overlap(found: Sequence[CohortStudy], out: Path) -> None:
    target = out.resolve()
    for number, study in enumerate(found, 1):
        if target.is_relative_to(study.source) or study.source.is_relative_to(target):
            raise CohortError(
                f"OUT overlaps with study {number} of the input",
                advice="Give an output folder outside the input.",
            )
