"""The conclusion of a comparison, in sentences that are made from the numbers."""

from __future__ import annotations

from dataclasses import dataclass

from cspine.io.tables import counted
from cspine.study.comparison.measures import CERVICAL, DICE, FULL_SPINE, HD95, MAIN_MEASURES, LevelGroup, Measure
from cspine.study.comparison.rank_tests import ALL_ZERO
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import DIFFERENT, DIFFERENT_WITHIN, EQUIVALENT, UNDECIDED, VERDICTS
from cspine.study.comparison.words import (
    TEST_TITLES,
    fixed,
    interval_text,
    level_list,
    listed,
    p_text,
    subset_title,
)

#: Models below this mean Dice over the widest group predict few vertebrae correctly: their equivalence says nothing.
USABLE_DICE = 0.3
_MEANING = {
    EQUIVALENT: "equivalent within the margin",
    DIFFERENT: "different",
    DIFFERENT_WITHIN: "different, but within the margin",
    UNDECIDED: "undecided",
}


@dataclass(frozen=True)
class Conclusion:
    """The conclusion of a comparison.

    Parameters
    ----------
    claims : tuple of str
        What may be said, one per pair; of one model, that nothing was compared.
    models : tuple of str
        Each model by itself.
    details : tuple of (str, tuple of str)
        Each pair in each subset: heading, and one sentence per measure.
    """

    claims: tuple[str, ...]
    models: tuple[str, ...]
    details: tuple[tuple[str, tuple[str, ...]], ...]


def conclude(results: Results) -> Conclusion:
    """Return the conclusion in sentences."""
    models = tuple(_alone(results, title) for title in results.titles)
    others = results.titles[1:]
    return Conclusion(
        claims=tuple(_claim(results, title) for title in others) or ("One model: nothing was compared.",),
        models=models,
        details=tuple(_pair(results, title, subset) for title in others for subset in results.cohort.subsets),
    )


def _widest(results: Results) -> LevelGroup:
    """Return the group that sentences are about: [C1,T1], or what there is."""
    groups = results.cohort.groups
    return next((g for wanted in (CERVICAL, FULL_SPINE) for g in groups if g == wanted), groups[0])


def _alone(results: Results, title: str) -> str:
    group = _widest(results)
    means, missed, false, weak = [], 0, 0, False
    for subset in results.cohort.subsets:
        dice = results.description(title, subset, group.name, DICE.key)
        hd95 = results.description(title, subset, group.name, HD95.key)
        missed, false = missed + dice.missed, false + dice.false
        if dice.mean is not None:
            distance = "" if hd95.mean is None else f" and HD95 {fixed(hd95.mean, 2)} mm"
            cases = counted(dice.cases, "case")
            place = f"the {subset_title(subset)} ({cases})" if subset else cases
            means.append(f"{fixed(dice.mean, 3)}{distance} in {place}")
        weak |= dice.mean is not None and dice.mean < USABLE_DICE
    if not means:
        return f"{title} has no value over {group.name}."
    mistakes = [counted(missed, "level was missed", "levels were missed")] if missed else ["no level was missed"]
    mistakes += [f"{false} predicted that the reference lacks"] if false else []
    text = f"{title} has a mean Dice over {group.name} of {listed(means)}; {listed(mistakes)}."
    return (
        f"{text} It predicts few of these vertebrae correctly: equivalence with it is no sign of quality."
        if weak
        else text
    )


def _pair(results: Results, title: str, subset: str) -> tuple[str, tuple[str, ...]]:
    head = f"{subset_title(subset).capitalize()}, {title} against {results.titles[0]}"
    return head, tuple(_measure(results, title, subset, measure) for measure in MAIN_MEASURES)


