"""The models of an image are components of its list of parts."""

from __future__ import annotations

import hashlib
from pathlib import Path

from sbom_models import add_models

_SHIPPED = Path(__file__).resolve().parents[3] / "models" / "cervical-demo"


def test_a_model_is_a_component_with_version_licence_and_checksum() -> None:
    document = add_models({"bomFormat": "CycloneDX", "components": [{"name": "torch"}]}, [_SHIPPED])
    first, model = document["components"]
    assert first == {"name": "torch"}
    assert (model["type"], model["name"]) == ("machine-learning-model", "cervical-demo")
    assert f"version: {model['version']}\n" in (_SHIPPED / "model.yaml").read_text()
    assert model["licenses"] == [{"license": {"id": "CC-BY-4.0"}}]
    assert model["hashes"][0]["content"] == hashlib.sha256((_SHIPPED / "model.yaml").read_bytes()).hexdigest()
    assert "BodyParts3D" in model["copyright"]


def test_everything_that_ships_is_listed_and_records_beside_a_package_are_no_models() -> None:
    places = sorted(_SHIPPED.parent.iterdir())
    assert any(place.is_file() for place in places)
    names = [component["name"] for component in add_models({}, places)["components"]]
    assert names == [place.name for place in places if place.is_dir()]
