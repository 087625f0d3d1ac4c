from cspine.core.findings import FINDING_KINDS


def test_codes_are_unique_and_numbered_without_gaps() -> None:
    assert [kind.code for kind in FINDING_KINDS] == [f"CS-FND-{i:03d}" for i in range(1, len(FINDING_KINDS) + 1)]


def test_a_finding_carries_the_severity_of_its_kind() -> None:
    finding = FINDING_KINDS[0].about("C3 reaches the edge.", "C3")
    assert (finding.code, finding.level, finding.severity) == ("CS-FND-001", "C3", FINDING_KINDS[0].severity)
