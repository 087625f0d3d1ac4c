"""Log lines, errors, tables and progress at the terminal."""

from __future__ import annotations

import logging
import re
import sys
import types
from collections.abc import Callable

import pytest

from cspine.core.errors import MissingSliceError, UsageError
from cspine.io import console
from cspine.io.console import held_back, print_error, progress, start_logging, table, wanted_progress

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


def test_the_command_line_names_the_option_of_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    error = UsageError("`seg_type` is 7", advice="Give `seg_type` binary, or see `cspine run --help` and `A`.")
    print_error(error)
    assert capsys.readouterr().err == (
        "Error [CS-USE-001] --seg-type is 7\nAdvice: Give --seg-type binary, or see `cspine run --help` and `A`.\n"
    )
    assert (error.message, error.advice.split("`")[1]) == ("`seg_type` is 7", "seg_type")


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


def look_at_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard error, which a test captures anew, be a terminal of 100 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)


def look_at_a_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be the kernel of a notebook."""
    shell = types.SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]


def screen(written: str) -> list[str]:
    """The lines that remain of what was written: a return goes back to the first column, and styles are invisible."""
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", written).split("\n")
    return [line.rstrip("\r").rpartition("\r")[2] for line in lines]


@pytest.mark.parametrize("look", [look_at_a_terminal, look_at_a_notebook])
def test_where_somebody_looks_progress_is_a_bar(
    look: Callable[[pytest.MonkeyPatch], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look(monkeypatch)
    with progress("tiles") as on_progress:
        on_progress(0, 2)
        on_progress(1, 2)
        on_progress(2, 2)
    err = capsys.readouterr().err
    assert all(f"{done}/2" in err for done in range(3))


def test_log_lines_go_above_a_bar_which_ends_with_the_work(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_a_terminal(monkeypatch)
    start_logging(logging.INFO)
    usual = sys.stderr
    with progress("tiles") as on_progress:
        log = logging.getLogger("cspine.some.part")
        log.info("before")
        for stage in range(2):
            on_progress(0, 1)
            log.info("during %d", stage)
            on_progress(1, 1)
            assert sys.stderr is usual
        log.info("after")
    lines = screen(capsys.readouterr().err)
    logged = [line for line in lines if "INFO" in line]
    assert [line.partition("INFO    ")[2].rstrip() for line in logged] == ["before", "during 0", "during 1", "after"]
    assert all(re.match(r"\d\d:\d\d:\d\d ", line) for line in logged)


def test_the_remaining_time_is_known_after_the_first_of_many(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_a_terminal(monkeypatch)
    clock = [0.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: clock[0])
    with progress("tiles") as on_progress:
        on_progress(0, 4)
        clock[0] = 40
        on_progress(1, 4)
        assert "2 min" in capsys.readouterr().err
        on_progress(0, 4)  # the next stage
        clock[0] = 50
        on_progress(1, 4)
        assert "30 s" in capsys.readouterr().err


@pytest.mark.parametrize(("wanted", "shown"), [(None, True), (True, True), (False, False)])
def test_a_caller_chooses_whether_progress_is_shown(
    wanted: bool | None, shown: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    look_at_a_terminal(monkeypatch)
    with wanted_progress("tiles", wanted) as on_progress:
        assert (on_progress is not None) == shown
        if on_progress is not None:
            on_progress(1, 2)
    assert ("1/2" in capsys.readouterr().err) == shown


def test_where_nobody_looks_progress_is_shown_if_it_is_wanted(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(logging.INFO)
    with wanted_progress("tiles", None) as on_progress:
        assert on_progress is None
    with wanted_progress("tiles", True) as on_progress:
        assert on_progress is not None
        on_progress(2, 2)
    assert capsys.readouterr().err.rstrip().endswith("tiles: 2 of 2")


@pytest.mark.parametrize(("columns", "widest"), [("60", 60), ("", 160), ("wide", 160), ("0", 160)])
def test_a_table_fits_the_columns_that_the_environment_names(
    columns: str, widest: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    table("Title", ("Level", "Remark"), [["C1", "x" * 400]])
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line) for line in lines) == widest
    assert sum(line.count("x") for line in lines) == 400


def test_held_back_messages_are_logged_only_after_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    start_logging(logging.INFO)
    log = logging.getLogger("cspine.findings")
    with held_back("cspine.findings"):
        log.warning("one")
        logging.getLogger("cspine.other").info("two")
    assert capsys.readouterr().err.split()[-1:] == ["two"]
    with pytest.raises(KeyError), held_back("cspine.findings"):
        log.warning("three")
        raise KeyError
    assert capsys.readouterr().err.split()[-1:] == ["three"]
    log.warning("four")
    assert capsys.readouterr().err.split()[-1:] == ["four"]
