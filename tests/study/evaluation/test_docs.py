"""docs/guide/evaluation.md says what the code does, where it can be compared."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cspine.cli.audit import command as audit
from cspine.cli.evaluate import command
from cspine.core.findings import NUMBERING_CODES
from cspine.study.evaluation import evaluation_tables as tables
from cspine.study.evaluation.evaluation import LEVEL_FINDINGS
from cspine.study.evaluation.table_columns import FILE_COLUMNS, SCORE_COLUMNS

GUIDE = Path(__file__).resolve().parents[3] / "docs" / "guide"
TEXT = (GUIDE / "evaluation.md").read_text(encoding="utf-8")
OF_OTHERS = {"--ml", "--roi_subset", "--sample", "--shape"}  # of TotalSegmentator and the benchmark


def first_cells(heading: str) -> list[str]:
    """What stands in code in the first column of a table."""
    table = TEXT.split(f"\n| {heading} |")[1].split("\n\n")[0]
    return [name for line in table.splitlines()[2:] for name in re.findall(r"`([^`]+)`", line.split("|")[1])]


def codes_in(text: str) -> set[str]:
    """Return the codes of findings of a list such as "CS-FND-002, -007, -020 to -027"."""
    found = set()
    for first, last in re.findall(r"-(\d{3})(?: to -(\d{3}))?", text):
        found |= {f"CS-FND-{number:03d}" for number in range(int(first), int(last or first) + 1)}
    return found


def test_the_findings_about_numbering_are_those_of_the_code() -> None:
    (silent,) = re.findall(r"\*\*Wrong level without a finding\*\*.*?reports it: (.*?)\. This number", TEXT, re.DOTALL)
    assert codes_in(silent) == LEVEL_FINDINGS
    full_spine = (GUIDE / "full-spine.md").read_text(encoding="utf-8")
    (kept,) = re.findall(r"cast doubt on the numbering of others \((.*?)\)", full_spine, re.DOTALL)
    assert codes_in(kept) == NUMBERING_CODES


@pytest.mark.parametrize(("file", "columns"), [("scores.csv", SCORE_COLUMNS), ("cases.csv", tables.CASE_COLUMNS)])
def test_every_column_of_a_table_is_explained(file: str, columns: tuple[str, ...]) -> None:
    assert tuple(first_cells(f"column of `{file}`")) == columns


def test_every_metric_of_the_levels_and_every_file_is_explained() -> None:
    explained = first_cells("column of `levels.csv`")
    assert explained == [name for name in tables.LEVEL_COLUMNS if name in explained]
    assert {name.rpartition("_")[0] for name in tables.LEVEL_COLUMNS if name.endswith("_n")} == {
        name.rpartition("_")[0] for name in explained if name.endswith("_n")
    }
    assert {*tables.TABLES, "summary.json"} <= {*first_cells("file in `--out`")}
    assert ", ".join(f"`{name}`" for name in FILE_COLUMNS).split(", ")[2:] == [
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
