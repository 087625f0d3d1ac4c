"""Descriptive statistics of each model: means, spreads, ranges over folds, and missed levels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cspine.study.comparison.alignment import Alignment
from cspine.study.comparison.measures import LevelGroup, Measure
from cspine.study.comparison.reading import Evaluation
from cspine.study.datasets.case_table import Subset


@dataclass(frozen=True)
class Description:
    """One measure of one model in one group of levels and one subset.

    Parameters
    ----------
    model, subset, group, measure : str
        Title, subset, name of the group, key of the measure.
    cases : int
        Cases with a value.
    values : int
        Vertebrae with a value: what mean and SD are over.
    mean, sd, median : float or None
        Over all vertebrae of the group in all cases; SD with n - 1.
    fold_range : tuple of float or None
        Least and greatest of the folds' means, in cross-validation.
    folds : int
        Folds that have a value.
    missed, false : int
        Vertebrae of the reference that were not found, and levels found that the reference does not have.
    reason : str
        Why a cell is empty.
    """

    model: str
    subset: str
    group: str
    measure: str
    cases: int
    values: int
    mean: float | None
    sd: float | None
    median: float | None
    fold_range: tuple[float, float] | None
    folds: int
    missed: int
    false: int
    reason: str = ""


def describe(cohort: Alignment, measures: Sequence[Measure]) -> list[Description]:
    """Return every description: by measure, subset, group and model.

    Parameters
    ----------
    cohort : Alignment
        The evaluations.
    measures : sequence of Measure
        What to describe.
    """
    return [
        _describe(cohort, model, subset, group, measure)
        for measure in measures
        for subset in cohort.subsets
        for group in cohort.groups
        for model in cohort.models
    ]


def _describe(cohort: Alignment, model: Evaluation, subset: str, group: LevelGroup, measure: Measure) -> Description:
    rows = cohort.rows(model, subset, group)
    found = [(row, value) for row in rows if (value := measure.value(row)) is not None]
    values = np.array([value for _, value in found], dtype=np.float64)
    reason = cohort.outside(model, group)
    if not reason and not rows:
        reason = "no case has it"
    elif not reason and not found:
        reason = "not defined in any case"
    elif not reason and len(values) == 1:
        reason = "one value: no SD"
    is_defined = len(values) > 0 and not cohort.outside(model, group)
    folds: dict[int, list[float]] = {}
    if subset == Subset.TRAINING.value and is_defined:
        for row, value in found:
            if row.fold is not None:
                folds.setdefault(row.fold, []).append(value)
    means = [float(np.mean(own)) for own in folds.values()]
    return Description(
        model=model.title,
        subset=subset,
        group=group.name,
        measure=measure.key,
        cases=len({row.case for row, _ in found}),
        values=len(values),
        mean=float(values.mean()) if is_defined else None,
        sd=float(values.std(ddof=1)) if is_defined and len(values) > 1 else None,
        median=float(np.median(values)) if is_defined else None,
        fold_range=(min(means), max(means)) if means else None,
        folds=len(means),
        missed=sum(row.in_reference and not row.in_found for row in rows),
        false=sum(row.in_found and not row.in_reference for row in rows),
        reason=reason,
    )
