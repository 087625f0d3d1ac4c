"""The entry of the command: exit codes, and where messages go."""

from __future__ import annotations

import logging
import subprocess
import sys
import types
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import cspine
from cspine.cli import main as module
from cspine.cli.main import cli, main
from cspine.core.errors import CSpineError, every_error
from cspine.io.console import with_options

pytestmark = pytest.mark.usefixtures("untouched_logging")

_COMMANDS = (
    *("run", "series", "models", "synthesize", "dataset", "train", "predict", "evaluate", "compare", "audit"),
    *("cohort", "doctor", "serve-pacs", "queue"),
)


def _main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    """Run the command line; return its exit code."""
    monkeypatch.setattr(sys, "argv", ["cspine", *arguments])
    try:
        main()
    except SystemExit as end:
        assert isinstance(end.code, int)
        return end.code
    return 0


def _command_that_raises(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    @click.command()
    def command() -> None:
        raise error

    fake = types.ModuleType("a_command_of_a_test")
    fake.command = command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, fake.__name__, fake)
    monkeypatch.setitem(module._COMMANDS, "fail", fake.__name__)


@pytest.mark.parametrize(
    "error",
    [e for e in every_error() if e.__module__.startswith("cspine.core.errors.")],
    ids=lambda error: error.__name__,
)
def test_every_error_ends_with_its_exit_code_and_advice(
    error: type[CSpineError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command_that_raises(monkeypatch, error("what was seen"))
    assert _main(monkeypatch, "fail") == error.exit_code
    out, err = capsys.readouterr()
    assert out == ""
    assert err == f"Error [{error.code}] what was seen\nAdvice: {with_options(error.advice)}\n"


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["--nonsense"], ["run"], ["series", "/no/such/folder"], ["synthesize", "--count", "0"]],
    ids=" ".join,
)
def test_a_command_line_that_cannot_be_used_ends_with_2(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, *arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "Usage:" in err


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()], ids=["ctrl-c", "abort"])
def test_an_interrupt_ends_with_130(
    error: BaseException, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command_that_raises(monkeypatch, error)
    assert _main(monkeypatch, "fail") == 130
    assert "Interrupted" in capsys.readouterr().err


def test_a_defect_ends_with_1_and_its_text_which_may_quote_a_header_is_not_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _command_that_raises(monkeypatch, ZeroDivisionError("SECRET^NAME"))
    assert _main(monkeypatch, "fail") == 1
    output = capsys.readouterr().err
    assert "[CS-INT-001] ZeroDivisionError" in output and "report it" in output
    assert "SECRET" not in output


def test_a_folder_without_dicom_ends_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(monkeypatch, "series", str(tmp_path)) == 3
    assert "[CS-IN-002]" in capsys.readouterr().err


def test_help_lists_every_command_and_version_is_cspines() -> None:
    result = CliRunner().invoke(cli, ["--help"], catch_exceptions=False)
    assert result.exit_code == 0
    for name in _COMMANDS:
        assert f"\n  {name} " in result.output
    assert "not a medical device" in result.output
    assert CliRunner().invoke(cli, ["-h"]).output == result.output
    assert cspine.__version__ in CliRunner().invoke(cli, ["--version"]).output


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_helps(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "--help"], catch_exceptions=False)
    assert result.exit_code == 0
    assert "Usage:" in result.output


@pytest.mark.parametrize(("flag", "level"), [(None, "INFO"), ("-v", "DEBUG"), ("-q", "WARNING")])
def test_flags_set_how_much_is_logged(flag: str | None, level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _command_that_raises(monkeypatch, CSpineError("enough"))
    _main(monkeypatch, *([flag] if flag else []), "fail")
    assert logging.getLevelName(logging.getLogger("cspine").level) == level


def test_help_and_series_need_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from cspine.cli.main import main; sys.argv = ['cspine', *sys.argv[1:]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    for arguments in (["--help"], ["series", str(tmp_path)]):
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run([sys.executable, "-m", "cspine", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command" in done.stderr
