"""Everything that a comparison found, in one place: what tables, plots and the report are made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

from cspine.core.errors import ComparisonError
from cspine.study.comparison.alignment import Alignment
from cspine.study.comparison.descriptive import Description, describe
from cspine.study.comparison.measures import MEASURES
from cspine.study.comparison.pairwise import Comparison, Overall, compare_all, compare_overall
from cspine.study.comparison.statistics import Settings
from cspine.study.comparison.words import listed


@dataclass(frozen=True, eq=False)
class Results:
    """A comparison.

    Parameters
    ----------
    title : str
        Stands above the report.
    cohort : Alignment
        The evaluations.
    settings : Settings
        How they were compared.
    descriptions : tuple of Description
        Each model by itself.
    comparisons : tuple of Comparison
        Each model against the first.
    overall : tuple of Overall
        All models, where there are three or more.
    single : tuple of str
        Cases that are reported one by one.
    with_paper : bool
        True to report the paper's figures beside these.
    """

    title: str
    cohort: Alignment
    settings: Settings
    descriptions: tuple[Description, ...]
    comparisons: tuple[Comparison, ...]
    overall: tuple[Overall, ...]
    single: tuple[str, ...] = ()
    with_paper: bool = False

    @cached_property
    def _described(self) -> dict[tuple[str, str, str, str], Description]:
        return {(d.model, d.subset, d.group, d.measure): d for d in self.descriptions}

    @cached_property
    def _compared(self) -> dict[tuple[str, str, str, str], Comparison]:
        return {(c.second, c.subset, c.group, c.measure): c for c in self.comparisons}

    @property
    def titles(self) -> tuple[str, ...]:
        """Return the titles of the models."""
        return tuple(model.title for model in self.cohort.models)

    def description(self, model: str, subset: str, group: str, measure: str) -> Description:
        """Return the description of a model."""
        return self._described[model, subset, group, measure]

    def comparison(self, second: str, subset: str, group: str, measure: str) -> Comparison:
        """Return the comparison of a model with the first."""
        return self._compared[second, subset, group, measure]


def compute(
    title: str | None,
    cohort: Alignment,
    settings: Settings,
    single: Sequence[str] = (),
    with_paper: bool = False,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Results:
    """Compute everything.

    Parameters
    ----------
    title : str or None
        Stands above the report; the models' titles where it is None.
    cohort : Alignment
        The evaluations.
    settings : Settings
        How they are compared.
    single : sequence of str
        Cases that are reported one by one.
    with_paper : bool
        True to report the paper's figures beside these.
    on_progress : callable
        Progress of the tests.

    Raises
    ------
    ComparisonError
        If no model has one of the single cases.
    """
    for case in single:
        if case not in cohort.subset_of:
            raise ComparisonError(
                f"`single` {case}: no model has this case", advice="Name cases as scores.csv does, with commas between."
            )
    models = [model.title for model in cohort.models]
    return Results(
        title=title or (f"Comparison of {listed(models)}" if len(models) > 1 else models[0]),
        cohort=cohort,
        settings=settings,
        descriptions=tuple(describe(cohort, MEASURES)),
        comparisons=tuple(compare_all(cohort, MEASURES, settings, on_progress)),
        overall=tuple(compare_overall(cohort, MEASURES)),
        single=tuple(dict.fromkeys(single)),
        with_paper=with_paper,
    )
