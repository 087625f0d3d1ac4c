"""Findings about the completeness of a series; tests/pipeline/test_gateway_payload.py has them on complete runs."""

from __future__ import annotations

from cspine.dicom.completeness import MissingInstances
from cspine.dicom.earlier_results import EarlierResult
from cspine.pipeline.completeness import StudyContext, completeness_findings, superseded_results
from tests.builders.spine_phantom import MODEL, volumes


def test_every_sign_is_a_finding_of_its_own() -> None:
    _, ct = volumes()
    signs = StudyContext((), MissingInstances(stated=("one", "two"), hinted=("three",)))
    found = completeness_findings(signs, ct, MODEL, incomplete_transfer=True)
    assert [(f.code, f.severity.value) for f in found] == [
        ("CS-FND-017", "serious"),
        ("CS-FND-018", "warning"),
        ("CS-FND-018", "warning"),
        ("CS-FND-019", "info"),
    ]
    assert found[1].sentence == "one."


def test_damaged_files_of_no_known_series_are_a_finding() -> None:
    _, ct = volumes()
    context = StudyContext((), MissingInstances(), unattributed=2)
    found = completeness_findings(context, ct, MODEL, incomplete_transfer=False)
    assert [finding.code for finding in found] == ["CS-FND-028"] and "2 damaged files" in found[0].sentence


def test_labels_that_no_model_predicted_supersede_nothing() -> None:
    _, ct = volumes()
    earlier = EarlierResult("2.25.1", "2.25.2", "2.25.3", "", frozenset(), frozenset())
    assert superseded_results(StudyContext((earlier,), MissingInstances()), ct, None) == ()
