"""What to do about a finding."""

from __future__ import annotations

from cspine.core import findings
from cspine.core.findings import FINDING_KINDS, Severity
from cspine.report.advice import _BY_CODE, _BY_SEVERITY, advice


def test_every_finding_has_advice_of_its_own() -> None:
    assert set(_BY_CODE) == {kind.code for kind in FINDING_KINDS}
    for kind in FINDING_KINDS:
        assert advice(kind.code, kind.severity).endswith(".")


def test_a_code_without_advice_of_its_own_gets_that_of_its_severity() -> None:
    assert advice("CS-FND-999", Severity.SERIOUS) == _BY_SEVERITY[Severity.SERIOUS]
    assert {advice("CS-FND-999", severity) for severity in Severity} == set(_BY_SEVERITY.values())


def test_doubt_about_numbers_leads_to_counting() -> None:
    for kind in (findings.MISSING_LEVEL, findings.STAGES_DISAGREE):
        assert _BY_CODE[kind.code].startswith("Count the levels")
