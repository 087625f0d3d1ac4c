"""docs/guide/evaluation.md says what the code does, where it can be compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cspine.cli.audit import command as audit
from cspine.cli.evaluate import command
from cspine.study.evaluation import evaluation_tables as tables

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "guide" / "evaluation.md").read_text(encoding="utf-8")
OF_OTHERS = {"--ml", "--roi_subset", "--sample", "--shape"}  # of TotalSegmentator and the benchmark


def first_cells(heading: str) -> list[str]:
    """What stands in code in the first column of a table."""
    table = TEXT.split(f"\n| {heading} |")[1].split("\n\n")[0]
    return [name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])]


@pytest.mark.parametrize(
    ("file", "columns"), [("scores.csv", tables.SCORE_COLUMNS), ("cases.csv", tables.CASE_COLUMNS)]
)
def test_every_column_of_a_table_is_explained(file: str, columns: tuple[str, ...]) -> None:
    assert tuple(first_cells(f"column of `{file}`")) == columns


def test_every_metric_of_the_levels_and_every_file_is_explained() -> None:
    explained = first_cells("column of `levels.csv`")
    assert explained == [name for name in tables.LEVEL_COLUMNS if name in explained]
    assert {name.rpartition("_")[0] for name in tables.LEVEL_COLUMNS if name.endswith("_n")} == {
        name.rpartition("_")[0] for name in explained if name.endswith("_n")
    }
    assert {*tables.TABLES, "summary.json"} <= {*first_cells("file in `--out`")}
    assert ", ".join(f"`{name}`" for name in tables.FILE_COLUMNS).split(", ")[2:] == [
        f"`{name}`" for name in ("reference", "reference_scheme", "prediction", "prediction_scheme")
    ]


def test_options_of_the_page_are_those_of_the_commands() -> None:
    known = {
        option
        for one in (command, audit)
        for parameter in one.params
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    assert {*re.findall(r"(--[a-z][a-z0-9_-]+)", TEXT)} - OF_OTHERS <= known
    of_evaluate = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert {option for option in of_evaluate if option not in TEXT} <= {"--device"}
