"""`cspine compare`: options, output and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cspine.cli.compare import command
from cspine.core.errors import ComparisonError, UsageError
from tests.builders.evaluation_folders import Line, Scores, write_folder
from tests.builders.raises import raises_code

QUICK = ("--resamples", "100", "--worst", "1")


def invoke(*arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def models(tmp_path: Path) -> tuple[Path, Path]:
    subsets = {"external": 6}
    levels = ("C1", "C2", "C3")
    first = Scores(subsets, levels).write(tmp_path / "neck", "neck 1.0.0")
    return first, Scores(subsets, levels, seed=2).write(tmp_path / "spine", "spine 1.0.0")


def test_two_models_are_compared(models: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    output = invoke(
        *models, "--out", out, "--with-paper", "--title", "A against B", "--single", "external-001", *QUICK
    ).output
    for words in ("External test: 6 common cases", "Dice neck 1.0.0", "verdict", "The paper's p-values"):
        assert words in output
    assert "spine 1.0.0 and neck 1.0.0" in output or "on spine 1.0.0 against neck 1.0.0" in output
    assert f"Report {out / 'report.html'}" in output and "no test of a model" in output
    assert {path.name for path in out.iterdir()} == {"report.html", "tables", "plots", "summary.json"}
    summary = json.loads((out / "summary.json").read_text())
    assert summary["title"] == "A against B" and summary["settings"]["resamples"] == 100
    assert (out / "tables" / "single-cases.tex").is_file() and (out / "plots" / "worst-1.png").is_file()


def test_options_reach_the_statistics(models: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--test", "t", "--correction", "bh", "--alpha", "0.1", "--dice-margin", "0.05", "--hd95-margin", "2")
    output = invoke(*models, "--out", out, "--levels", "c1-c2", "--reference", models[1], *options, *QUICK).output
    settings = json.loads((out / "summary.json").read_text())["settings"]
    assert settings["margins"] == {"dice": 0.05, "hd95_mm": 2.0}
    assert (settings["test"], settings["correction"], settings["alpha"]) == ("t", "bh", 0.1)
    assert "C3" not in output and "90% CI" in (out / "tables" / "verdict-external.md").read_text()


def test_one_model_gives_its_tables(models: tuple[Path, Path], tmp_path: Path) -> None:
    output = invoke(models[0], "--out", tmp_path / "out", *QUICK).output
    assert "nothing was compared" in output and "External test: 6 cases" in output
    assert not (tmp_path / "out" / "tables" / "tests.csv").exists()


def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    models: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    other = write_folder(tmp_path / "other", [Line("external-000", "C1", subset="external", reference_ml=1.0)])
    with raises_code(ComparisonError, 1, "external-000"):
        invoke(models[0], other, "--out", out)
    with raises_code(ComparisonError, "scores.csv", tmp_path):
        invoke(models[0], tmp_path, "--out", out)
    with raises_code(UsageError, "--levels", "'T1-C1'", "C1", "T1"):
        invoke(*models, "--out", out, "--levels", "T1-C1")
    with raises_code(UsageError, "--out"):
        invoke(*models, "--out", models[0])
    assert not out.exists()
    assert "compared all the same" in invoke(models[0], other, "--out", out, "--force", *QUICK).output


def test_help_suffices() -> None:
    output = CliRunner().invoke(command, ["--help"]).output
    for words in (
        "equivalent",
        "undecided",
        "--dice-margin",
        "report.html",
        "tests.csv",
        "--with-paper",
        "cspine compare",
    ):
        assert words in output
    assert CliRunner().invoke(command, ["--out", "x"]).exit_code == 2
