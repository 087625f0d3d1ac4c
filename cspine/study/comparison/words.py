"""Numbers as readers see them: in tables, plots and sentences."""

from __future__ import annotations

from collections.abc import Sequence

from cspine.study.comparison.alignment import SUBSET_TITLES
from cspine.study.comparison.descriptive import Description
from cspine.study.comparison.measures import MEASURES, Measure
from cspine.study.comparison.pairwise import Comparison
from cspine.study.comparison.statistics import Interval
from cspine.study.comparison.table_files import Cell

BY_KEY = {measure.key: measure for measure in MEASURES}
TEST_TITLES = {"wilcoxon": "Wilcoxon signed-rank test", "t": "paired t test", "mann-whitney": "Mann-Whitney U test"}
EFFECT_TITLES = {"wilcoxon": "rank-biserial", "t": "Cohen's dz", "mann-whitney": "rank-biserial"}
CORRECTION_TITLES = {"holm": "Holm", "bh": "Benjamini-Hochberg", "none": "no"}
_MIN_P = 0.001


def fixed(value: float, digits: int, sign: bool = False) -> str:
    """Return a number with a true minus; what rounds to 0 has no sign."""
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if not text.strip("+-0."):
        text = text.lstrip("+-")
    return text.replace("-", "−")


def p_text(p: float) -> str:
    """Return a p-value: ``"0.021"``, ``"<0.001"``."""
    return f"<{_MIN_P}" if p < _MIN_P else f"{p:.3f}"


def mean_cell(found: Description, measure: Measure) -> Cell:
    """Return mean ± SD."""
    if found.mean is None:
        return Cell("", found.reason)
    mean = fixed(found.mean, measure.digits)
    return Cell(mean if found.sd is None else f"{mean} ± {fixed(found.sd, measure.digits)}", found.reason)


def fold_cell(found: Description, measure: Measure) -> Cell:
    """Return [min, max] over the folds' means."""
    if found.fold_range is None:
        return Cell("", found.reason or "no folds")
    low, high = (fixed(value, measure.digits) for value in found.fold_range)
    return Cell(f"[{low}, {high}]", "" if found.folds > 1 else "one fold")


def p_cell(p: float | None, row: Comparison) -> Cell:
    """Return a p-value, or why there is none."""
    return Cell("", "; ".join(row.result.reasons) or "not computed") if p is None else Cell(p_text(p))


def difference_cell(row: Comparison) -> Cell:
    """Return the mean difference with its interval."""
    result, digits = row.result, BY_KEY[row.measure].digits
    if result.difference is None:
        return Cell("", "; ".join(result.reasons))
    text = fixed(result.difference, digits, sign=True)
    return Cell(f"{text} {interval_text(result.interval, digits)}" if result.interval else text)


def interval_text(interval: Interval, digits: int) -> str:
    """Return an interval in brackets."""
    return f"[{fixed(interval.low, digits, sign=True)}, {fixed(interval.high, digits, sign=True)}]"


def subset_title(subset: str) -> str:
    """Return the name of a subset."""
    return SUBSET_TITLES[subset]


def level_list(levels: Sequence[str], every: Sequence[str]) -> str:
    """Return levels as runs: ``"C1 to C5, C7 and T1"``.

    Parameters
    ----------
    levels : sequence of str
        Names, in the order of ``every``.
    every : sequence of str
        All levels that are compared, head to foot: what is next to what.
    """
    runs: list[list[str]] = []
    for level in levels:
        if runs and every.index(level) == every.index(runs[-1][-1]) + 1:
            runs[-1].append(level)
        else:
            runs.append([level])
    pieces = [word for run in runs for word in ([f"{run[0]} to {run[-1]}"] if len(run) > 2 else run)]
    return listed(pieces)


def listed(words: Sequence[str]) -> str:
    """Return ``"a, b and c"``."""
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else list(words))
