"""What a folder of predictions records of a case, and what it cannot."""

from dataclasses import asdict

import pytest

from cspine.core.findings import MISSING_LEVEL, UNDER_AGE
from cspine.io.tables import write_json
from cspine.study.prediction.records import PredictionRecord, findings_of_labels, record_of

FOUND = (("CS-FND-002", "C3", "C3 is missing."), ("CS-FND-006", "", "Nine years."))


def folder(root, *, raw=False, **changes):
    write_json(root / "summary.json", {"command": "cspine predict", "settings": {"raw": raw}})
    record = PredictionRecord("a", "external", "0", "abc", "def", ("C2", "C4"), FOUND, 1.5)
    write_json(root / "records" / "a.json", {**asdict(record), **changes})
    return root / "a.nii.gz"


def test_findings_come_back_as_they_were(tmp_path):
    assert findings_of_labels(folder(tmp_path)) == (
        MISSING_LEVEL.about("C3 is missing.", "C3"),
        UNDER_AGE.about("Nine years."),
    )
    assert record_of(tmp_path / "a.nii.gz").row()[:2] == ["a", "external"]


@pytest.mark.parametrize(
    "changes",
    [
        {"raw": True},
        {"error": "[CS-IN-001] damaged"},
        {"findings": [["CS-FND-999", "", "Of a later version."]]},
        {"findings": "none"},
        {"unknown": 1},
    ],
)
def test_where_they_are_not_known_there_are_none(tmp_path, changes):
    assert findings_of_labels(folder(tmp_path, **changes)) is None


def test_labels_of_another_system_have_none(tmp_path):
    path = folder(tmp_path)
    assert findings_of_labels(path.with_name("b.nii.gz")) is None
    (tmp_path / "summary.json").unlink()
    assert findings_of_labels(path) is None
