"""The generated parts of the reference pages are what the code says."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import cspine
import cspine.study

SCRIPT = Path(__file__).parents[1] / "docs" / "generate.py"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_reference", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_generated_part_is_up_to_date(script: ModuleType) -> None:
    # In a process of its own: click keeps the help option of each command that a test has invoked before.
    items = f"runpy.run_path({str(SCRIPT)!r})['pages']().items()"
    code = f"import json, runpy; print(json.dumps({{str(path): text for path, text in {items}}}))"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    pages = {Path(path): text for path, text in json.loads(printed).items()}
    stale = [path.name for path, text in pages.items() if path.read_text(encoding="utf-8") != text]
    assert stale == []
    assert {path.stem for path in pages} == set(script.GENERATORS)


def test_a_stale_part_is_rewritten(script: ModuleType) -> None:
    page = "# Errors\n\n<!-- generated: errors -->\n\n| old |\n\n<!-- end -->\n\nMore.\n"
    text = script.generated(page)
    assert "| old |" not in text and "CS-INT-001" in text
    assert text.startswith("# Errors\n") and text.endswith("\n\n<!-- end -->\n\nMore.\n")
    assert script.generated(text) == text


def test_the_page_of_the_api_has_every_public_name_and_no_other(script: ModuleType) -> None:
    directives = re.findall(r"^::: cspine\.(.+)$", script.api(), re.MULTILINE)
    functions = [f"study.{name}" for name in cspine.study.__all__]
    assert directives == [*sorted(set(cspine.__all__) - {"__version__", "study"}), *functions]


def test_the_comparison_changes_no_page() -> None:
    before = {path: path.stat().st_mtime_ns for path in (SCRIPT.parent / "reference").glob("*.md")}
    assert subprocess.run([sys.executable, SCRIPT, "--check"], check=False).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before
