"""Surface files, read back by other libraries."""

from __future__ import annotations

import base64
import hashlib
import io
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
import trimesh

from cspine.core.anatomy import vertebra
from cspine.surfaces.formats import surface_bytes, write_scene
from cspine.surfaces.implicit import smooth_surface
from cspine.surfaces.surface import Surface, extract
from tests.builders.other_process import output_with_another_hash_seed
from tests.builders.solid_vertebrae import sphere_mask

#: Prints the checksum of the ball in each format.
_IN_ANOTHER_PROCESS = """
from hashlib import sha256
from cspine.surfaces.formats import surface_bytes
from tests.surfaces.test_formats import FORMATS, make_ball
for name in FORMATS:
    print(name, sha256(surface_bytes(make_ball(), name)).hexdigest())
"""
FORMATS = ("stl", "ply", "obj", "vtp")


def make_ball() -> Surface:
    mask, affine = sphere_mask(5.0, (1.0, 1.0, 1.0))
    affine[:3, 3] += 30, -20, 10
    return extract(smooth_surface(mask, affine), vertebra("C5"))


@pytest.fixture(scope="module")
def ball() -> Surface:
    return make_ball()


@pytest.mark.parametrize("file_format", ["stl", "ply", "obj"])
def test_trimesh_reads_the_same_closed_surface(ball: Surface, file_format: str) -> None:
    read = trimesh.load_mesh(io.BytesIO(surface_bytes(ball, file_format)), file_type=file_format)
    assert read.is_watertight
    assert read.volume == pytest.approx(ball.volume_mm3, rel=1e-4)
    np.testing.assert_allclose(read.bounds, [ball.points_lps.min(axis=0), ball.points_lps.max(axis=0)], atol=1e-4)


def test_ras_turns_left_and_front(ball: Surface) -> None:
    read = trimesh.load_mesh(io.BytesIO(surface_bytes(ball, "stl", ras=True)), file_type="stl")
    np.testing.assert_allclose(read.bounds.mean(axis=0), (-30, 20, 10), atol=0.05)
    assert read.volume == pytest.approx(ball.volume_mm3, rel=1e-4)


def test_the_same_surface_gives_the_same_bytes_in_another_process(ball: Surface) -> None:
    here = "".join(f"{name} {hashlib.sha256(surface_bytes(ball, name)).hexdigest()}\n" for name in FORMATS)
    assert output_with_another_hash_seed(_IN_ANOTHER_PROCESS) == here


def test_vtp_has_points_and_polygons(ball: Surface) -> None:
    root = ET.fromstring(surface_bytes(ball, "vtp"))
    piece = root.find("PolyData/Piece")
    assert piece is not None
    arrays = {each.get("Name"): _decoded(each) for each in piece.iter("DataArray")}
    np.testing.assert_array_equal(arrays["Points"].reshape(-1, 3), ball.points_lps)
    np.testing.assert_array_equal(arrays["connectivity"].reshape(-1, 3), ball.triangles)
    assert arrays["offsets"][-1] == 3 * int(str(piece.get("NumberOfPolys")))


def test_the_scene_has_names_and_colours(ball: Surface, tmp_path: Path) -> None:
    other = Surface(vertebra("C6"), ball.points_lps - (0, 0, 20), ball.triangles)
    write_scene([ball, other], tmp_path / "all.glb")
    scene = trimesh.load_scene(tmp_path / "all.glb")
    assert set(scene.geometry) == {"C5", "C6"}
    for name, mesh in scene.geometry.items():
        assert mesh.is_watertight
        assert tuple(mesh.visual.material.baseColorFactor[:3]) == vertebra(name).rgb


def _decoded(array: ET.Element) -> np.ndarray:
    kind = {"Float64": "<f8", "Int64": "<i8"}[str(array.get("type"))]
    data = base64.b64decode(str(array.text))
    assert int(np.frombuffer(data[:8], "<u8")[0]) == len(data) - 8
    return np.frombuffer(data[8:], kind)
