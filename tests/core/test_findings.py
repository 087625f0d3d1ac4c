"""The table of findings, and results that are refused because of one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cspine.core import findings
from cspine.core.errors import FindingError, UsageError
from cspine.core.findings import (
    FINDING_KINDS,
    LEVEL_UNCERTAIN,
    OUT_OF_ORDER,
    REASSIGNED,
    FindingKind,
    parse_fail_on,
    require_none,
)
from tests.builders.raises import raises_code

_FOUND = [OUT_OF_ORDER.about("x", "C4"), LEVEL_UNCERTAIN.about("y"), REASSIGNED.about("z", "C5")]


def test_codes_are_unique_and_numbered_without_gaps() -> None:
    assert [kind.code for kind in FINDING_KINDS] == [f"CS-FND-{i:03d}" for i in range(1, len(FINDING_KINDS) + 1)]


def test_every_kind_occurs_in_a_test() -> None:
    texts = "\n".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))
    words = set(re.findall(r"CS-FND-[0-9]+|[A-Z][A-Z_]+", texts))
    names = {name: kind for name, kind in vars(findings).items() if isinstance(kind, FindingKind)}
    assert set(names.values()) == set(FINDING_KINDS)
    assert [kind.code for name, kind in names.items() if not {name, kind.code} & words] == []


def test_a_finding_carries_the_severity_of_its_kind() -> None:
    finding = FINDING_KINDS[0].about("C3 reaches the edge.", "C3")
    assert (finding.code, finding.level, finding.severity) == ("CS-FND-001", "C3", FINDING_KINDS[0].severity)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("serious", ["CS-FND-003"]),
        ("warning", ["CS-FND-003", "CS-FND-010"]),
        ("info", ["CS-FND-003", "CS-FND-010", "CS-FND-012"]),
        ("CS-FND-012", ["CS-FND-012"]),
        (" CS-FND-012 , serious", ["CS-FND-003", "CS-FND-012"]),
    ],
)
def test_a_result_with_a_named_finding_is_refused(text: str, named: list[str]) -> None:
    with raises_code(FindingError, *named):
        require_none(_FOUND, parse_fail_on(text))
    require_none([finding for finding in _FOUND if finding.code not in named], parse_fail_on(text))


def test_nothing_is_refused_unless_it_is_named() -> None:
    require_none(_FOUND, ())
    require_none(_FOUND, parse_fail_on("CS-FND-001"))


@pytest.mark.parametrize("text", ["", ",", "grave", "CS-FND-999", "serious,CS-IN-001"])
def test_what_is_no_finding_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_fail_on(text)
