"""Distances of points from the boundary of voxels."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.surfaces.fidelity import boundary_distances, fidelity_of
from cspine.surfaces.surface import Surface


def _cube() -> np.ndarray:
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[3:6, 3:6, 3:6] = True
    return mask


@pytest.mark.parametrize(
    ("point", "distance"),
    [
        ((4, 4, 5.5), 0.0),
        ((4, 4, 5.25), 0.25),
        ((4, 4, 6.0), 0.5),
        ((6.0, 6.0, 6.0), np.sqrt(0.75)),
        ((4, 4, 4), 1.0),
    ],
)
def test_distances_are_those_to_the_faces(point: tuple[float, float, float], distance: float) -> None:
    assert boundary_distances(np.array([point], dtype=float), _cube())[0] == pytest.approx(distance)


def test_a_box_on_the_faces_has_no_distance_and_no_change() -> None:
    corners = np.array([[x, y, z] for x in (2.5, 5.5) for y in (2.5, 5.5) for z in (2.5, 5.5)])
    triangles = np.array(
        [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4],
         [1, 5, 7], [1, 7, 3]]
    )  # fmt: skip
    fidelity = fidelity_of(Surface(vertebra("C3"), corners, triangles), _cube(), np.eye(4))
    assert fidelity.volume_change == pytest.approx(0)
    assert fidelity.distance_max_voxels == pytest.approx(0)
