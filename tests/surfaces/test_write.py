"""Files of surfaces."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trimesh

from cspine.core.errors import OutputNotEmptyError
from cspine.surfaces.settings import SurfaceSettings
from cspine.surfaces.vertebrae import vertebra_surfaces
from cspine.surfaces.write import write_surfaces
from tests.builders.solid_vertebrae import two_balls


def test_a_file_a_vertebra_a_scene_and_a_report(tmp_path: Path) -> None:
    found = vertebra_surfaces(two_balls(18.0))
    report = write_surfaces(found, SurfaceSettings(("stl", "glb", "vtp")), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {
        "C3.stl", "C4.stl", "C3.vtp", "C4.vtp", "vertebrae.glb", "surfaces.json",
    }  # fmt: skip
    content = json.loads(report.read_text())
    assert (content["units"], content["frame"], content["source"]) == ("mm", "LPS", "labels")
    for row in content["vertebrae"]:
        assert row["is_closed"]
        assert row["is_within_limits"]
        assert abs(row["volume_change_percent"]) <= 1
        assert trimesh.load_mesh(tmp_path / f"{row['level']}.stl").is_watertight


def test_a_later_call_replaces_the_files_of_an_earlier_one_and_leaves_others(tmp_path: Path) -> None:
    found = vertebra_surfaces(two_balls(18.0))
    write_surfaces(found, SurfaceSettings(("stl", "glb")), tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    report = write_surfaces(found[:1], SurfaceSettings(("ply",), ras=True), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"C3.ply", "surfaces.json", "notes.txt"}
    assert json.loads(report.read_text())["files"] == ["C3.ply"]


def test_a_file_that_no_call_wrote_is_refused_and_stays(tmp_path: Path) -> None:
    found = vertebra_surfaces(two_balls(18.0))
    (tmp_path / "C3.stl").write_text("mine")
    for report in (None, "[]", '{"files": "C3.stl"}', '{"files": ["C4.stl"]}'):
        if report is not None:
            (tmp_path / "surfaces.json").write_text(report)
        with pytest.raises(OutputNotEmptyError):
            write_surfaces(found, SurfaceSettings(("ply",)), tmp_path)
        assert (tmp_path / "C3.stl").read_text() == "mine"
        assert not (tmp_path / "C3.ply").exists()
