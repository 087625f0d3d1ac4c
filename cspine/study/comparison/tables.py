"""The tables of a comparison for readers, of the paper's shape."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.io.tables import counted
from cspine.study.comparison import long_tables, paper_beside
from cspine.study.comparison.measures import ASSD, DICE, HD95, MAIN_MEASURES, VOLUME_ERROR, Measure
from cspine.study.comparison.pairwise import Comparison, followed_p
from cspine.study.comparison.results import Results
from cspine.study.comparison.table_files import Cell, Table, write_document, write_table
from cspine.study.comparison.words import (
    CORRECTION_TITLES,
    EFFECT_TITLES,
    TEST_TITLES,
    difference_cell,
    fixed,
    fold_cell,
    mean_cell,
    p_cell,
    p_text,
    subset_title,
)
from cspine.study.datasets.case_table import Subset

_POOLED = "Mean ± SD over vertebrae; rows in brackets pool all vertebrae of their range."
_FOLDS = " Cross-validation: [lowest, highest] mean of a fold."


def build_tables(results: Results) -> list[Table]:
    """Return the tables for readers, in the order of the report."""
    models = results.titles
    tables = [
        table
        for place, title in enumerate(models, 1)
        for table in (
            _model_table(results, title, f"model-{place}", (DICE, HD95)),
            _model_table(results, title, f"model-{place}-more", (ASSD, VOLUME_ERROR)),
        )
    ]
    tables.sort(key=lambda table: table.name.endswith("-more"))
    for place, title in enumerate(models[1:], 2):
        suffix = f"-{place}" if len(models) > 2 else ""
        tables.append(_p_table(results, title, f"p-values{suffix}"))
        tables += [_verdict_table(results, title, subset, suffix) for subset in results.cohort.subsets]
    if results.overall:
        tables.append(_overall_table(results))
    if results.single:
        tables.append(_single_table(results))
    tables.append(_count_table(results))
    return tables + (paper_beside.build_tables(results) if results.with_paper else [])


def _model_table(results: Results, title: str, name: str, measures: tuple[Measure, ...]) -> Table:
    subsets = results.cohort.subsets
    rows = []
    for group in results.cohort.groups:
        row = [Cell(group.name)]
        for measure in measures:
            for subset in subsets:
                found = results.description(title, subset, group.name, measure.key)
                training = subset == Subset.TRAINING.value
                row.append(fold_cell(found, measure) if training else mean_cell(found, measure))
        rows.append(tuple(row))
    columns = ("Vertebra", *(subset_title(subset) for _ in measures for subset in subsets))
    spans = (("", 1), *((measure.title, len(subsets)) for measure in measures))
    note = _POOLED + (_FOLDS if Subset.TRAINING.value in subsets else "")
    if VOLUME_ERROR in measures:
        note += " Volume error: absolute difference of predicted and reference volume."
    return Table(name, f"{title}: {' and '.join(m.title for m in measures)}", columns, tuple(rows), note, spans)


def _p_table(results: Results, title: str, name: str) -> Table:
    subsets = results.cohort.subsets
    rows = tuple(
        (
            Cell(group.name),
            *(
                p_cell(row.result.p(results.settings.test), row)
                for measure in MAIN_MEASURES
                for subset in subsets
                for row in (results.comparison(title, subset, group.name, measure.key),)
            ),
        )
        for group in results.cohort.groups
    )
    columns = ("Vertebra", *(subset_title(subset) for _ in MAIN_MEASURES for subset in subsets))
    spans = (("", 1), *((measure.title, len(subsets)) for measure in MAIN_MEASURES))
    note = f"{TEST_TITLES[results.settings.test]}, two-sided, not corrected for the number of vertebrae."
    return Table(name, f"p-values: {title} against {results.titles[0]}", columns, rows, note, spans)


def _verdict_table(results: Results, title: str, subset: str, suffix: str) -> Table:
    settings = results.settings
    rows = []
    for measure in MAIN_MEASURES:
        for group in results.cohort.groups:
            found = results.comparison(title, subset, group.name, measure.key)
            why = "; ".join(found.result.reasons)
            tost = found.tost_p_corrected if found.single else found.result.tost_p(settings.test)
            effect = _effect(found, settings.test)
            rows.append(
                (
                    Cell(measure.title),
                    Cell(group.name),
                    Cell(str(found.result.n)),
                    Cell(str(found.dropped)),
                    difference_cell(found),
                    p_cell(found.result.p(settings.test), found),
                    p_cell(followed_p(found, settings), found),
                    Cell("", why or "not computed") if effect is None else Cell(fixed(effect, 2, sign=True)),
                    p_cell(tost, found),
                    Cell(found.verdict, why, found.verdict),
                )
            )
    columns = (
        "Measure", "Vertebra", "n", "dropped", f"difference [{1 - settings.alpha:.0%} CI]", "p",
        f"p, {CORRECTION_TITLES[settings.correction]}", EFFECT_TITLES[settings.test], "p equivalence", "verdict",
    )  # fmt: skip
    margins = " and ".join(
        f"{settings.margins[m.key]:g}{' ' + m.unit if m.unit else ''} ({m.title.removesuffix(' (mm)')})"
        for m in MAIN_MEASURES
    )
    note = (
        f"Difference: mean over cases of {title} minus {results.titles[0]}, bootstrap interval. p: "
        f"{TEST_TITLES[settings.test]}, two-sided. p equivalence: two one-sided tests, margins {margins}, with the "
        "same correction over the vertebrae; rows in brackets are one test each and not corrected. Dropped: cases "
        "without a pair."
    )
    heading = f"{subset_title(subset).capitalize()}: {title} against {results.titles[0]}"
    name = f"verdict-{(subset or 'all').replace(' ', '-')}{suffix}"
    return Table(name, heading, columns, tuple(rows), note)


def _effect(row: Comparison, test: str) -> float | None:
    """Return the effect size that goes with a test."""
    result = row.result
    if test == "t":
        return result.dz
    return result.rank_biserial if test == "wilcoxon" else result.mann_whitney_rank_biserial


def _overall_table(results: Results) -> Table:
    subsets = results.cohort.subsets
    found = {(row.subset, row.group, row.measure): row for row in results.overall}
    rows = []
    for group in results.cohort.groups:
        row = [Cell(group.name)]
        for measure in MAIN_MEASURES:
            for subset in subsets:
                own = found[subset, group.name, measure.key]
                p = own.p_holm if own.single else own.result.p
                row.append(Cell("", own.result.reason) if p is None else Cell(f"{p_text(p)} (n {own.result.n})"))
        rows.append(tuple(row))
    columns = ("Vertebra", *(subset_title(subset) for _ in MAIN_MEASURES for subset in subsets))
    spans = (("", 1), *((measure.title, len(subsets)) for measure in MAIN_MEASURES))
    note = "p-values with Holm correction over the vertebrae, in the cases that all models have."
    return Table("overall", "All models: Friedman test", columns, tuple(rows), note, spans)


def _single_table(results: Results) -> Table:
    columns = ["Vertebra", "Model"]
    rows = []
    for group in results.cohort.groups:
        for model in results.cohort.models:
            row = [Cell(group.name), Cell(model.title)]
            for case in results.single:
                scores = [s for level in group.levels if (s := model.by_case.get(case, {}).get(level)) is not None]
                reason = results.cohort.outside(model, group) or ("" if scores else "the case lacks the level")
                for measure in MAIN_MEASURES:
                    values = [v for s in scores if (v := measure.value(s)) is not None]
                    why = reason or ("" if values else "missed, or not in the reference")
                    mean = "" if why else fixed(sum(values) / len(values), measure.digits)
                    row.append(Cell(mean, why))
            rows.append(tuple(row))
    columns += [measure.title for _ in results.single for measure in MAIN_MEASURES]
    spans = (("", 2), *((case, len(MAIN_MEASURES)) for case in results.single))
    note = "Rows in brackets: mean over the vertebrae of the case."
    return Table("single-cases", "Dice and HD95 case by case", tuple(columns), tuple(rows), note, spans)


def _count_table(results: Results) -> Table:
    rows = []
    for subset in results.cohort.subsets:
        for group in results.cohort.groups:
            row = [Cell(subset_title(subset)), Cell(group.name)]
            for title in results.titles:
                dice = results.description(title, subset, group.name, DICE.key)
                hd95 = results.description(title, subset, group.name, HD95.key)
                row += [Cell(str(value)) for value in (dice.cases, dice.values, hd95.values, dice.missed, dice.false)]
            rows.append(tuple(row))
    columns = ("Subset", "Vertebra", *(("cases", "Dice", "HD95", "missed", "false") * len(results.titles)))
    spans = (("", 2), *((title, 5) for title in results.titles))
    note = (
        "Cases, vertebrae with a Dice and with an HD95; missed: in the reference and not predicted (Dice 0, no HD95); "
        "false: predicted and not in the reference (likewise)."
    )
    return Table("counts", "What was counted", columns, tuple(rows), note, spans)


def write_tables(results: Results, tables: list[Table], folder: Path) -> None:
    """Write the tables: NAME.csv, NAME.md, NAME.tex, all.tex, and those of `long_tables` for programs."""
    for table in tables:
        write_table(table, folder)
    write_document(tables, results.title, folder / "all.tex")
    long_tables.write(results, folder)


def console_tables(results: Results, subset: str) -> list[tuple[str, list[str], list[list[str]]]]:
    """Return the tables of a subset for the terminal: one of both measures, or one per measure from three models.

    Returns
    -------
    list of tuple
        Title, columns, rows: means of each model, corrected p and verdict of each pair.
    """
    cases = len(results.cohort.cases(subset))
    common = "common case" if len(results.titles) > 1 else "case"
    title = f"{subset_title(subset).capitalize()}: {counted(cases, common)}"
    if len(results.titles) <= 2:
        return [(title, *_console(results, subset, MAIN_MEASURES))]
    return [(f"{title}: {m.title}", *_console(results, subset, (m,))) for m in MAIN_MEASURES]


def _console(results: Results, subset: str, measures: Sequence[Measure]) -> tuple[list[str], list[list[str]]]:
    columns, many = ["Vertebra"], len(results.titles) > 2
    for measure in measures:
        columns += [f"{measure.title.removesuffix(' (mm)')} {title}" for title in results.titles]
        for place, _ in enumerate(results.titles[1:], 2):
            columns += [f"p {place}", f"verdict {place}"] if many else ["p", "verdict"]
    rows = []
    for group in results.cohort.groups:
        row = [group.name]
        for measure in measures:
            row += [
                mean_cell(results.description(title, subset, group.name, measure.key), measure).text
                for title in results.titles
            ]
            for title in results.titles[1:]:
                found = results.comparison(title, subset, group.name, measure.key)
                row += [p_cell(followed_p(found, results.settings), found).text, found.verdict]
        rows.append(row)
    return columns, rows
