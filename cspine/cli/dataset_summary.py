"""`cspine dataset summary`: the content of a dataset in numbers and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cspine.core.progress import ProgressCallback
from cspine.io.console import progress, table
from cspine.io.tables import counted

if TYPE_CHECKING:
    from cspine.report.sheet import SheetRow

_FILES = ("levels.csv", "demographics.csv", "demographics.md")


@click.command(name="summary")
@click.argument("dataset", type=click.Path(path_type=Path), metavar="D")
@click.option("--out", type=click.Path(path_type=Path), help="Folder to write to.  [default: D/summary]")
@click.option(
    "--pictures", default=32, show_default=True, type=click.IntRange(0),
    help="Cases on the picture sheets, the doubtful ones first; 0 for none.",
)  # fmt: skip
def command(dataset: Path, out: Path | None, pictures: int) -> None:
    """Count the cases of a dataset by source, part, fold and level, with doubts and exclusions, and show some.

    \b
    OUT/sheet.png         one row of pictures per case, doubtful cases first (sheet-1.png ... for more than 16)
    OUT/levels.csv        one row per vertebra: number of cases of each part that show it, and that truncate it
    OUT/demographics.csv  patients, age, sex, sources, voxel sizes of each part; demographics.md for readers
    OUT/summary.json      the counts

    The command changes nothing in the dataset, and works before and after the split.
    """  # noqa: D301
    from cspine.report.sheet import write_sheets
    from cspine.study.datasets import overview
    from cspine.study.datasets.dataset_folder import DatasetFolder
    from cspine.study.datasets.demographics import as_table, demographics, write_demographics
    from cspine.study.output_folder import OutputFolder

    folder = DatasetFolder(dataset)
    rows, place = folder.rows(), out or dataset / "summary"
    labels = folder.label_set()
    output = OutputFolder(place, "cspine dataset summary", (), _FILES)
    output.check([])
    output.begin()
    overview.write_levels(place / "levels.csv", rows)
    write_demographics(place, rows)
    shown = overview.to_show(rows, pictures)
    name = dataset.resolve().name
    title = f"{name}: {labels.name}, {counted(len(rows), 'case')}"
    with progress("pictures") as on_progress:
        sheets = write_sheets(
            _counted_rows(overview.sheet_rows(folder, shown), len(shown), on_progress), len(shown), title, place
        )
    output.finish(overview.as_summary(folder, rows))

    doubts = overview.counts_by_doubt(rows)
    parts = [column.capitalize() for column in overview.COLUMNS]
    table(f"{name}: cases", ("Source", *parts, "Patients", "Doubtful"), overview.counts_by_source(rows))
    if folds := overview.counts_by_fold(rows):
        table("Folds of the training cases", ("Fold", "Patients", "Cases", "Sources"), folds)
    if doubts:
        table("Doubts about labels (docs/guide/datasets.md)", ("Doubt", "Cases in use", "Excluded cases"), doubts)
    if reasons := overview.counts_by_reason(rows):
        table("Exclusions", ("Reason", "Cases"), reasons)
    if columns := demographics(rows):
        head, *lines = as_table(columns)
        table("Patients", head, lines)
    for path in (*sheets, place / "levels.csv", place / "demographics.md", place / "summary.json"):
        click.echo(f"{path}")


def _counted_rows(rows: Iterable[SheetRow], count: int, on_progress: ProgressCallback) -> Iterator[SheetRow]:
    """Yield the rows, and report their number."""
    for done, row in enumerate(rows, 1):
        yield row
        on_progress(done, count)
