"""The tables of an evaluation: scores.csv, levels.csv, cases.csv and files.csv; `cspine compare` reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

from cspine.core.anatomy import Vertebra
from cspine.io.tables import number, write_csv
from cspine.study.evaluation.evaluation import CaseResult
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.summaries import METRICS, LevelSummary, Spread, by_subset, summaries
from cspine.study.evaluation.table_columns import FILE_COLUMNS, SCORE_COLUMNS

#: Names of the tables.
TABLES = ("cases.csv", "files.csv", "levels.csv", "scores.csv")

CASE_COLUMNS = (
    "case", "subset", "fold", "mean_dice", "mean_hd95_mm", "mean_assd_mm", "level_accuracy", "identification_rate",
    "wrong_levels", "missed_levels", "false_levels", "findings", "wrong_without_finding", "ok", "error",
)  # fmt: skip
_SPREADS = tuple(field.name for field in fields(Spread))
LEVEL_COLUMNS = (
    "subset", "level", *(f"{metric}_{name}" for metric in METRICS for name in _SPREADS),
    "missed", "false", "vertebrae", "level_accuracy", "identification_rate",
)  # fmt: skip
_DIGITS = 4
#: What `predicted_level` says of a vertebra without a label.
MISSED = "missed"
_ALL = "all"


def write_tables(
    cases: Sequence[EvaluationCase], results: Sequence[CaseResult], levels: Sequence[Vertebra], folder: Path
) -> None:
    """Write the tables; OutputError if that fails.

    Parameters
    ----------
    cases : sequence of EvaluationCase
        The cases.
    results : sequence of CaseResult
        Their results, in the same order, restricted to the levels.
    levels : sequence of Vertebra
        Levels that are compared.
    folder : Path
        Where the tables go.
    """
    write_csv(folder / "scores.csv", SCORE_COLUMNS, [row for result in results for row in _score_rows(result)])
    write_csv(folder / "files.csv", FILE_COLUMNS, [_file_row(case) for case in cases])
    write_csv(folder / "cases.csv", CASE_COLUMNS, [_case_row(result) for result in results])
    subsets = {_ALL: results, **by_subset(results)}
    level_rows = [_level_row(subset, level) for subset, some in subsets.items() for level in summaries(some, levels)]
    write_csv(folder / "levels.csv", LEVEL_COLUMNS, level_rows)


def _score_rows(result: CaseResult) -> list[list[str]]:
    predicted_level = {match.level: match.predicted or MISSED for match in result.matches}
    return [
        [
            result.case,
            score.level,
            result.subset,
            "" if result.fold is None else str(result.fold),
            number(score.dice, _DIGITS),
            number(score.hd95_mm, _DIGITS),
            number(score.assd_mm, _DIGITS),
            number(score.reference_ml, _DIGITS),
            number(score.predicted_ml, _DIGITS),
            number(score.volume_error_ml, _DIGITS),
            predicted_level.get(score.level, ""),
            "" if score.identified is None else _yes(score.identified),
            number(score.centroid_distance_mm, _DIGITS),
            number(score.given_to_neighbour, _DIGITS),
        ]
        for score in result.scores
    ]


def _file_row(case: EvaluationCase) -> list[str]:
    return [
        case.name,
        "" if case.image is None else str(case.image.absolute()),
        str(case.reference.absolute()),
        case.reference_scheme,
        "" if case.prediction is None else str(case.prediction.absolute()),
        case.prediction_scheme,
    ]


def _case_row(result: CaseResult) -> list[str]:
    return [
        result.case,
        result.subset,
        "" if result.fold is None else str(result.fold),
        number(result.mean_dice, _DIGITS),
        number(result.mean_hd95_mm),
        number(result.mean_assd_mm),
        number(result.level_accuracy),
        number(result.identification_rate),
        " ".join(f"{match.level}:{match.predicted}" for match in result.wrong),
        " ".join(match.level for match in result.missed),
        " ".join(result.false),
        "n/a" if result.findings is None else " ".join(result.finding_codes),
        "n/a" if result.silent is None else _yes(result.silent),
        _yes(result.ok),
        result.error,
    ]


def _level_row(subset: str, level: LevelSummary) -> list[str]:
    spreads = [
        str(value) if name == "n" else number(value, _DIGITS)
        for metric in METRICS
        for name, value in zip(_SPREADS, astuple(level.spreads[metric]), strict=True)
    ]
    rates = [number(rate, _DIGITS) for rate in (level.level_accuracy, level.identification_rate)]
    return [subset, level.name, *spreads, str(level.missed), str(level.false), str(level.vertebrae), *rates]


def _yes(value: bool) -> str:
    return "yes" if value else "no"
