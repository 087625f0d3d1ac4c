"""The JSON beside the labels in NIfTI."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from cspine.core.findings import TRUNCATED
from cspine.report.sidecar import sidecar, write_sidecar
from tests.builders.spine_phantom import MODEL, Phantom, volumes


def test_every_label_has_a_name_a_colour_and_a_code(tmp_path: Path) -> None:
    labels, _ = volumes(Phantom(labels=(2, 8)))
    write_sidecar(labels, [TRUNCATED.about("T1 is truncated.", "T1")], tmp_path / "labels.json")
    made = json.loads((tmp_path / "labels.json").read_text())
    assert [(each["number"], each["name"], each["colour"]) for each in made["labels"]] == [
        (2, "C2", "#56b4e9"),
        (8, "T1", "#9467bd"),
    ]
    assert made["labels"][0]["code"] == {"value": "39976000", "scheme": "SCT", "meaning": "C2 vertebra"}
    assert made["findings"] == [{"code": "CS-FND-001", "level": "T1", "severity": "warning"}]
    assert made["model"]["name"] == MODEL.name and made["model"]["demonstration"] is True


def test_a_reference_has_no_model() -> None:
    labels, _ = volumes(Phantom(labels=(3,)))
    assert sidecar(replace(labels, model=None), ())["model"] is None
