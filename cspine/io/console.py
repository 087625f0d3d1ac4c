"""The terminal: log lines, errors with advice, tables, progress."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TextIO

import click

from cspine.core.errors import CSpineError
from cspine.core.progress import ProgressCallback
from cspine.io.tables import duration

if TYPE_CHECKING:
    from rich.progress import Progress

_LOG_EVERY_S = 15.0
_SETTING = re.compile(r"`([a-z][a-z0-9_]+)`")
_WIDTH = 160  # of a table that goes to a file or a pipe
_log = logging.getLogger("cspine")


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is at the moment: while a bar is shown, lines go above it."""

    @property
    def stream(self) -> TextIO:
        return sys.stderr

    @stream.setter
    def stream(self, value: TextIO) -> None:
        """Ignore the stream at the time of the start."""


def start_logging(level: int) -> None:
    """Write the log of the package to standard error, one line for each message.

    Parameters
    ----------
    level : int
        Level of `logging` from which messages are written.
    """
    handler = _StandardError()
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S"))
    _log.handlers[:] = [handler]
    _log.setLevel(level)
    _log.propagate = False


@contextmanager
def held_back(name: str) -> Iterator[None]:
    """Leave a logger's messages out of the log, for what is printed after success; log them if the block fails.

    Parameters
    ----------
    name : str
        Name of the logger, for example `FINDINGS_LOG`.
    """
    logger = logging.getLogger(name)
    held: list[logging.LogRecord] = []

    def hold(record: logging.LogRecord) -> bool:
        held.append(record)
        return False

    logger.addFilter(hold)
    try:
        yield
    except BaseException:
        logger.removeFilter(hold)
        for record in held:
            logger.handle(record)
        raise
    finally:
        logger.removeFilter(hold)


def print_error(error: CSpineError) -> None:
    """Print an error and its advice to standard error, with the options of the settings that they name.

    Parameters
    ----------
    error : CSpineError
        The error; its message and its advice may name settings in backticks.
    """
    click.echo(with_options(f"Error {error}"), err=True)
    click.echo(with_options(f"Advice: {error.advice}"), err=True)


def with_options(text: str) -> str:
    """Return a text for the command line: a setting in backticks becomes its option.

    Parameters
    ----------
    text : str
        A message or advice.

    Examples
    --------
    >>> with_options("Send all slices, or use `repair_gaps`; see `cspine series DIR`.")
    'Send all slices, or use --repair-gaps; see `cspine series DIR`.'
    """
    return _SETTING.sub(lambda found: f"--{found[1].replace('_', '-')}", text)


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table to standard output, as wide as COLUMNS says, the terminal is, or else 160 columns.

    Parameters
    ----------
    title : str
        Line above the table.
    columns : sequence of str
        Headings.
    rows : sequence of sequence of str
        Cells of each row, one for each column.
    """
    from rich.console import Console  # takes longer than all else that `cspine --help` needs
    from rich.table import Table

    shown = Table(show_lines=False)
    for column in columns:
        shown.add_column(column, overflow="fold")
    for row in rows:
        shown.add_row(*row)
    width = _columns() or (None if sys.stdout.isatty() else _WIDTH)
    console = Console(width=width, markup=False, highlight=False)
    console.print(title, style="italic", soft_wrap=True)
    console.print(shown)


def _columns() -> int | None:
    """Return what COLUMNS says; None where it says nothing that a table could follow."""
    value = os.environ.get("COLUMNS", "")
    return int(value) if value.isdecimal() and int(value) > 0 else None


@contextmanager
def progress(title: str) -> Iterator[ProgressCallback]:
    """Yield a callback that shows progress: a bar at a terminal or in a notebook, else a log line every few seconds.

    Parameters
    ----------
    title : str
        What is counted, for example ``"tiles"``.

    Yields
    ------
    callable
        Called with the work done so far and all work; a stage that begins again at 0 starts a new estimate.
    """
    if not is_interactive():
        yield _LogLines(title).update
        return
    with closing(_Bar(title)) as bar:
        yield bar.update


@contextmanager
def wanted_progress(title: str, wanted: bool | ProgressCallback | None) -> Iterator[ProgressCallback | None]:
    """Yield the callback that a caller of `import cspine` wants.

    Parameters
    ----------
    title : str
        What is counted, for example ``"tiles"``.
    wanted : bool, callable or None
        A callback of the caller's own; True for `progress`, False for none; None for `progress` where `is_interactive`.
    """
    if callable(wanted):
        yield wanted
    elif wanted or (wanted is None and is_interactive()):
        with progress(title) as on_progress:
            yield on_progress
    else:
        yield None


def is_interactive() -> bool:
    """Return whether standard error is a terminal or the cell of a notebook."""
    return _in_notebook() or (sys.stderr is not None and sys.stderr.isatty())


def _in_notebook() -> bool:
    """Return whether a kernel of Jupyter runs this process."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and "IPKernelApp" in shell.config


class _Remaining:
    """Estimates the time that is left from the pace so far; work that counts from the start again is a new stage."""

    def __init__(self) -> None:
        self._first = (0, 0.0)
        self._last: int | None = None

    def text(self, done: int, total: int) -> str:
        """Return for example ``"about 25 s left"``; empty where nothing is known, or nothing is left."""
        now = time.monotonic()
        if self._last is None or done < self._last:
            self._first = (done, now)
        self._last = done
        recent = done - self._first[0]
        left_s = (now - self._first[1]) / recent * (total - done) if recent else 0
        return f"about {duration(left_s)} left" if left_s else ""


class _LogLines:
    """Progress in the log, now and then."""

    def __init__(self, title: str) -> None:
        self._title, self._remaining, self._logged = title, _Remaining(), time.monotonic()

    def update(self, done: int, total: int) -> None:
        left = self._remaining.text(done, total)
        now = time.monotonic()
        if done == total or now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            _log.info("%s: %d of %d%s", self._title, done, total, f", {left}" if left else "")


class _Bar:
    """Progress as a bar below the log, from the first call until all is done; further work shows it again."""

    def __init__(self, title: str) -> None:
        self._title, self._remaining = title, _Remaining()
        self._shown: Progress | None = None

    def update(self, done: int, total: int) -> None:
        left = self._remaining.text(done, total)
        if self._shown is None and done < total:
            self._shown = self._start(total)
        if self._shown is not None:
            self._shown.update(self._shown.task_ids[0], completed=done, total=total, left=left, refresh=True)
        if done >= total:
            self.close()

    def close(self) -> None:
        """Remove the bar."""
        if self._shown is not None:
            self._shown.stop()
            self._shown = None

    def _start(self, total: int) -> Progress:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        notebook = _in_notebook()
        # A notebook shows what a terminal does; rich's own display for notebooks needs ipywidgets.
        console = Console(stderr=True, force_jupyter=False, force_terminal=True if notebook else None)
        columns = ("{task.description}", BarColumn(), "{task.completed}/{task.total}", "{task.fields[left]}")
        shown = Progress(
            *(TextColumn(column) if isinstance(column, str) else column for column in columns),
            console=console, transient=not notebook, auto_refresh=not notebook,
        )  # fmt: skip
        shown.add_task(self._title, total=total, left="")
        shown.start()
        return shown
