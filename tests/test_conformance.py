"""The pages that state what cspine conforms to: every test that they name is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")


@pytest.mark.parametrize("page", ["reference/conformance.md", "guide/seg-type.md", "guide/monai-developers.md"])
def test_every_test_that_a_page_names_is_there(page: str) -> None:
    named = _NAMED.findall((ROOT / "docs" / page).read_text())
    assert named
    for file, function in named:
        assert f"def {function}(" in (ROOT / file).read_text() if function else (ROOT / file).is_file(), (
            file,
            function,
        )


@pytest.mark.parametrize("title", ["DICOM objects", "SOP classes that are read", "Transfer syntaxes"])
def test_every_row_of_what_is_written_and_read_has_a_test(title: str) -> None:
    page = (ROOT / "docs" / "reference" / "conformance.md").read_text()
    section = re.split(r"^#+ ", page.split(f"# {title}\n")[1], maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 5 and all(_NAMED.search(row) for row in rows)


def test_every_yes_of_a_profile_has_a_test() -> None:
    rows = [
        row
        for row in (ROOT / "docs" / "reference" / "conformance.md").read_text().splitlines()
        if re.search(r"\| yes\b", row)
    ]
    assert len(rows) >= 6 and all(_NAMED.search(row) for row in rows)
