"""One study run by an application: its input opened, its results shown together, its errors kept with their codes."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cspine.app.interrupts import open_outputs
from cspine.app.options import Settings
from cspine.core.errors import CSpineError, as_defect
from cspine.dicom.archive import open_input
from cspine.io.console import print_error, start_logging
from cspine.io.output import StudyOutput
from cspine.operators.sdk import LogLevel, set_log_level
from cspine.operators.step import StepOperator


@dataclass(frozen=True)
class Folders:
    """Where the operators read and write.

    Parameters
    ----------
    input : Path
        The files of the study.
    output : Path
        Where results are written.
    """

    input: Path
    output: Path


@contextmanager
def study_folders(settings: Settings) -> Iterator[Folders]:
    """Open the input and a folder for unfinished results; at a good end they appear together, else nothing is left.

    Parameters
    ----------
    settings : Settings
        Input and output.

    Yields
    ------
    Folders

    Raises
    ------
    CSpineError
        As `archive.open_input` and `StudyOutput`.
    """
    with (
        open_input(settings.input) as folder,
        StudyOutput(settings.output, overwrite=settings.is_on("overwrite"), inputs=(settings.path("prior"),)) as output,
    ):
        open_outputs.append(output)
        yield Folders(folder, output.staging)
        output.commit()


def quieten_holoscan(settings: Settings) -> None:
    """Keep the scheduler's log for those who ask for it: with --log-level DEBUG or HOLOSCAN_LOG_LEVEL."""
    if settings.text("log_level") != "DEBUG" and "HOLOSCAN_LOG_LEVEL" not in os.environ:
        set_log_level(LogLevel.OFF)


def log_to_terminal(settings: Settings) -> None:
    """Send cspine's log to standard error at the level that was asked for."""
    start_logging(logging.getLevelNamesMapping()[settings.text("log_level")])


def failure_of(operators: Iterable[StepOperator]) -> CSpineError | None:
    """Return the error of the operator that failed; None if none has."""
    return next((operator.failure for operator in operators if operator.failure), None)


@contextmanager
def reported() -> Iterator[None]:
    """End the process with the code of what goes wrong, after one message with advice."""
    try:
        yield
    except Exception as unforeseen:  # whatever it is, it has a code
        error = as_defect(unforeseen)
        print_error(error)
        sys.exit(error.exit_code)
