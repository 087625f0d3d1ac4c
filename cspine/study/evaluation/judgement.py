"""The figures by which a model is judged on a set of cases, from an evaluation's tables, and models side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cspine.core.errors import InputError
from cspine.io.documents import read_csv
from cspine.io.tables import number
from cspine.study.evaluation.evaluation import LEVEL_FINDINGS
from cspine.study.evaluation.metrics import MIN_REFERENCE_ML
from cspine.study.evaluation.summaries import spread


@dataclass(frozen=True)
class Expectations:
    """The table of the cases of a set.

    Parameters
    ----------
    subject : mapping of str to str
        Whose image each case is; a case of no other subject is its own.
    expected : mapping of str to frozenset of str
        Levels that must be found; all levels of the reference for a case that is absent.
    """

    subject: Mapping[str, str] = field(default_factory=dict)
    expected: Mapping[str, frozenset[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class LevelFigures:
    """A level, or all of them together (``"all"``).

    Parameters
    ----------
    dice, lowest_dice, hd95_mm : float or None
        Mean and lowest Dice, mean HD95.
    neighbour_median, neighbour_p95 : float or None
        Share of a vertebra given to a neighbour.
    """

    dice: float | None
    lowest_dice: float | None
    hd95_mm: float | None
    neighbour_median: float | None
    neighbour_p95: float | None


@dataclass(frozen=True)
class Figures:
    """A model on a set.

    Parameters
    ----------
    set_name, model : str
        Which.
    cases, failed : int
        How many cases, and how many of them could not be done.
    subjects : int
        How many subjects they are of.
    subjects_right : float or None
        Share of the subjects all of whose cases have every level right: no wrong level, no expected level missed, no
        level predicted that the reference lacks (of 0.5 ml or more).
    silent : int or None
        Cases with a wrong level, or one that the reference lacks, and no finding about levels; None where no findings
        are known.
    levels : mapping of str to LevelFigures
        By level, head to foot, and ``"all"``.
    """

    set_name: str
    model: str
    cases: int
    failed: int
    subjects: int
    subjects_right: float | None
    silent: int | None
    levels: Mapping[str, LevelFigures]

    def as_json(self) -> dict[str, Any]:
        """Return the figures as plain values."""
        return asdict(self)


def read_expectations(path: Path) -> Expectations:
    """Read the table of a set or of a dataset (`cases.csv`); without one every case is its own subject.

    Parameters
    ----------
    path : Path
        The table; it need not exist.
    """
    if not path.is_file():
        return Expectations()
    rows = _rows(path)
    return Expectations(
        {row["case"]: whose for row in rows if (whose := row.get("subject") or row.get("patient"))},
        {row["case"]: frozenset(row["expected"].split()) for row in rows if row.get("expected") is not None},
    )


def figures(evaluation: Path, set_name: str, model: str, expectations: Expectations) -> Figures:
    """Return the figures of a folder that `cspine evaluate` wrote.

    Parameters
    ----------
    evaluation : Path
        Holds ``scores.csv`` and ``cases.csv``.
    set_name, model : str
        What they are of.
    expectations : Expectations
        From `read_expectations`.

    Raises
    ------
    InputError
        If a table is absent or of another version.
    """
    scores, cases = _rows(evaluation / "scores.csv"), _rows(evaluation / "cases.csv")
    try:
        false = {
            row["case"]
            for row in scores
            if float(row["reference_ml"]) == 0 and float(row["predicted_ml"]) >= MIN_REFERENCE_ML
        }
        right = {row["case"]: _is_right(row, row["case"] in false, expectations) for row in cases}
        names = list(dict.fromkeys(row["level"] for row in scores))
        levels = {name: _level([row for row in scores if row["level"] == name]) for name in sorted(names, key=_rank)}
        silent = [_is_silent(row, row["case"] in false) for row in cases if row["findings"] != "n/a"]
    except (KeyError, ValueError) as error:
        raise InputError(
            f"the tables in {evaluation.name} are of another version of cspine", advice="Evaluate again."
        ) from error
    subjects: dict[str, list[bool]] = defaultdict(list)
    for case, good in right.items():
        subjects[expectations.subject.get(case, case)].append(good)
    share = sum(all(each) for each in subjects.values()) / len(subjects) if subjects else None
    return Figures(
        set_name,
        model,
        len(cases),
        sum(bool(row["error"]) for row in cases),
        len(subjects),
        share,
        sum(silent) if silent else None,
        levels | {"all": _level(scores)},
    )


def _is_right(row: Mapping[str, str], has_false: bool, expectations: Expectations) -> bool:
    missed = set(row["missed_levels"].split())
    expected = expectations.expected.get(row["case"])
    if expected is not None:
        missed &= expected
    return not (row["error"] or row["wrong_levels"] or missed or has_false)


def _is_silent(row: Mapping[str, str], has_false: bool) -> bool:
    return (bool(row["wrong_levels"]) or has_false) and not LEVEL_FINDINGS.intersection(row["findings"].split())


def _level(rows: Sequence[Mapping[str, str]]) -> LevelFigures:
    def values(name: str) -> list[float]:
        return [float(row[name]) for row in rows if row[name]]

    dice, given = spread(values("dice")), spread(values("given_to_neighbour"))
    return LevelFigures(dice.mean, dice.lowest, spread(values("hd95_mm")).mean, given.median, given.p95)


def _rank(name: str) -> tuple[int, int]:
    return "CTL".index(name[0]), int(name[1:])


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        return read_csv(path)[1]
    except (OSError, ValueError) as error:
        advice = "Give a folder that `cspine evaluate` wrote."
        raise InputError(f"no usable {path.name} in {path.parent.name}", advice=advice) from error


def worst_cases(evaluations: Mapping[str, Path], count: int) -> list[tuple[str, str]]:
    """Return set and name of the worst cases that have labels: silent mistakes, wrong levels, missed ones, then Dice.

    Parameters
    ----------
    evaluations : mapping of str to Path
        Folder of the evaluation of each set.
    count : int
        How many.
    """
    every = [(name, row) for name, folder in evaluations.items() for row in _rows(folder / "cases.csv")]

    def rank(row: Mapping[str, str]) -> tuple[float, ...]:
        silent = row["wrong_without_finding"] == "yes"
        lost = [len(row[column].split()) for column in ("wrong_levels", "missed_levels")]
        return (-float(silent), -lost[0], -lost[1], float(row["mean_dice"] or 1.0))

    done = [(name, row) for name, row in every if not row["error"]]
    return [(name, row["case"]) for name, row in sorted(done, key=lambda pair: rank(pair[1]))[:count]]


# --- side by side -----------------------------------------------------------------------------------------------------


def markdown(every: Sequence[Figures]) -> str:
    """Return a section for each set: the figures of all models side by side, then those of each level."""
    sections = []
    for name in dict.fromkeys(each.set_name for each in every):
        some = [each for each in every if each.set_name == name]
        lines = [f"## {name}", "", *_table(["", *(each.model for each in some)], _overall(some)), ""]
        names = [level for level in some[0].levels if level != "all"]
        heads = [f"{each.model}: {what}" for each in some for what in ("Dice", "HD95 mm", "to adjacent level %")]
        rows = [[level, *(cell for each in some for cell in _cells(each.levels.get(level)))] for level in names]
        sections.append("\n".join([*lines, *_table(["level", *heads], rows)]))
    return "\n\n".join(sections) + "\n"


def _overall(some: Sequence[Figures]) -> list[list[str]]:
    every = [each.levels["all"] for each in some]
    return [
        ["cases (failed)", *(f"{each.cases} ({each.failed})" for each in some)],
        ["mean Dice", *(number(level.dice, 3) for level in every)],
        ["lowest Dice", *(number(level.lowest_dice, 3) for level in every)],
        ["mean HD95, mm", *(number(level.hd95_mm, 2) for level in every)],
        ["volume given to an adjacent level, %: median / 95th percentile", *(_given(level) for level in every)],
        ["subjects with every level correct", *(_right(each) for each in some)],
        ["wrong levels without a finding", *("n/a" if each.silent is None else str(each.silent) for each in some)],
    ]


def _right(each: Figures) -> str:
    return "n/a" if each.subjects_right is None else f"{100 * each.subjects_right:.1f} % of {each.subjects}"


def _given(level: LevelFigures) -> str:
    if level.neighbour_median is None or level.neighbour_p95 is None:
        return ""
    return f"{100 * level.neighbour_median:.1f} / {100 * level.neighbour_p95:.1f}"


def _cells(level: LevelFigures | None) -> list[str]:
    return ["", "", ""] if level is None else [number(level.dice, 3), number(level.hd95_mm, 2), _given(level)]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *rows)]
