"""The studies of a cohort: which ones a folder or a list names, and what tells that their files changed."""

from __future__ import annotations

import csv
import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cspine.core.errors import CohortError

#: Folder in OUT that belongs to the cohort as a whole, so no study can have this name.
OWN = "cohort"
_LONGEST_NAME = 200


@dataclass(frozen=True)
class CohortStudy:
    """One study of the cohort.

    Parameters
    ----------
    name : str
        Name of its folder in OUT; the user's own, so tables show it and log lines do not.
    source : Path
        Its folder or .zip, absolute.

    Raises
    ------
    CohortError
        If no folder in OUT can have the name.
    """

    name: str
    source: Path

    def __post_init__(self) -> None:
        bad = not self.name or self.name.startswith(".") or any(c in "/\\" or not c.isprintable() for c in self.name)
        if bad or len(self.name.encode()) > _LONGEST_NAME:
            raise CohortError(
                "the name of a study is empty, too long, begins with a dot, or has a slash or unprintable characters",
                advice="Rename its folder, or give names in a CSV list with the columns path and name.",
            )
        if self.name == OWN:
            raise CohortError(
                f"a study is called {OWN!r}, which is the folder of the tables in OUT",
                advice="Rename its folder, or give names in a CSV list with the columns path and name.",
            )


def find_studies(source: Path, out: Path) -> tuple[CohortStudy, ...]:
    """Return the studies of a cohort, ordered by name.

    Parameters
    ----------
    source : Path
        A folder with one study a subfolder or .zip; or a list: a .csv with the column ``path`` and, if wanted,
        ``name``, or any other text file with a path a line (``#`` begins a comment). Relative paths of a list count
        from its folder. A study is called as its folder, or as its .zip without the ending.
    out : Path
        The output folder; it may lie within no study, and no study within it.

    Raises
    ------
    CohortError
        If there are no studies, two have one name, the list cannot be read, or input and output overlap.
    """
    try:
        found = _in_folder(source) if source.is_dir() else _in_list(source)
    except OSError as error:
        raise CohortError(f"the input cannot be read: {error.strerror}") from error
    if not found:
        raise CohortError("the input names no study: no subfolder, no .zip, no line of a list")
    _refuse_same_names(found)
    _refuse_overlap(found, out)
    return tuple(sorted(found, key=lambda study: study.name))


def fingerprint(source: Path) -> str:
    """Return a checksum of names, sizes and times of a study's files: it changes when late slices arrive.

    Parameters
    ----------
    source : Path
        Folder or .zip; what is not there has a fingerprint too.
    """
    digest = hashlib.sha256()
    try:
        paths = sorted(path for path in source.rglob("*") if path.is_file()) if source.is_dir() else [source]
        for path in paths:
            state = path.stat()
            digest.update(f"{path.relative_to(source).as_posix()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    except OSError as error:
        digest.update(f"{type(error).__name__}".encode())
    return digest.hexdigest()


def readable(source: Path) -> bool:
    """Tell whether the folder or .zip of a study is there and can be read."""
    return os.access(source, os.R_OK | os.X_OK if source.is_dir() else os.R_OK)


def _in_folder(folder: Path) -> list[CohortStudy]:
    found = []
    for path in sorted(folder.resolve().iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir():
            found.append(CohortStudy(path.name, path.resolve()))
        elif path.suffix.lower() == ".zip":
            found.append(CohortStudy(path.stem, path.resolve()))
    return found


def _in_list(path: Path) -> list[CohortStudy]:
    if not path.is_file():
        raise CohortError("the input is neither a folder nor a list of paths")
    if path.suffix.lower() == ".zip":
        raise CohortError("the input is a .zip", advice="`cspine run` takes one study; a cohort a folder of studies.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CohortError("the list is not UTF-8 text") from error
    rows = _csv_rows(text) if path.suffix.lower() == ".csv" else _lines(text)
    base = path.resolve().parent
    return [_listed(base / place, name) for place, name in rows]


def _listed(place: Path, name: str) -> CohortStudy:
    place = place.resolve()
    return CohortStudy(name or (place.stem if place.suffix.lower() == ".zip" else place.name), place)


def _lines(text: str) -> list[tuple[str, str]]:
    lines = (line.strip() for line in text.splitlines())
    return [(line, "") for line in lines if line and not line.startswith("#")]


def _csv_rows(text: str) -> list[tuple[str, str]]:
    reader = csv.DictReader(io.StringIO(text))
    if "path" not in (reader.fieldnames or ()):
        raise CohortError("the CSV list has no column called 'path' in its first line")
    rows = [((row.get("path") or "").strip(), (row.get("name") or "").strip()) for row in reader]
    for number, (place, _) in enumerate(rows, 1):
        if not place:
            raise CohortError(f"row {number} of the CSV list has no path")
    return rows


def _refuse_same_names(found: Sequence[CohortStudy]) -> None:
    numbers: dict[str, int] = {}
    for number, study in enumerate(found, 1):
        other = numbers.setdefault(study.name, number)
        if other != number:
            raise CohortError(
                f"studies {other} and {number} of the input have one name, so one folder in OUT",
                advice="Give names in a CSV list with the columns path and name.",
            )


def _refuse_overlap(found: Sequence[CohortStudy], out: Path) -> None:
    place = out.resolve()
    for number, study in enumerate(found, 1):
        if place.is_relative_to(study.source) or study.source.is_relative_to(place):
            raise CohortError(
                f"OUT lies within study {number} of the input, or around it",
                advice="Give an output folder beside the input.",
            )
