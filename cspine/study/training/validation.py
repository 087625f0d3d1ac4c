"""The results of nnU-Net's validation of each fold: Dice by level, on the cases that the fold was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from cspine.core.errors import TrainingError
from cspine.io.documents import read_json
from cspine.study.label_sets import LabelSet


@dataclass(frozen=True)
class FoldScores:
    """Scores of one fold.

    Parameters
    ----------
    fold : str
        ``"0"``, ... or ``"all"``.
    cases : int
        Cases that it was validated on.
    dice : dict of str to float
        Level to its mean Dice; a level that none of the cases has is absent.
    """

    fold: str
    cases: int
    dice: dict[str, float]

    @property
    def mean(self) -> float:
        """Return the mean over the levels; not a number where there are none."""
        return fmean(self.dice.values()) if self.dice else math.nan


def fold_scores(folder: Path, fold: str, labels: LabelSet) -> FoldScores:
    """Read the validation of a fold.

    Parameters
    ----------
    folder : Path
        nnU-Net's folder of the fold, with validation/summary.json.
    fold : str
        Its name.
    labels : LabelSet
        Of the dataset.

    Raises
    ------
    TrainingError
        If the summary is absent or damaged.
    """
    path = folder / "validation" / "summary.json"
    try:
        summary = read_json(path, allow_nan=True)
        mean = {int(label): float(values["Dice"]) for label, values in summary["mean"].items()}
        cases = len(summary["metric_per_case"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise TrainingError(f"the validation of fold {fold} cannot be read: {path}") from error
    numbers = labels.network_labels()
    dice = {level.name: mean.get(numbers[level.name], math.nan) for level in labels.levels}
    return FoldScores(fold, cases, {name: value for name, value in dice.items() if math.isfinite(value)})


def scores_table(scores: Sequence[FoldScores], labels: LabelSet) -> str:
    """Return the Dice of each level as a Markdown table: mean, lowest and highest over the folds, then each fold.

    Parameters
    ----------
    scores : sequence of FoldScores
        The folds.
    labels : LabelSet
        Of the dataset.
    """
    names = [f"fold {score.fold}" for score in scores]
    rows = [f"| level | mean | min | max | {' | '.join(names)} |", "|---|---" + "|---" * (len(names) + 2) + "|"]
    for level in labels.levels:
        values = [score.dice.get(level.name, math.nan) for score in scores]
        if any(map(math.isfinite, values)):
            rows.append(_row(level.name, values))
    rows.append(_row("all levels", [score.mean for score in scores]))
    rows.append(f"| cases | {sum(score.cases for score in scores)} | | | {' | '.join(str(s.cases) for s in scores)} |")
    return "\n".join(rows)


def _row(name: str, values: Sequence[float]) -> str:
    known = [value for value in values if math.isfinite(value)]
    statistics = (fmean(known), min(known), max(known)) if known else (math.nan,) * 3
    return f"| {name} | {' | '.join(_number(value) for value in (*statistics, *values))} |"


def _number(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else ""
