from __future__ import annotations

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from cspine.core.errors import ModelError
from cspine.models.manifest import ModelManifest, explain, manifest_text, read_manifest
from tests.builders.nnunet_results import TinyModel
from tests.builders.raises import raises_code


def changed(**stage: Any) -> dict[str, Any]:
    content = TinyModel().manifest().model_dump(mode="json")
    content["stages"][0].update(stage)
    return content


def test_a_manifest_survives_a_round_trip_through_yaml(tmp_path):
    manifest = TinyModel().manifest(files={"fine/plans.json": "0" * 64})
    path = tmp_path / "model.yaml"
    path.write_text(manifest_text(manifest), encoding="utf-8")
    assert read_manifest(path) == manifest
    assert yaml.safe_load(path.read_text())["stages"][0]["labels"] == {1: "C1", 2: "C2", 3: "auxiliary"}


@pytest.mark.parametrize(
    ("stage", "kind", "value"),
    [
        ({"orientation": "LPL"}, "value_error", "'LPL'"),
        ({"labels": {1: "C1", 3: "C2"}}, "value_error", "1, 2, 3"),
        ({"labels": {1: "C1", 2: "C1"}}, "value_error", "labels"),
        ({"labels": {1: "skull"}}, "value_error", "'skull'"),
        ({"labels": {1: "auxiliary"}}, "value_error", "labels"),
        ({"folds": ["0", "../1"]}, "value_error", "0, ../1"),
        ({"folds": []}, "too_short", "folds"),
        ({"folder": "../elsewhere"}, "string_pattern_mismatch", "folder"),
        ({"mirror_axes": [3]}, "less_than_equal", "mirror_axes"),
        ({"mirror_axes": [0, 0]}, "value_error", "mirror_axes"),
        ({"margin_mm": float("nan")}, "less_than_equal", "margin_mm"),
        ({"margin_mm": float("inf")}, "less_than_equal", "margin_mm"),
        ({"labels": dict.fromkeys(range(1, 300), "auxiliary")}, "too_long", "labels"),
        ({"folds": [str(number) for number in range(200)]}, "too_long", "folds"),
        ({"unheard_of": 1}, "extra_forbidden", "unheard_of"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused_with_its_field(stage, kind, value):
    with pytest.raises(ValidationError) as caught:
        ModelManifest.model_validate(changed(**stage))
    assert kind in {fault["type"] for fault in caught.value.errors()}
    text = explain(caught.value)
    assert "stages.0" in text and value in text


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/../../x", "C:/x", "a\\b", "model.yaml", ""])
def test_a_file_outside_the_package_is_refused(name):
    with pytest.raises(ValidationError, match="files"):
        TinyModel().manifest(files={name: "0" * 64})


def test_level_names_are_brought_to_one_spelling():
    manifest = ModelManifest.model_validate(changed(labels={1: "vertebrae_C1", 2: "auxiliary"}, orientation="ras"))
    assert manifest.stages[0].levels == ("C1",)
    assert manifest.stages[0].orientation == "RAS"


def test_two_stages_never_share_a_folder():
    content = changed()
    content["stages"].append({**content["stages"][0], "name": "other"})
    with pytest.raises(ValidationError, match="folder"):
        ModelManifest.model_validate(content)


def test_identity_changes_with_any_field_and_any_file():
    base = TinyModel().manifest()
    others = [TinyModel().manifest(version="1.1"), TinyModel().manifest(files={"fine/plans.json": "1" * 64})]
    assert len({m.identity.checksum for m in (base, *others)}) == 3
    assert TinyModel().manifest(demonstration=True).identity.title == "tiny 1.0 (DEMONSTRATION)"


@pytest.mark.parametrize(
    "text",
    [
        *("- 1", "", "name: [", "name: tiny", "!!python/object/apply:os.getcwd []", "version: 2024-13-45"),
        *("[" * 10_000, "{a: " * 500, "format: " + "9" * 5000, "format: .inf", "? {a: 1}\n: 1", "name: 2024-13-45"),
    ],
)
def test_a_file_that_is_no_manifest_is_refused(tmp_path, text):
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(ModelError):
        read_manifest(path)


def test_an_absent_file_is_refused(tmp_path):
    with raises_code(ModelError, "FileNotFoundError"):
        read_manifest(tmp_path / "model.yaml")
