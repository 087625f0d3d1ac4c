"""Folders that `cspine evaluate` wrote, read again: scores.csv, files.csv and summary.json."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from cspine.core.anatomy import vertebra
from cspine.core.errors import ComparisonError
from cspine.io.documents import DocumentError, read_json, refuse_repeated
from cspine.io.output import SUMMARY
from cspine.study.datasets.case_table import Subset
from cspine.study.evaluation.table_columns import COMPARED_COLUMNS, FILE_COLUMNS

SCORES, FILES = "scores.csv", "files.csv"
_AGAIN = "Write the folder again with `cspine evaluate`."

Row = TypeVar("Row")


@dataclass(frozen=True)
class ScoreRow:
    """The scores of a level of a case.

    Parameters
    ----------
    case, level : str
        Name of the case and of the level.
    subset : str
        A `Subset`, or empty where the evaluation had no case table.
    fold : int or None
        Fold that validated a training case.
    dice, hd95_mm, assd_mm : float or None
        Against the reference; None where not defined.
    reference_ml, predicted_ml, volume_error_ml : float or None
        Volumes, and found minus reference.
    """

    case: str
    level: str
    subset: str
    fold: int | None
    dice: float | None
    hd95_mm: float | None
    assd_mm: float | None
    reference_ml: float | None
    predicted_ml: float | None
    volume_error_ml: float | None

    @property
    def in_reference(self) -> bool:
        """Return True where the reference has the level."""
        return bool(self.reference_ml) or bool(self.dice)

    @property
    def in_found(self) -> bool:
        """Return True where the result has the level."""
        return bool(self.predicted_ml) or bool(self.dice)


@dataclass(frozen=True)
class CaseFiles:
    """The files of a case.

    Parameters
    ----------
    case : str
        Its name.
    image : Path or None
        The CT.
    reference : Path
        Label image.
    prediction : Path or None
        Label image; None where there is none.
    reference_scheme, prediction_scheme : str
        How they number the levels.
    """

    case: str
    image: Path | None
    reference: Path
    reference_scheme: str
    prediction: Path | None
    prediction_scheme: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """One folder of `cspine evaluate`: one model on its cases.

    Parameters
    ----------
    folder : Path
        Where it was read.
    title : str
        Name for the reader.
    model : dict or None
        Identity of the model package: name, version, checksum.
    scores : tuple of ScoreRow
        One row per case and level.
    files : dict of str to CaseFiles
        By case; empty where the folder has no files.csv.
    failed : tuple of str
        Cases that the evaluation could not do.
    compared : frozenset of str or None
        Levels that the evaluation is about: without a row, neither image of a case has one of them. None where
        the folder does not say.
    notes : tuple of str
        What the evaluation says of the predictions: notes about leakage.
    """

    folder: Path
    title: str
    model: dict[str, Any] | None
    scores: tuple[ScoreRow, ...]
    files: dict[str, CaseFiles]
    failed: tuple[str, ...] = ()
    compared: frozenset[str] | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def by_case(self) -> dict[str, dict[str, ScoreRow]]:
        """Return the rows by case, then level."""
        found: dict[str, dict[str, ScoreRow]] = {}
        for row in self.scores:
            found.setdefault(row.case, {})[row.level] = row
        return found

    @cached_property
    def levels(self) -> frozenset[str]:
        """Return the levels that have a row."""
        return frozenset(row.level for row in self.scores)


def read_evaluation(folder: Path) -> Evaluation:
    """Read a folder that `cspine evaluate` wrote.

    Parameters
    ----------
    folder : Path
        With scores.csv; files.csv and summary.json are read where they are.

    Raises
    ------
    ComparisonError
        If scores.csv is absent or empty, a file is damaged (the message names it and the line), or the evaluation is
        unfinished.
    """
    if not (folder / SCORES).is_file():
        raise ComparisonError(f"no {SCORES} in {folder}")
    summary = _read_summary(folder / SUMMARY)
    scores = tuple(_read_table(folder / SCORES, COMPARED_COLUMNS, _score))
    if not scores:
        raise ComparisonError(f"{folder / SCORES} has no case")
    _refuse_doubles(folder / SCORES, [f"{row.case} {row.level}" for row in scores])
    rows = list(_read_table(folder / FILES, FILE_COLUMNS, _files)) if (folder / FILES).exists() else []
    _refuse_doubles(folder / FILES, [row.case for row in rows])
    model = summary.get("model")
    errors = summary.get("errors")
    return Evaluation(
        folder=folder,
        title=str(summary.get("title") or folder.resolve().name),
        model=model if isinstance(model, dict) else None,
        scores=scores,
        files={row.case: row for row in rows},
        failed=tuple(sorted(errors)) if isinstance(errors, dict) else (),
        compared=_names(summary, "compared_levels"),
        notes=tuple(sorted(_names(summary, "notes") or ())),
    )


def _names(summary: dict[str, Any], key: str) -> frozenset[str] | None:
    values = summary.get(key)
    return frozenset(map(str, values)) if isinstance(values, list) else None


def _read_summary(path: Path) -> dict[str, Any]:
    try:
        content = read_json(path, allow_nan=True)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ComparisonError(f"{path} cannot be read", advice=_AGAIN) from error
    if not isinstance(content, dict):
        raise ComparisonError(f"{path} is not a summary", advice=_AGAIN)
    if content.get("complete") is False:
        raise ComparisonError(f"the evaluation in {path.parent} is unfinished", advice=_AGAIN)
    return content


def _read_table(path: Path, columns: tuple[str, ...], parse: Callable[[dict[str, str]], Row]) -> Iterator[Row]:
    try:
        with path.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines, strict=True)
            refuse_repeated(reader.fieldnames or ())
            absent = [name for name in columns if name not in (reader.fieldnames or ())]
            if absent:
                raise ComparisonError(f"{path}, line 1: no column {', '.join(absent)}", advice=_AGAIN)
            for row in reader:
                if None in row or None in row.values():
                    raise ComparisonError(f"{path}, line {reader.line_num}: not {len(columns)} values", advice=_AGAIN)
                try:
                    yield parse(row)
                except ValueError as error:
                    raise ComparisonError(f"{path}, line {reader.line_num}: {error}", advice=_AGAIN) from error
    except DocumentError as error:
        raise ComparisonError(f"{path} {error}", advice=_AGAIN) from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ComparisonError(f"{path} cannot be read: {type(error).__name__}", advice=_AGAIN) from error


def _refuse_doubles(path: Path, names: list[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ComparisonError(f"{path} has {name} twice", advice=_AGAIN)
        seen.add(name)


def _score(row: dict[str, str]) -> ScoreRow:
    case, level, subset = row["case"], row["level"], row["subset"]
    if not case:
        raise ValueError("no case")
    try:
        vertebra(level)
    except KeyError as error:
        raise ValueError(f"there is no level {level!r}") from error
    dice = _number(row, "dice", least=0.0)
    if dice is not None and dice > 1:
        raise ValueError(f"dice is {dice:g}, more than 1")
    return ScoreRow(
        case=case,
        level=level,
        subset=Subset(subset).value if subset else "",
        fold=int(row["fold"]) if row["fold"] else None,
        dice=dice,
        hd95_mm=_number(row, "hd95_mm", least=0.0),
        assd_mm=_number(row, "assd_mm", least=0.0),
        reference_ml=_number(row, "reference_ml", least=0.0),
        predicted_ml=_number(row, "predicted_ml", least=0.0),
        volume_error_ml=_number(row, "volume_error_ml"),
    )


def _number(row: dict[str, str], column: str, least: float = -math.inf) -> float | None:
    """Return a number; None for an empty cell, nan and infinity, which all mean: not defined."""
    text = row[column]
    if not text:
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise ValueError(f"{column} is not a number: {text!r}") from error
    if not math.isfinite(value):
        return None
    if value < least:
        raise ValueError(f"{column} is {value:g}, less than {least:g}")
    return value


def _files(row: dict[str, str]) -> CaseFiles:
    if not row["case"]:
        raise ValueError("no case")
    return CaseFiles(
        case=row["case"],
        image=Path(row["image"]) if row["image"] else None,
        reference=Path(row["reference"]),
        reference_scheme=row["reference_scheme"],
        prediction=Path(row["prediction"]) if row["prediction"] else None,
        prediction_scheme=row["prediction_scheme"],
    )
