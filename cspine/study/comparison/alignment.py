"""The evaluations side by side: which cases and levels can be compared, in which subset, and what was omitted."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, rank, vertebra
from cspine.core.errors import ComparisonError
from cspine.io.tables import counted
from cspine.study.comparison.measures import CERVICAL, LevelGroup, Measure, level_groups
from cspine.study.comparison.reading import Evaluation, ScoreRow
from cspine.study.datasets.case_table import Subset

#: Subsets in the order of the paper's tables, with their names there; an evaluation without a case table has one: "".
SUBSET_TITLES = {
    Subset.TRAINING.value: "cross-validation",
    Subset.INTERNAL.value: "internal validation",
    Subset.EXTERNAL.value: "external test",
    Subset.UNUSED.value: "cases without a subset",
    Subset.UNASSIGNED.value: "unassigned cases",
    "": "all cases",
}
#: References are taken for the same where a level's volumes differ by less: relative, and in ml.
SAME_VOLUME = (0.002, 0.001)
_LAST_CERVICAL = rank(vertebra(CERVICAL.levels[-1]).label)


@dataclass(frozen=True, eq=False)
class Pairs:
    """One measure of one group of levels in the cases that two models have.

    Parameters
    ----------
    cases : tuple of str
        The cases, sorted.
    first, second : ndarray, shape (cases,)
        Values of the two models: means over the same levels of a case.
    dropped : int
        Cases in which a model has a value and which are no pair.
    """

    cases: tuple[str, ...]
    first: NDArray[np.float64]
    second: NDArray[np.float64]
    dropped: int


@dataclass(frozen=True, eq=False)
class Alignment:
    """Evaluations that can be compared.

    Parameters
    ----------
    models : tuple of Evaluation
        The first is the one that the others are compared with. Titles differ.
    subset_of : dict of str to str
        Subset of each case.
    notes : tuple of str
        What the reader must know of the inputs.
    """

    models: tuple[Evaluation, ...]
    subset_of: dict[str, str]
    notes: tuple[str, ...] = ()

    @cached_property
    def subsets(self) -> tuple[str, ...]:
        """Return the subsets that have a case, in the order of the paper's tables."""
        return tuple(subset for subset in SUBSET_TITLES if subset in set(self.subset_of.values()))

    @cached_property
    def groups(self) -> tuple[LevelGroup, ...]:
        """Return the rows of the tables."""
        return level_groups(level for model in self.models for level in model.levels)

    def cases(self, subset: str, model: Evaluation | None = None) -> list[str]:
        """Return the cases of a subset, sorted: of one model, or those that all models have."""
        models = self.models if model is None else (model,)
        return sorted(
            case for case, own in self.subset_of.items() if own == subset and all(case in m.by_case for m in models)
        )

    def rows(self, model: Evaluation, subset: str, group: LevelGroup) -> list[ScoreRow]:
        """Return a model's rows of a group in a subset, by case and level."""
        return [
            row
            for case in self.cases(subset, model)
            for level in group.levels
            if (row := model.by_case[case].get(level)) is not None
        ]

    def outside(self, model: Evaluation, group: LevelGroup) -> str:
        """Return why a group is not reported for a model that has no level of it; empty if it has one.

        A row that reaches below T1 is outside of a model that found no level below T1 in any case: a cervical model.
        C1 to T1 never are: a model that always misses T1 has Dice 0 there.
        """
        reaches = any(_below_cervical(level) for level in group.levels)
        if reaches and not any(row.in_found and _below_cervical(row.level) for row in model.scores):
            return f"{model.title} predicts no level below T1"
        return ""

    def pairs(self, first: Evaluation, second: Evaluation, subset: str, group: LevelGroup, measure: Measure) -> Pairs:
        """Return the values of two models in the cases that both have.

        Where a group has several levels, a case's value is the mean over the levels in which both models have one.
        """
        cases, dropped = [], 0
        values: list[tuple[float, ...]] = []
        for case in sorted(case for case, own in self.subset_of.items() if own == subset):
            both = _common_means((first, second), case, group, measure)
            if both is not None:
                cases.append(case)
                values.append(both)
            elif any(_values(model, case, group, measure) for model in (first, second)):
                dropped += 1
        columns = np.array(values, dtype=np.float64).reshape(-1, 2)
        return Pairs(tuple(cases), columns[:, 0], columns[:, 1], dropped)

    def common_values(self, subset: str, group: LevelGroup, measure: Measure) -> NDArray[np.float64]:
        """Return the values of all models in the cases that all have, shape (cases, models)."""
        found = [_common_means(self.models, case, group, measure) for case in self.cases(subset)]
        values = [row for row in found if row is not None]
        return np.array(values, dtype=np.float64).reshape(-1, len(self.models))


