"""`cspine dataset summary`: the content of a dataset in numbers and pictures."""

from __future__ import annotations

from pathlib import Path

import click

from cspine.io.console import progress, table


@click.command(name="summary")
@click.argument("dataset", type=click.Path(path_type=Path), metavar="D")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: D/summary]")
@click.option(
    "--pictures", default=32, show_default=True, type=click.IntRange(0),
    help="Cases on the picture sheets, the doubtful ones first; 0 for none.",
)  # fmt: skip
def command(dataset: Path, out: Path | None, pictures: int) -> None:
    """Count the cases of a dataset by source, subset, fold and level, with doubts and exclusions, and show some.

    \b
    OUT/sheet.png         one row of pictures per case, doubtful cases first (sheet-1.png ... for more than 16)
    OUT/levels.csv        one row per vertebra: number of cases of each subset that show it, and that truncate it
    OUT/demographics.csv  patients, age, sex, sources, voxel sizes of each subset; demographics.md for readers
    OUT/summary.json      the counts

    The command changes nothing in the dataset, and works before and after the split.
    """  # noqa: D301
    from cspine.study.datasets import overview
    from cspine.study.datasets.demographics import as_table, demographics
    from cspine.study.datasets.summarize import summarize

    with progress("pictures") as on_progress:
        found = summarize(dataset, out, pictures=pictures, progress=on_progress)

    name, rows = found.name, found.rows
    doubts = overview.counts_by_doubt(rows)
    subsets = [column.capitalize() for column in overview.COLUMNS]
    table(f"{name}: cases", ("Source", *subsets, "Patients", "Doubtful"), overview.counts_by_source(rows))
    if folds := overview.counts_by_fold(rows):
        table("Folds of the training cases", ("Fold", "Patients", "Cases", "Sources"), folds)
    if doubts:
        table("Doubts about labels (docs/guide/datasets.md)", ("Doubt", "Cases in use", "Excluded cases"), doubts)
    if reasons := overview.counts_by_reason(rows):
        table("Exclusions", ("Reason", "Cases"), reasons)
    if columns := demographics(rows):
        head, *lines = as_table(columns)
        table("Patients", head, lines)
    for path in found.files:
        click.echo(f"{path}")
