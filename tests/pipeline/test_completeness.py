"""Findings about the wholeness of a series; tests/pipeline/test_gateway_payload.py has them on whole runs."""

from __future__ import annotations

import pytest

from cspine.core.errors import UsageError
from cspine.dicom.completeness import MissingInstances
from cspine.dicom.earlier_results import EarlierResult
from cspine.pipeline.completeness import StudyContext, completeness_findings, superseded_results
from cspine.pipeline.settings import incomplete_transfer
from tests.builders.spine_phantom import MODEL, volumes


@pytest.mark.parametrize(
    ("value", "broke_off"), [({}, False), ({"CSPINE_INCOMPLETE": "0"}, False), ({"CSPINE_INCOMPLETE": "1"}, True)]
)
def test_the_variable_says_whether_the_sender_broke_off(value: dict[str, str], broke_off: bool) -> None:
    assert incomplete_transfer(value) is broke_off


def test_a_variable_that_says_something_else_is_refused() -> None:
    with pytest.raises(UsageError, match="neither 0 nor 1"):
        incomplete_transfer({"CSPINE_INCOMPLETE": "perhaps"})


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


def test_labels_that_no_model_drew_take_no_place() -> None:
    _, ct = volumes()
    earlier = EarlierResult("2.25.1", "2.25.2", "2.25.3", "", frozenset(), frozenset())
    assert superseded_results(StudyContext((earlier,), MissingInstances()), ct, None) == ()