def _measure(results: Results, title: str, subset: str, measure: Measure) -> str:
    group, settings = _widest(results), results.settings
    found = results.comparison(title, subset, group.name, measure.key)
    result = found.result
    name = measure.title.removesuffix(" (mm)")
    unit = f" {measure.unit}" if measure.unit else ""
    if result.difference is None:
        return f"{name}: no pair over {group.name} ({listed(result.reasons)})."
    text = (
        f"{name}: the mean difference over {group.name} is {fixed(result.difference, measure.digits, sign=True)}{unit}"
    )
    if result.interval is not None:
        text += f" ({1 - settings.alpha:.0%} interval {interval_text(result.interval, measure.digits)}"
        p = result.p(settings.test)
        text += f", {TEST_TITLES[settings.test]} p {_equals(p)}" if p is not None else f", {ALL_ZERO}"
        text += f"; {counted(result.n, 'case')}): {_MEANING[found.verdict]}" if found.verdict else ")"
    else:
        text += f" in {counted(result.n, 'case')}, too few for a test"
    return f"{text}. {_levels(results, title, subset, measure)}"


def _equals(p: float) -> str:
    return p_text(p) if p_text(p).startswith("<") else f"= {p_text(p)}"


def _levels(results: Results, title: str, subset: str, measure: Measure) -> str:
    by_verdict: dict[str, list[str]] = {}
    for group in results.cohort.groups:
        if group.single:
            found = results.comparison(title, subset, group.name, measure.key)
            by_verdict.setdefault(found.verdict or "without a verdict", []).append(group.name)
    every = [group.name for group in results.cohort.groups if group.single]
    statements = [
        f"{_MEANING.get(verdict, verdict)}: {level_list(by_verdict[verdict], every)}"
        for verdict in (EQUIVALENT, DIFFERENT_WITHIN, DIFFERENT, UNDECIDED, "without a verdict")
        if verdict in by_verdict
    ]
    return f"By vertebra, {'; '.join(statements)}."


def _claim(results: Results, title: str) -> str:
    """Return the claim about a pair: equivalent only where that was shown everywhere."""
    first = results.titles[0]
    rows = [c for c in results.comparisons if c.second == title and c.single and c.measure in results.settings.margins]
    counts = {verdict: sum(row.verdict == verdict for row in rows) for verdict in VERDICTS}
    total = sum(counts.values())
    margins = listed([
        f"{results.settings.margins[m.key]:g}{' ' + m.unit if m.unit else ''} of {m.title.removesuffix(' (mm)')}"
        for m in MAIN_MEASURES
    ])  # fmt: skip
    if total == 0:
        return f"{title} and {first} have too few common cases for a conclusion."
    differing = [row for row in rows if row.verdict == DIFFERENT]
    better = sum(_better(row.measure, row.result.difference) for row in differing)
    judged = [row for row in rows if row.verdict]
    levels, subsets = len({row.group for row in judged}), len({row.subset for row in judged})
    scope = f"{counted(levels, 'vertebra', 'vertebrae')}, {counted(subsets, 'subset')}, Dice and HD95"
    if counts[EQUIVALENT] == total:
        return f"{title} and {first} are equivalent: every verdict ({scope}) is equivalent, within {margins}."
    text = f"Of {counted(total, 'verdict')} ({scope}) on {title} against {first}, {counts[EQUIVALENT]} are equivalent"
    text += f", {counts[DIFFERENT_WITHIN]} different but within the margin" if counts[DIFFERENT_WITHIN] else ""
    if differing:
        text += f", {len(differing)} different ({title} better in {better}, {first} in {len(differing) - better})"
    text += f", {counts[UNDECIDED]} undecided" if counts[UNDECIDED] else ""
    if not differing and not counts[UNDECIDED]:
        return f"{text}: no vertebra differs by more than {margins}."
    note = " Undecided means that these cases show neither a difference nor equivalence." if counts[UNDECIDED] else ""
    return f"{text}; the margins are {margins}.{note}"


def _better(measure: str, difference: float | None) -> bool:
    """Return True where the second model is better."""
    return difference is not None and (difference > 0) == (measure == DICE.key)