def _common_means(
    models: Sequence[Evaluation], case: str, group: LevelGroup, measure: Measure
) -> tuple[float, ...] | None:
    """Return each model's mean over the levels in which all have a value; None where there is none."""
    values = [_values(model, case, group, measure) for model in models]
    common = [level for level in group.levels if all(level in own for own in values)]
    return tuple(float(np.mean([own[level] for level in common])) for own in values) if common else None


def _below_cervical(level: str) -> bool:
    return rank(vertebra(level).label) > _LAST_CERVICAL


def _values(model: Evaluation, case: str, group: LevelGroup, measure: Measure) -> dict[str, float]:
    rows = model.by_case.get(case, {})
    found = ((level, measure.value(rows[level])) for level in group.levels if level in rows)
    return {level: value for level, value in found if value is not None}


def align(models: Sequence[Evaluation], levels: Sequence[str] | None = None, force: bool = False) -> Alignment:
    """Align evaluations of the same cases.

    Parameters
    ----------
    models : sequence of Evaluation
        The first is the one that the others are compared with.
    levels : sequence of str or None
        Levels to compare; None for all.
    force : bool
        True to go on where the references differ.

    Raises
    ------
    ComparisonError
        If two models have no common case, a case is in different subsets or folds, no level is left, or the
        references of a case differ (and ``force`` is not set).
    """
    models = _with_own_titles([_only(model, levels) for model in models])
    models, notes = _on_common_levels(models)
    subset_of = _subsets(models)
    notes += [note for model in models for note in _notes(model)]
    first = models[0]
    for other in models[1:]:
        common = sorted(first.by_case.keys() & other.by_case.keys())
        if not common:
            raise ComparisonError(f"{first.title} and {other.title} have no common case")
        if not first.levels & other.levels:
            raise ComparisonError(f"{first.title} and {other.title} have no common level")
        for one, another in ((first, other), (other, first)):
            alone = len(one.by_case.keys() - another.by_case.keys())
            if alone:
                notes.append(
                    f"{counted(alone, 'case')} of {one.title} {'is' if alone == 1 else 'are'} absent from "
                    f"{another.title} and omitted from the tests of this pair; the tables of each model include them."
                )
        notes += _compare_references(first, other, common, force)
        notes += _alike(first, other, common)
    return Alignment(tuple(models), subset_of, tuple(dict.fromkeys(notes)))


def _only(model: Evaluation, levels: Sequence[str] | None) -> Evaluation:
    if levels is None:
        return model
    if not any(row.level in levels for row in model.scores):
        raise ComparisonError(f"{model.title} has none of the levels {', '.join(levels)}")
    return _keeping(model, set(levels))


def _keeping(model: Evaluation, levels: Set[str]) -> Evaluation:
    compared = None if model.compared is None else model.compared & levels
    return replace(model, scores=tuple(row for row in model.scores if row.level in levels), compared=compared)


def _on_common_levels(models: Sequence[Evaluation]) -> tuple[list[Evaluation], list[str]]:
    """Omit the levels that not every evaluation covers; return notes about them.

    Levels below T1 count among the evaluations that have any: a cervical model has none.
    """
    left, notes = list(models), []
    for in_region in (lambda level: not _below_cervical(level), _below_cervical):
        of_region = [{level for level in model.compared or () if in_region(level)} for model in left]
        known = [own for own in of_region if own]
        common = set.intersection(*known) if known else set()
        for index, own in enumerate(of_region):
            more = own - common
            if more:
                notes.append(
                    f"{', '.join(sorted(more, key=lambda name: rank(vertebra(name).label)))} of {left[index].title} "
                    f"{'is' if len(more) == 1 else 'are'} omitted: not every evaluation covers them."
                )
                left[index] = _keeping(left[index], {level.name for level in VERTEBRAE} - more)
    empty = [model.title for model in left if not model.scores]
    if empty:
        raise ComparisonError(f"{empty[0]} and the other evaluations have no common level")
    return left, notes


def _with_own_titles(models: Sequence[Evaluation]) -> list[Evaluation]:
    """Add the folder's name, then a number, where two models have one title."""

    def renamed(name: Sequence[str]) -> list[Evaluation]:
        return [replace(model, title=title) for model, title in zip(models, name, strict=True)]

    titles = [model.title for model in models]
    if len(set(titles)) < len(titles):
        models = renamed(
            [f"{m.title} ({m.folder.resolve().name})" if titles.count(m.title) > 1 else m.title for m in models]
        )
    titles = [model.title for model in models]
    if len(set(titles)) < len(titles):
        models = renamed([f"{model.title} #{number}" for number, model in enumerate(models, 1)])
    return list(models)


