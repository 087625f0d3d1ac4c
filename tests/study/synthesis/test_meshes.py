"""Meshes: read from files, and converted to signed distances of solids whose distance is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import AtlasError
from cspine.study.synthesis.meshes import Mesh, fill, read_obj, signed_distance_lattice
from tests.builders.raises import raises_code
from tests.builders.solid_people import box, ellipsoid, moved, without, write_obj

_STEP = 0.5


def _points(distance: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Coordinates (x, y, z) of the points of a lattice."""
    z, y, x = np.indices(distance.shape)
    return np.stack([x, y, z], axis=-1) * _STEP + low


def test_a_file_gives_its_mesh_back_and_polygons_become_triangles(tmp_path: Path) -> None:
    mesh = ellipsoid((3, 4, 5), rings=6)
    write_obj(tmp_path / "a.obj", mesh)
    again = read_obj(tmp_path / "a.obj")
    assert np.allclose(again.corners, mesh.corners, atol=1e-4)
    assert np.array_equal(again.triangles, mesh.triangles)
    (tmp_path / "b.obj").write_text("# a square\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 1/1 2/2 3/3 4/4\n")
    assert read_obj(tmp_path / "b.obj").triangles.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize("text", ["", "v 0 0 0\nf 1 2 3\n", "v a b c\n", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n"])
def test_a_file_without_a_mesh_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.obj").write_text(text)
    with raises_code(AtlasError, "bad.obj"):
        read_obj(tmp_path / "bad.obj")
    with raises_code(AtlasError, "absent.obj"):
        read_obj(tmp_path / "absent.obj")


def test_the_distance_of_a_ball_is_correct_within_half_a_step() -> None:
    distance, low = signed_distance_lattice(ellipsoid((8, 8, 8)), _STEP, 4.0)
    truth = 8.0 - np.linalg.norm(_points(distance, low), axis=-1)
    near = np.abs(truth) < 3.5
    assert np.abs(distance - truth)[near].max() < 0.5 * _STEP + 0.05  # the ball is a polyhedron
    assert abs(float((distance - truth)[near].mean())) < 0.1


def test_the_distance_of_a_box_is_correct_beside_its_faces() -> None:
    half = np.array([6.0, 5.0, 4.0])
    distance, low = signed_distance_lattice(box((1.25, -2.0, 3.0), (6.0, 5.0, 4.0)), _STEP, 4.0)
    inward = half - np.abs(_points(distance, low) - [1.25, -2.0, 3.0])
    truth = inward.min(axis=-1)
    beside_a_face = (np.sort(inward, axis=-1)[..., 1] > 3.0) & (np.abs(truth) < 2.5)
    assert np.abs(distance - truth)[beside_a_face].max() <= 0.5 * _STEP + 1e-3


def test_a_mesh_with_holes_is_closed() -> None:
    complete = ellipsoid((8, 7, 6))
    holes = without(complete, 100, 101, 102, 103, 400)
    filled, low = signed_distance_lattice(complete, _STEP, 4.0)
    closed, same = signed_distance_lattice(holes, _STEP, 4.0)
    assert np.array_equal(low, same)
    assert np.abs(np.count_nonzero(closed > 0) / np.count_nonzero(filled > 0) - 1) < 0.01
    assert np.abs(closed - filled).max() < 2 * _STEP


def test_the_largest_of_several_pieces_is_the_bone() -> None:
    one, other = ellipsoid((6, 6, 6)), moved(ellipsoid((2, 2, 2)), 1.0, (0, 0, 0), (14, 0, 0))
    both = Mesh(
        np.concatenate([one.corners, other.corners]),
        np.concatenate([one.triangles, other.triangles + len(one.corners)]),
    )
    distance, low = signed_distance_lattice(both, _STEP, 3.0)
    inside = _points(distance, low)[distance > 0]
    assert inside[:, 0].max() < 7


def test_a_mesh_that_encloses_nothing_is_refused() -> None:
    flat = Mesh(np.array([[0.0, 0, 0], [9, 0, 0], [0, 0, 9]]), np.array([[0, 1, 2]]))
    with raises_code(AtlasError):
        signed_distance_lattice(flat, _STEP, 3.0)


def test_points_are_inside_where_the_crossings_below_are_odd() -> None:
    inside = fill(box((5, 5, 5), (2.5, 2.5, 2.5)).corners, box((5, 5, 5), (2.5, 2.5, 2.5)).triangles, (10, 10, 10))
    assert np.argwhere(inside).min(axis=0).tolist() == [3, 3, 3]
    assert np.argwhere(inside).max(axis=0).tolist() == [7, 7, 7]
    assert inside.sum() == 125


def test_a_mesh_in_a_frame_has_the_coordinates_of_its_axes() -> None:
    axes = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    mesh = Mesh(np.array([[1.0, 3, 2]]), np.zeros((0, 3), dtype=int)).moved(np.array([1.0, 1, 1]), axes)
    assert mesh.corners.tolist() == [[2.0, 0.0, 1.0]]
