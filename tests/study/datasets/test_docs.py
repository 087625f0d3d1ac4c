"""docs/guide/datasets.md says what the code does, where it can be compared."""

import re
from pathlib import Path

from cspine.cli.dataset import command
from cspine.study.datasets.case_table import CaseRow
from cspine.study.datasets.label_audit import DOUBTS
from cspine.study.datasets.split import SplitSettings

DOCS = Path(__file__).resolve().parents[3] / "docs" / "guide" / "datasets.md"


def rows_after(heading: str) -> list[list[str]]:
    section = DOCS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[1:] if "---" not in line]


def test_every_doubt_is_in_the_table_with_its_meaning():
    assert {row[0]: row[1] for row in rows_after("Doubts")} == DOUBTS


def test_every_column_of_the_table_of_cases_is_explained():
    columns = re.findall(r"`(\w+)`", " ".join(row[0] for row in rows_after("cases.csv")))
    assert columns == list(CaseRow.__dataclass_fields__)


def test_options_and_numbers_of_the_page_are_those_of_the_commands():
    text = DOCS.read_text(encoding="utf-8")
    known = {
        option
        for name in ("convert", "split", "summary")
        for parameter in command.get_command(None, name).params
        for option in parameter.opts
    }
    assert set(re.findall(r"(--[a-z][a-z0-9-]+)", text)) <= known
    asked = SplitSettings()
    assert f"{asked.training} patients for training, {asked.internal} for internal validation, {asked.external}" in text
