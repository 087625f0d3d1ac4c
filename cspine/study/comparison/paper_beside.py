"""The paper's figures beside those of the comparison."""

from __future__ import annotations

from cspine.study.comparison.descriptive import Description
from cspine.study.comparison.measures import CERVICAL, DICE, HD95, MAIN_MEASURES, Measure
from cspine.study.comparison.paper import Figures, paper
from cspine.study.comparison.results import Results
from cspine.study.comparison.table_files import Cell, Table
from cspine.study.comparison.words import TEST_TITLES, fixed, fold_cell, mean_cell, p_cell, p_text, subset_title
from cspine.study.datasets.case_table import Subset

#: What a reader must not forget.
REMARK = (
    "The paper's models saw other data, and its test cases are others: a difference from its figures is no test of a "
    "model, and similar figures are no proof."
)
_SUBSETS = (Subset.TRAINING.value, Subset.INTERNAL.value, Subset.EXTERNAL.value)
_ROWS = (*CERVICAL.levels, CERVICAL.name)


def build_tables(results: Results) -> list[Table]:
    """Return the tables: the cervical model beside each of ours, p-values beside ours, the paper's single cases.

    Where ours has no subsets, all of its cases stand beside the paper's external test.
    """
    tables = [_means(results, title, number) for number, title in enumerate(results.titles, 1)]
    tables += [_p_values(results, title, number) for number, title in enumerate(results.titles[1:], 2)]
    return [*tables, _single()]


def _subsets(results: Results) -> list[tuple[str, str]]:
    """Return the paper's subset and ours, of those that both have."""
    found = [(subset, subset) for subset in _SUBSETS if subset in results.cohort.subsets]
    return found or [(Subset.EXTERNAL.value, subset) for subset in results.cohort.subsets[:1]]


def _head(theirs: str, ours: str) -> str:
    return subset_title(theirs) if theirs == ours else f"paper's {subset_title(theirs)}, our {subset_title(ours)}"


def _means(results: Results, title: str, number: int) -> Table:
    subsets, names = _subsets(results), {group.name for group in results.cohort.groups}
    rows = []
    for measure in MAIN_MEASURES:
        for row_name in _ROWS:
            known = paper().cervical_model[measure.key][row_name]
            row = [Cell(measure.title), Cell(row_name)]
            for theirs, ours in subsets:
                found = results.description(title, ours, row_name, measure.key) if row_name in names else None
                row += [_theirs(known, theirs, measure), *_ours(known, theirs, found, measure)]
            rows.append(tuple(row))
    columns, spans = ["Measure", "Vertebra"], [("", 2)]
    for theirs, ours in subsets:
        own = ("paper", "ours") if theirs == Subset.TRAINING.value else ("paper", "ours", "difference")
        columns += own
        spans.append((_head(theirs, ours), len(own)))
    note = f"Paper: the cervical model. Difference: our mean minus the paper's. {REMARK}"
    return Table(
        f"paper-{number}", f"The paper's cervical model beside {title}", tuple(columns), tuple(rows), note, tuple(spans)
    )


def _theirs(known: Figures, subset: str, measure: Measure) -> Cell:
    if subset == Subset.TRAINING.value:
        if known.cross_validation is None:
            return Cell("", "the paper has none")
        low, high = (fixed(value, measure.digits) for value in known.cross_validation)
        return Cell(f"[{low}, {high}]")
    mean, sd = known.internal if subset == Subset.INTERNAL.value else known.external
    return Cell(f"{fixed(mean, measure.digits)} ± {fixed(sd, measure.digits)}")


def _ours(known: Figures, subset: str, found: Description | None, measure: Measure) -> list[Cell]:
    """Return ours, and its difference from the paper's; ranges over folds have none."""
    training = subset == Subset.TRAINING.value
    if found is None:
        return [Cell("", "not in this comparison")] * (1 if training else 2)
    if training:
        return [fold_cell(found, measure)]
    if found.mean is None:
        return [mean_cell(found, measure), Cell("", found.reason)]
    theirs = known.internal if subset == Subset.INTERNAL.value else known.external
    return [mean_cell(found, measure), Cell(fixed(found.mean - theirs[0], measure.digits, sign=True))]


def _p_values(results: Results, title: str, number: int) -> Table:
    subsets = [(theirs, ours) for theirs, ours in _subsets(results) if theirs != Subset.TRAINING.value]
    names = {group.name for group in results.cohort.groups}
    rows = []
    for row_name in _ROWS:
        row = [Cell(row_name)]
        for measure in (DICE, HD95):
            known = paper().p_values[measure.key][row_name]
            for theirs, ours in subsets:
                row.append(Cell(p_text(known.internal if theirs == Subset.INTERNAL.value else known.external)))
                if row_name in names:
                    found = results.comparison(title, ours, row_name, measure.key)
                    row.append(p_cell(found.result.p(results.settings.test), found))
                else:
                    row.append(Cell("", "not in this comparison"))
        rows.append(tuple(row))
    columns = ("Vertebra", *(("paper", "ours") * (2 * len(subsets))))
    spans = (("", 1), *((f"{m.title}, {_head(*pair)}", 2) for m in (DICE, HD95) for pair in subsets))
    note = (
        f"Paper: cervical against full-spine model. Ours: {title} against {results.titles[0]}, "
        f"{TEST_TITLES[results.settings.test]}, not corrected. {REMARK}"
    )
    return Table(
        f"paper-p-values-{number}",
        "The paper's p-values beside those of this comparison",
        columns,
        tuple(rows),
        note,
        spans,
    )


def _single() -> Table:
    cases = paper().single_cases
    rows = []
    for name in (*CERVICAL.levels, "[C1,L6]"):
        row = [Cell(name)]
        for figures in cases.values():
            dice, hd95 = figures[name]
            row += [Cell(fixed(dice, DICE.digits)), Cell(fixed(hd95, HD95.digits))]
        rows.append(tuple(row))
    columns = ("Vertebra", *((DICE.title, HD95.title) * len(cases)))
    spans = (("", 1), *((case, 2) for case in cases))
    note = "Which model predicted them is not known here."
    return Table("paper-single-cases", "The paper's single cases", columns, tuple(rows), note, spans)
