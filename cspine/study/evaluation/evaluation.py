"""Cases with reference labels: how well each is drawn, whether its levels are right, and whether the findings tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cspine
from cspine.anatomy import CERVICAL_LEVELS
from cspine.postprocessing.findings import (
    LEVEL_UNCERTAIN,
    MISSING_LEVEL,
    NO_CERVICAL_VERTEBRA,
    ORDER_BROKEN,
    TOO_CLOSE,
    WIDE_GAP,
    Finding,
    Severity,
)
from cspine.study.evaluation.metrics import LevelMatch, Score, match_levels, score_levels
from cspine.tables import number, write_csv
from cspine.volumes import LabelVolume, ModelIdentity

#: Findings that tell a reader not to trust the numbering.
LEVEL_FINDINGS = frozenset(
    kind.code for kind in (MISSING_LEVEL, ORDER_BROKEN, TOO_CLOSE, WIDE_GAP, LEVEL_UNCERTAIN, NO_CERVICAL_VERTEBRA)
)


@dataclass(frozen=True)
class CaseResult:
    """What an evaluation says of one case.

    Parameters
    ----------
    case : str
        Its name.
    scores : tuple of Score
        Dice and HD95 a level.
    matches : tuple of LevelMatch
        Which level each vertebra of the reference got.
    findings : tuple of Finding or None
        Of the run; None where labels were given and no run was made.
    error : str
        Why the case could not be done; it then counts in no mean.
    """

    case: str
    scores: tuple[Score, ...]
    matches: tuple[LevelMatch, ...]
    findings: tuple[Finding, ...] | None
    error: str = ""

    @property
    def mean_dice(self) -> float | None:
        """Mean Dice over the levels that either image has."""
        return mean([score.dice for score in self.scores])

    @property
    def mean_hd95_mm(self) -> float | None:
        """Mean HD95 over the levels that both images have."""
        return mean([score.hd95_mm for score in self.scores])

    @property
    def level_accuracy(self) -> float | None:
        """Share of the reference's vertebrae on their own level."""
        return mean([float(match.right) for match in self.matches])

    @property
    def wrong(self) -> tuple[LevelMatch, ...]:
        """Vertebrae on another's level."""
        return tuple(match for match in self.matches if match.wrong)

    @property
    def missed(self) -> tuple[LevelMatch, ...]:
        """Vertebrae without a label."""
        return tuple(match for match in self.matches if match.found is None)

    @property
    def told(self) -> tuple[str, ...]:
        """Codes of the findings that are warnings or serious."""
        found = [f.code for f in self.findings or () if f.severity in (Severity.WARNING, Severity.SERIOUS)]
        return tuple(dict.fromkeys(found))

    @property
    def silent(self) -> bool | None:
        """True where a vertebra is on a wrong level and no finding says so; None where there are no findings."""
        if self.findings is None:
            return None
        return bool(self.wrong) and not LEVEL_FINDINGS.intersection(self.told)

    @property
    def ok(self) -> bool:
        """True where every vertebra of the reference is on its own level."""
        return not self.error and all(match.right for match in self.matches)

    @property
    def rank(self) -> tuple[float, ...]:
        """Order of the cases, worst first: failed, silent mistakes, wrong levels, missed ones, then Dice."""
        dice = self.mean_dice
        return (
            -float(bool(self.error)),
            -float(bool(self.silent)),
            -len(self.wrong),
            -len(self.missed),
            1.0 if dice is None else dice,
        )


def mean(values: Sequence[float]) -> float | None:
    """Return the mean of the finite values, or None where there is none."""
    finite = [value for value in values if math.isfinite(value)]
    return sum(finite) / len(finite) if finite else None


def compare(case: str, reference: LabelVolume, found: LabelVolume, findings: tuple[Finding, ...] | None) -> CaseResult:
    """Compare a result with its reference over C1..T1.

    Parameters
    ----------
    case : str
        Name of the case.
    reference, found : LabelVolume
        Labels on the same grid.
    findings : tuple of Finding or None
        Of the run; None where there was none.

    Raises
    ------
    InputError
        If the grids differ.
    """
    scores = tuple(score_levels(reference, found, CERVICAL_LEVELS))
    return CaseResult(case, scores, tuple(match_levels(reference, found, CERVICAL_LEVELS)), findings)


