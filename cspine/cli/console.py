"""What the commands share at the terminal: log lines, errors with advice, tables, progress."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from cspine.errors import CSpineError
from cspine.tables import counted

if TYPE_CHECKING:
    from cspine.report.summary import Summary

#: Called with the work done so far and the whole of it.
ProgressCallback = Callable[[int, int], None]

_LOG_EVERY_S = 15.0
_log = logging.getLogger("cspine")


def start_logging(level: int) -> None:
    """Send the package's log lines to standard error, one line each."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    _log.handlers[:] = [handler]
    _log.setLevel(level)
    _log.propagate = False


def complain(error: CSpineError) -> None:
    """Write an error and its advice to standard error."""
    click.echo(f"Error {error}", err=True)
    click.echo(f"Advice: {error.advice}", err=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to standard output, as wide as the terminal, or 160 columns where there is none."""
    shown = Table(title=title, title_justify="left", show_lines=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(shown)


@contextmanager
def progress(title: str) -> Iterator[ProgressCallback]:
    """Show progress: a bar on a terminal, a log line every few seconds otherwise."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, whole: bar.update(task, completed=done, total=whole)
        return

    last = time.monotonic()
    first: tuple[int, float] | None = None

    def log(done: int, whole: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (done, now)
        if done == whole or now - last >= _LOG_EVERY_S:
            last = now
            new = done - first[0]
            left_s = (now - first[1]) / new * (whole - done) if new else 0
            _log.info("%s: %d of %d%s", title, done, whole, f", about {duration(left_s)} left" if left_s else "")

    yield log


def uncompressed(folders: Iterable[Path | None]) -> list[str]:
    """Return a sentence for each folder with NIfTI files that are not compressed, and so are not read."""
    told = []
    for folder in dict.fromkeys(place for place in folders if place is not None):
        count = sum(not path.name.startswith(".") for path in folder.glob("*.nii")) if folder.is_dir() else 0
        if count:
            told.append(f"{counted(count, 'file')} *.nii in {folder.name} not read: compress them, for example by gzip")
    return told


def duration(seconds: float) -> str:
    """Return a time span for people: ``"40 s"``, ``"12 min"``, ``"3 h 20 min"``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def tell_results(summary: Summary, out: Path) -> None:
    """Print what a run found and where its results are."""
    from cspine.volumes import ModelIdentity  # brings scipy, which `--help` does not need

    model = ModelIdentity(**summary.model.model_dump())
    rows = [
        [v.level, "" if v.segment is None else str(v.segment), f"{v.volume_ml:.1f}", f"{v.mean_hu:.0f}",
         "cut by the edge" if v.touches_edge else ""]
        for v in summary.vertebrae
    ]  # fmt: skip
    table(f"Vertebrae found by {model.title}", ("Level", "Segment", "Volume ml", "Mean HU", ""), rows)
    for finding in summary.findings:
        click.echo(f"{finding.severity}: {finding.code} {finding.sentence}")
    for warning in (*summary.input.repairs, *summary.warnings):
        click.echo(f"note: {warning}")
    for output in summary.outputs:
        click.echo(f"{output.kind:<14} {out / output.file}")
    click.echo(f"{'Picture':<14} {out / 'report' / 'preview.png'}")
    click.echo(f"{'Summary':<14} {out / 'report' / 'summary.json'}")
    click.echo(summary.notice)
