"""Files of a finite-element model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cspine.core.errors import OutputNotEmptyError
from cspine.surfaces.fe_model import FeModel
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.fe_write import write_model


def test_every_format_the_tests_and_the_report_are_written(fe_model: FeModel, tmp_path: Path) -> None:
    report = write_model(fe_model, FeSettings(formats=("inp", "feb", "k", "vtu"), compression=1.0), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "vertebrae.inp", "vertebrae.feb", "vertebrae.k", "vertebrae.vtu", "elements.json",
        "C3-compression.inp", "C4-compression.inp", "C5-compression.inp",
    }  # fmt: skip
    content = json.loads(report.read_text())
    assert [row["name"] for row in content["parts"]] == [part.name for part in fe_model.parts]
    assert all(row["is_acceptable"] and row["inverted"] == 0 for row in content["parts"])
    assert content["material"]["from_hu"] is True
    assert [row["density_limited_percent"] for row in content["parts"]] == [0] * len(fe_model.parts)
    assert set(content["distances_mm"]) == {"C3-C4", "C4-C5"}


def test_the_same_model_gives_the_same_bytes(fe_model: FeModel, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_model(fe_model, FeSettings(), tmp_path / name)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_later_call_replaces_the_files_of_an_earlier_one(fe_model: FeModel, tmp_path: Path) -> None:
    write_model(fe_model, FeSettings(formats=("inp", "vtu"), compression=1.0), tmp_path)
    write_model(fe_model, FeSettings(formats=("vtu",)), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"vertebrae.vtu", "elements.json"}


def test_a_file_that_no_call_wrote_is_refused_and_stays(fe_model: FeModel, tmp_path: Path) -> None:
    (tmp_path / "vertebrae.inp").write_text("mine")
    with pytest.raises(OutputNotEmptyError):
        write_model(fe_model, FeSettings(formats=("inp",)), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["vertebrae.inp"]