def write_tables(results: Sequence[CaseResult], folder: Path) -> None:
    """Write scores.csv and cases.csv; OutputError if that fails."""
    write_csv(
        folder / "scores.csv",
        ("case", "level", "dice", "hd95_mm"),
        [[r.case, s.level, f"{s.dice:.4f}", f"{s.hd95_mm:.3f}"] for r in results for s in r.scores],
    )
    columns = (
        "case", "mean_dice", "mean_hd95_mm", "level_accuracy", "wrong_levels", "missed_levels", "findings",
        "wrong_without_finding", "ok", "error",
    )  # fmt: skip
    write_csv(folder / "cases.csv", columns, [_case_row(result) for result in results])


def _case_row(result: CaseResult) -> list[str]:
    return [
        result.case,
        number(result.mean_dice, 4),
        number(result.mean_hd95_mm),
        number(result.level_accuracy),
        " ".join(f"{match.level}:{match.found}" for match in result.wrong),
        " ".join(match.level for match in result.missed),
        "n/a" if result.findings is None else " ".join(result.told),
        "n/a" if result.silent is None else _yes(result.silent),
        _yes(result.ok),
        result.error,
    ]


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def summary(results: Sequence[CaseResult], model: ModelIdentity | None) -> dict[str, Any]:
    """Return what summary.json says of all cases.

    Parameters
    ----------
    results : sequence of CaseResult
        The cases.
    model : ModelIdentity or None
        The model; None where labels were given.
    """
    every = [score for result in results for score in result.scores]
    levels = {
        level.name: {
            "cases": sum(not math.isnan(score.dice) for score in every if score.level == level.name),
            "mean_dice": mean([score.dice for score in every if score.level == level.name]),
            "mean_hd95_mm": mean([score.hd95_mm for score in every if score.level == level.name]),
        }
        for level in CERVICAL_LEVELS
    }
    identity = None
    if model is not None:
        identity = {
            "name": model.name,
            "version": model.version,
            "checksum": model.checksum,
            "demonstration": model.demonstration,
        }
    return {
        "cspine_version": cspine.__version__,
        "model": identity,
        "cases": len(results),
        "errors": {result.case: result.error for result in results if result.error},
        "mean_dice": mean([score.dice for score in every]),
        "mean_hd95_mm": mean([score.hd95_mm for score in every]),
        **levels_summary(results),
        "levels": levels,
    }


def levels_summary(results: Sequence[CaseResult]) -> dict[str, float | int | None]:
    """Return the figures about levels: their accuracy, and how many cases go wrong, aloud or in silence.

    Parameters
    ----------
    results : sequence of CaseResult
        The cases.
    """
    silent = [result.silent for result in results if result.silent is not None]
    return {
        "vertebrae": sum(len(result.matches) for result in results),
        "level_accuracy": mean([float(match.right) for result in results for match in result.matches]),
        "cases_ok": sum(result.ok for result in results),
        "cases_with_wrong_level": sum(bool(result.wrong) for result in results),
        "cases_with_missed_level": sum(bool(result.missed) for result in results),
        "cases_wrong_without_finding": sum(silent) if silent else None,
    }


def headline(result: CaseResult) -> str:
    """Return the verdict on a case in a few words."""
    if result.error:
        return "could not be done"
    if result.silent:
        return "wrong level, no finding"
    if result.wrong:
        return "wrong level"
    return "missed a vertebra" if result.missed else "levels right"


def words(result: CaseResult) -> tuple[str, ...]:
    """Return what a picture sheet says of a case."""
    if result.error:
        return (result.error,)
    lines = [f"- {match.level} labelled {match.found}" for match in result.wrong]
    lines += [f"- {match.level} missed" for match in result.missed]
    lines += [f"Dice {number(result.mean_dice)}, HD95 {number(result.mean_hd95_mm, 2) or '-'} mm"]
    weak = sorted((s for s in result.scores if math.isfinite(s.dice)), key=lambda s: s.dice)[:3]
    lines += ["lowest: " + ", ".join(f"{score.level} {score.dice:.2f}" for score in weak)]
    lines += [] if result.findings is None else [" ".join(result.told) or "no findings"]
    return tuple(lines)
