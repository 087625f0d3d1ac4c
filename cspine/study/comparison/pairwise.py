"""Every model against the first: the statistics of each measure, subset and group of levels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from cspine.study.comparison import statistics
from cspine.study.comparison.alignment import Alignment
from cspine.study.comparison.measures import LevelGroup, Measure
from cspine.study.comparison.rank_tests import FriedmanResult, friedman
from cspine.study.comparison.statistics import PairedResult, Settings


@dataclass(frozen=True)
class Comparison:
    """One measure of one group in one subset: a model against the first.

    Parameters
    ----------
    first, second : str
        Titles.
    subset, group, measure : str
        Subset, name of the group, key of the measure.
    single : bool
        True for one level: such p-values are corrected for their number.
    dropped : int
        Cases with a value of a model that are no pair.
    result : PairedResult
        What the pairs say.
    p_holm, p_bh : float or None
        The p-value of the settings' test, corrected over the levels of this measure and subset.
    tost_p_corrected : float or None
        The p-value of equivalence, corrected as the settings say.
    verdict : str
        One of `statistics.VERDICTS`; empty where there is no margin, or nothing to judge.
    """

    first: str
    second: str
    subset: str
    group: str
    measure: str
    single: bool
    dropped: int
    result: PairedResult
    p_holm: float | None = None
    p_bh: float | None = None
    tost_p_corrected: float | None = None
    verdict: str = ""


@dataclass(frozen=True)
class Overall:
    """Friedman's test of one measure, subset and group over all models."""

    subset: str
    group: str
    measure: str
    single: bool
    result: FriedmanResult
    p_holm: float | None = None
    p_bh: float | None = None


def compare_all(
    cohort: Alignment,
    measures: Sequence[Measure],
    settings: Settings,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[Comparison]:
    """Compare every model with the first.

    Parameters
    ----------
    cohort : Alignment
        The evaluations.
    measures : sequence of Measure
        What is compared.
    settings : Settings
        How.
    on_progress : callable
        Gets the families done so far and their number.
    """
    families = [
        (number, subset, measure)
        for number in range(1, len(cohort.models))
        for subset in cohort.subsets
        for measure in measures
    ]
    done: list[Comparison] = []
    for place, (number, subset, measure) in enumerate(families):
        on_progress(place, len(families))
        done += _family(cohort, number, subset, measure, settings)
    if families:
        on_progress(len(families), len(families))
    return done


def _family(cohort: Alignment, number: int, subset: str, measure: Measure, settings: Settings) -> list[Comparison]:
    rows = [_compare(cohort, number, subset, group, measure, settings) for group in cohort.groups]
    levels = [row for row in rows if row.single]
    p = [row.result.p(settings.test) for row in levels]
    holm, bh = statistics.corrected(p, "holm"), statistics.corrected(p, "bh")
    tost = statistics.corrected([row.result.tost_p(settings.test) for row in levels], settings.correction)
    changed = {
        row.group: replace(row, p_holm=a, p_bh=b, tost_p_corrected=c)
        for row, a, b, c in zip(levels, holm, bh, tost, strict=True)
    }
    return [_judge(changed.get(row.group, row), settings) for row in rows]


def followed_p(row: Comparison, settings: Settings) -> float | None:
    """Return the p-value that a verdict follows: corrected for a level, as it is for a group, which is one test."""
    if not row.single or settings.correction == "none":
        return row.result.p(settings.test)
    return row.p_holm if settings.correction == "holm" else row.p_bh


def _judge(row: Comparison, settings: Settings) -> Comparison:
    """Give the verdict: of corrected p-values for a level, of plain ones for a group, which is one test."""
    result = row.result
    if result.margin is None or result.n < 2:
        return row
    tost = row.tost_p_corrected if row.single else result.tost_p(settings.test)
    return replace(row, verdict=statistics.verdict(followed_p(row, settings), tost, result, settings.alpha))


def _compare(
    cohort: Alignment, number: int, subset: str, group: LevelGroup, measure: Measure, settings: Settings
) -> Comparison:
    first, second = cohort.models[0], cohort.models[number]
    margin = settings.margins.get(measure.key)
    outside = cohort.outside(first, group) or cohort.outside(second, group)
    if outside:
        result, dropped = PairedResult(n=0, margin=margin, reasons=(outside,)), 0
    else:
        pairs = cohort.pairs(first, second, subset, group, measure)
        name = "/".join((str(number), subset, group.name, measure.key))
        result, dropped = statistics.compare_pairs(pairs.first, pairs.second, settings, margin, name), pairs.dropped
    return Comparison(first.title, second.title, subset, group.name, measure.key, group.single, dropped, result)


def compare_overall(cohort: Alignment, measures: Sequence[Measure]) -> list[Overall]:
    """Return Friedman's test over all models; nothing for fewer than three."""
    if len(cohort.models) < 3:
        return []
    done: list[Overall] = []
    for measure in measures:
        for subset in cohort.subsets:
            rows = [_overall(cohort, subset, group, measure) for group in cohort.groups]
            levels = [row for row in rows if row.single]
            p = [row.result.p for row in levels]
            holm, bh = statistics.corrected(p, "holm"), statistics.corrected(p, "bh")
            changed = {row.group: replace(row, p_holm=a, p_bh=b) for row, a, b in zip(levels, holm, bh, strict=True)}
            done += [changed.get(row.group, row) for row in rows]
    return done


def _overall(cohort: Alignment, subset: str, group: LevelGroup, measure: Measure) -> Overall:
    outside = next((why for model in cohort.models if (why := cohort.outside(model, group))), "")
    if outside:
        return Overall(subset, group.name, measure.key, group.single, FriedmanResult(0, reason=outside))
    values = cohort.common_values(subset, group, measure)
    return Overall(subset, group.name, measure.key, group.single, friedman(values))
