"""Log lines, errors, tables and progress at the terminal."""

from __future__ import annotations

import logging
import sys

import pytest

from cspine.core.errors import MissingSliceError
from cspine.io import console
from cspine.io.console import print_error, progress, start_logging, table

pytestmark = pytest.mark.usefixtures("untouched_logging")


def test_log_lines_go_to_standard_error_at_the_level_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(logging.INFO)
    logging.getLogger("cspine.some.part").info("a step")
    logging.getLogger("cspine.some.part").debug("a detail")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.rstrip().endswith("INFO    a step")


def test_a_line_is_logged_once_however_often_logging_starts(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(logging.INFO)
    start_logging(logging.INFO)
    logging.getLogger("cspine").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_an_error_is_reported_with_its_code_and_advice_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    print_error(MissingSliceError("2 slices are missing", advice="Look at slice 7."))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "Error [CS-GEO-002] 2 slices are missing\nAdvice: Look at slice 7.\n"


def test_a_table_shows_every_cell_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 400
    table("Title [of] it", ("Level", "[bold]"), [["C1", "[red]"], ["C2", long]])
    out, err = capsys.readouterr()
    assert err == ""
    assert "Title [of] it" in out
    assert "[bold]" in out
    assert "[red]" in out
    assert out.count("x") == 400
    assert max(len(line) for line in out.splitlines()) <= 160


def test_without_a_terminal_progress_is_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    start_logging(logging.INFO)
    with progress("tiles") as on_progress:
        for done in range(1, 41):
            clock[0] += 1
            on_progress(done, 40)
    lines = [line.partition("INFO    ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["tiles: 15 of 40, about 25 s left", "tiles: 30 of 40, about 10 s left", "tiles: 40 of 40"]


def test_what_was_done_before_does_not_count_for_the_remaining_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    start_logging(logging.INFO)
    with progress("studies") as on_progress:
        on_progress(1000, 2000)
        clock[0] = 100
        on_progress(1000, 2000)
        clock[0] = 200
        on_progress(1010, 2000)
    lines = [line.partition("INFO    ")[2] for line in capsys.readouterr().err.splitlines()]
    assert lines == ["studies: 1000 of 2000", "studies: 1010 of 2000, about 5 h 30 min left"]


def test_on_a_terminal_progress_is_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress("tiles") as on_progress:
        on_progress(1, 2)
        on_progress(2, 2)
    assert "2/2" in capsys.readouterr().err


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("", 160), ("wide", 160), ("0", 160)])
def test_a_table_fits_the_columns_that_the_environment_names(
    columns: str, widest: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table("Title", ("Level", "Remark"), [["C1", "x" * 400]])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) == widest
    assert sum(line.count("x") for line in lines) == 400
