"""The scaled Jacobian of known tetrahedra."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.surfaces.quality import boundary_faces, quality_of, scaled_jacobians, volumes_of
from cspine.surfaces.stuffing import TetrahedralMesh

_REGULAR = np.array([[1.0, 1, 1], [-1, -1, 1], [1, -1, -1], [-1, 1, -1]])
_CORNER = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
_ONE = np.array([[0, 1, 2, 3]])


def _positive(points: np.ndarray) -> np.ndarray:
    return _ONE if volumes_of(points, _ONE)[0] > 0 else _ONE[:, [0, 2, 1, 3]]


def test_known_values() -> None:
    assert scaled_jacobians(_REGULAR, _positive(_REGULAR))[0] == pytest.approx(1)
    # Edges 1, 1, 1 and the root of 2: 6 V = 1 over 1 x 2, the largest product of edges at a corner.
    assert scaled_jacobians(_CORNER, _ONE)[0] == pytest.approx(np.sqrt(2) / 2)
    assert scaled_jacobians(_CORNER, _ONE[:, [0, 2, 1, 3]])[0] < 0
    flat = _CORNER * (1, 1, 0.01)
    assert 0 < scaled_jacobians(flat, _ONE)[0] < 0.02


def test_limits_apply_to_the_worst_element_and_to_the_share_of_poor_ones() -> None:
    cells = np.repeat(_positive(_REGULAR), 200, axis=0)
    good = TetrahedralMesh(_REGULAR, cells)
    assert quality_of(good).is_acceptable
    points = np.concatenate([_REGULAR, _CORNER * (1, 1, 0.15)])  # 0.15: poor, but above 0.1
    for poor, acceptable in ((1, True), (3, False)):
        mesh = TetrahedralMesh(points, np.concatenate([cells, np.repeat(_ONE + 4, poor, axis=0)]))
        assert quality_of(mesh).min_scaled_jacobian > 0.1
        assert quality_of(mesh).is_acceptable is acceptable
    inverted = TetrahedralMesh(_REGULAR, np.concatenate([cells, _positive(_REGULAR)[:, [0, 2, 1, 3]]]))
    assert quality_of(inverted).inverted == 1
    assert not quality_of(inverted).is_acceptable


def test_outer_faces_face_outwards() -> None:
    faces = boundary_faces(_ONE)
    a, b, c = (_CORNER[faces[:, i]] for i in range(3))
    outward = _CORNER[faces].mean(axis=1) - _CORNER.mean(axis=0)
    assert (np.einsum("ij,ij->i", np.cross(b - a, c - a), outward) > 0).all()
