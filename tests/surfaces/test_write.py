"""Files of surfaces."""

from __future__ import annotations

import json
from pathlib import Path

import trimesh

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