def _subsets(models: Sequence[Evaluation]) -> dict[str, str]:
    """Return the subset of each case; an evaluation without a case table takes that of the others."""
    assignments: dict[str, tuple[str, int | None]] = {}
    for model in models:
        for row in model.scores:
            own = (row.subset, row.fold)
            known = assignments.setdefault(row.case, own)
            if known[0] and own[0] and (known[0] != own[0] or (None not in (known[1], own[1]) and known[1] != own[1])):
                raise ComparisonError(
                    f"case {row.case} is {_named(known)} in one evaluation and {_named(own)} in {model.title}",
                    advice="Models are compared on one split: evaluate all of them with the same case table (`cases`).",
                )
            if not known[0] or known[1] is None:
                assignments[row.case] = own if own[0] else known
    return {case: subset for case, (subset, _) in assignments.items()}


def _named(assignment: tuple[str, int | None]) -> str:
    return assignment[0] if assignment[1] is None else f"{assignment[0]} (fold {assignment[1]})"


def _notes(model: Evaluation) -> list[str]:
    notes = []
    if model.failed:
        shown = ", ".join(model.failed[:5]) + (" ..." if len(model.failed) > 5 else "")
        notes.append(f"{counted(len(model.failed), 'case')} could not be evaluated for {model.title}: {shown}.")
    if model.model is not None and model.model.get("demonstration"):
        notes.append(f"{model.title} is a DEMONSTRATION model.")
    notes += [f"{model.title}: {note}" for note in model.notes]
    return notes


def _alike(first: Evaluation, other: Evaluation, cases: Sequence[str]) -> list[str]:
    """Return a note where two evaluations are of one model or of the same predictions: equal values prove nothing."""
    both = f"{first.title} and {other.title}"
    rows = [(first.by_case[case].get(level), row) for case in cases for level, row in other.by_case[case].items()]
    if all(one is not None and one.dice == row.dice and one.predicted_ml == row.predicted_ml for one, row in rows):
        return [f"{both} have the same values in every case: they may be the same predictions, evaluated twice."]
    checksums = [(model.model or {}).get("checksum") for model in (first, other)]
    if checksums[0] and checksums[0] == checksums[1]:
        return [f"{both} are the same model: what differs is how it was used."]
    return []


def _compare_references(first: Evaluation, other: Evaluation, cases: Sequence[str], force: bool) -> list[str]:
    """Compare the references by the volumes of their levels, which differ where the files' names do not."""
    differing, unknown = [], []
    for case in cases:
        same = _same_reference(first, other, case)
        if same is None:
            unknown.append(case)
        elif not same:
            differing.append(case)
    notes = []
    if differing:
        shown = ", ".join(differing[:5]) + (" ..." if len(differing) > 5 else "")
        cases_text = counted(len(differing), "case")
        sentence = f"the references of {cases_text} differ between {first.title} and {other.title}: {shown}"
        if not force:
            raise ComparisonError(
                sentence,
                advice="Evaluate both against the same reference labels; `force` compares all the same, and says so.",
            )
        notes.append(f"{sentence[0].upper()}{sentence[1:]}. They were compared all the same (`force`).")
    if unknown:
        notes.append(
            f"Whether {first.title} and {other.title} have the same references could not be checked in "
            f"{counted(len(unknown), 'case')}: no volumes, and different files."
        )
    return notes


def _same_reference(first: Evaluation, other: Evaluation, case: str) -> bool | None:
    relative, absolute = SAME_VOLUME
    ours, theirs = first.by_case[case], other.by_case[case]
    known = False
    for level in ours.keys() | theirs.keys():
        one, another = ours.get(level), theirs.get(level)
        if (one is None and not _is_about(first, level)) or (another is None and not _is_about(other, level)):
            continue
        volumes = [None if row is None else row.reference_ml for row in (one, another)]
        if volumes == [None, None]:
            continue
        known = True
        a, b = volumes[0] or 0.0, volumes[1] or 0.0
        if abs(a - b) > max(absolute, relative * max(a, b)):
            return False
    if known:
        return True
    mine, its = first.files.get(case), other.files.get(case)
    return True if mine and its and mine.reference == its.reference else None


def _is_about(model: Evaluation, level: str) -> bool:
    return model.compared is not None and level in model.compared
