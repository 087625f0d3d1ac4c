"""`cspine compare`: several models in the tables of the paper, with tests, equivalence and a report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.cli.levels import wanted_levels
from cspine.io.console import progress, table

if TYPE_CHECKING:
    from cspine.study.comparison.results import Results


@click.command(name="compare")
@click.argument("evaluations", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for report, tables and plots.")
@click.option("--reference", type=click.Path(path_type=Path),
              help="The evaluation that the others are compared with.  [default: the first]")  # fmt: skip
@click.option("--title", help="Title of the report.  [default: the models' titles]")
@click.option("--levels", help="Vertebrae to compare, for example C1-T1.  [default: all]")
@click.option("--single", help="Cases with a separate table: CASE[,CASE...].")
@click.option("--with-paper", is_flag=True, help="Show the figures of the paper beside these.")
@click.option("--test", type=click.Choice(["wilcoxon", "t", "mann-whitney"]), default="wilcoxon", show_default=True,
              help="Test that determines the verdicts; tables/tests.csv has all.")  # fmt: skip
@click.option("--correction", type=click.Choice(["holm", "bh", "none"]), default="holm", show_default=True,
              help="Correction of p-values over the vertebrae.")  # fmt: skip
@click.option("--alpha", type=click.FloatRange(0, 0.5, min_open=True, max_open=True), default=0.05, show_default=True,
              help="Level of the tests.")  # fmt: skip
@click.option("--dice-margin", type=click.FloatRange(0, min_open=True), default=0.02, show_default=True,
              help="Equivalence margin of Dice.")  # fmt: skip
@click.option("--hd95-margin", type=click.FloatRange(0, min_open=True), default=0.5, show_default=True,
              help="Equivalence margin of HD95 in mm.")  # fmt: skip
@click.option("--resamples", type=click.IntRange(100), default=5000, show_default=True, help="Bootstrap samples.")
@click.option("--seed", type=int, default=20250714, show_default=True, help="Seed of the bootstrap.")
@click.option("--worst", type=click.IntRange(0, 16), default=4, show_default=True,
              help="Number of worst cases to show, by the paths in files.csv.")  # fmt: skip
@click.option("--force", is_flag=True, help="Compare even if the references differ, with a note.")
def command(
    evaluations: tuple[Path, ...],
    out: Path,
    reference: Path | None,
    title: str | None,
    levels: str | None,
    single: str | None,
    with_paper: bool,
    test: str,
    correction: str,
    alpha: float,
    dice_margin: float,
    hd95_margin: float,
    resamples: int,
    seed: int,
    worst: int,
    force: bool,
) -> None:
    """Compare models on the same cases, from output folders of `cspine evaluate`.

    The report has the tables of the paper (cross-validation [min, max], internal validation and external test mean
    +- SD, p-values per vertebra), and for each model against the first: difference with its bootstrap interval,
    corrected p-values, effect size, and a verdict:

    \b
    equivalent                    the difference lies within the margin (two one-sided tests)
    different                     the test of a difference rejects
    different within the margin   both of these
    undecided                     neither: a large p-value does not show equivalence

    The default margins, 0.02 Dice and 0.5 mm HD95, are the differences between the paper's five folds of one model.
    Pairs are the cases of both models; dropped cases are counted. A single evaluation gives its tables and plots.

    \b
    OUT/report.html    the complete report, in one file that needs no network
    OUT/tables/        each table as CSV, Markdown and LaTeX; values.csv and tests.csv have every number
    OUT/plots/         SVG and PNG
    OUT/summary.json   models, settings, verdicts

    \b
    cspine compare cervical full-spine --out C --with-paper
    cspine compare ours totalsegmentator payer --out C --levels C1-T1 --single case_007,case_012
    """  # noqa: D301
    from cspine.study.comparison import compare as comparing
    from cspine.study.comparison.statistics import Settings

    task = comparing.Task(
        folders=evaluations,
        settings=Settings(
            test=test,  # type: ignore[arg-type]
            correction=correction,  # type: ignore[arg-type]
            alpha=alpha,
            margins={"dice": dice_margin, "hd95_mm": hd95_margin},
            resamples=resamples,
            seed=seed,
        ),
        reference=reference,
        title=title,
        levels=tuple(level.name for level in wanted_levels(levels, "--levels")) if levels is not None else None,
        single=tuple(case.strip() for case in (single or "").split(",") if case.strip()),
        worst=worst,
        with_paper=with_paper,
        force=force,
    )
    with progress("tests") as on_progress:
        results = comparing.run_comparison(task, out, on_progress)
    _show(results)
    click.echo(f"Report {out / comparing.REPORT}")
    click.echo(f"Tables and plots in {out / comparing.TABLES} and {out / comparing.PLOTS}")


def _show(results: Results) -> None:
    from cspine.study.comparison.conclusion import conclude
    from cspine.study.comparison.paper_beside import build_tables
    from cspine.study.comparison.tables import console_tables

    for subset in results.cohort.subsets:
        for title, columns, rows in console_tables(results, subset):
            table(title, columns, rows)
    if results.with_paper:
        for own in build_tables(results):
            table(own.title, own.heads, [[cell.text for cell in row] for row in own.rows])
            click.echo(own.note)
    for note in results.cohort.notes:
        click.echo(f"note: {note}")
    conclusion = conclude(results)
    for sentence in (*conclusion.models, *conclusion.claims):
        click.echo(sentence)
