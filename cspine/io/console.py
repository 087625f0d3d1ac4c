"""The terminal: log lines, errors with advice, tables, progress."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click

from cspine.core.errors import CSpineError
from cspine.core.progress import ProgressCallback
from cspine.io.tables import duration

_LOG_EVERY_S = 15.0
_WIDTH = 160  # of a table that goes to a file or a pipe
_log = logging.getLogger("cspine")


def start_logging(level: int) -> None:
    """Write the log of the package to standard error, one line for each message."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    _log.handlers[:] = [handler]
    _log.setLevel(level)
    _log.propagate = False


def print_error(error: CSpineError) -> None:
    """Print an error and its advice to standard error."""
    click.echo(f"Error {error}", err=True)
    click.echo(f"Advice: {error.advice}", err=True)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to standard output, as wide as COLUMNS says, the terminal is, or else 160 columns."""
    from rich.console import Console  # takes longer than all else that `cspine --help` needs
    from rich.table import Table

    shown = Table(title=title, title_justify="left", show_lines=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    width = _columns() or (None if sys.stdout.isatty() else _WIDTH)
    Console(width=width, markup=False, highlight=False).print(shown)


def _columns() -> int | None:
    """Return what COLUMNS says; None where it says nothing that a table could follow."""
    value = os.environ.get("COLUMNS", "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


@contextmanager
def progress(title: str) -> Iterator[ProgressCallback]:
    """Yield a callback that shows progress: a bar on a terminal, otherwise a log line every few seconds."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.completed}/{task.total}"))
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(title, total=None)
            yield lambda done, total: bar.update(task, completed=done, total=total)
        return

    last = time.monotonic()
    first: tuple[int, float] | None = None

    def log(done: int, total: int) -> None:
        nonlocal last, first
        now = time.monotonic()
        first = first or (done, now)
        if done == total or now - last >= _LOG_EVERY_S:
            last = now
            recent = done - first[0]
            left_s = (now - first[1]) / recent * (total - done) if recent else 0
            _log.info("%s: %d of %d%s", title, done, total, f", about {duration(left_s)} left" if left_s else "")

    yield log
