"""Triangles of a field."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.core.anatomy import vertebra
from cspine.surfaces.implicit import smooth_surface
from cspine.surfaces.surface import enclosed_volume, extract, is_closed, with_volume
from tests.builders.solid_vertebrae import sphere_mask

_TETRAHEDRON = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]])
_CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 1.0, 1.0), (0.6, 0.5, 0.5)])
def test_a_field_is_shifted_to_the_volume_of_its_mask(spacing: tuple[float, float, float]) -> None:
    mask, affine = sphere_mask(9.0, spacing)
    volume = float(mask.sum() * np.prod(spacing))
    assert extract(with_volume(smooth_surface(mask, affine), volume), vertebra("C3")).volume_mm3 == pytest.approx(
        volume, rel=0.002
    )


def test_volume_and_direction() -> None:
    assert enclosed_volume(_CORNERS, _TETRAHEDRON) == pytest.approx(1 / 6)
    assert enclosed_volume(_CORNERS, _TETRAHEDRON[:, ::-1]) == pytest.approx(-1 / 6)


def test_a_surface_with_an_open_a_turned_or_a_double_triangle_is_not_closed() -> None:
    assert is_closed(_TETRAHEDRON)
    assert not is_closed(_TETRAHEDRON[:3])
    assert not is_closed(np.concatenate([_TETRAHEDRON[:3], _TETRAHEDRON[3:, ::-1]]))
    assert not is_closed(np.concatenate([_TETRAHEDRON, _TETRAHEDRON]))
    assert not is_closed(np.zeros((0, 3), dtype=np.int64))


@pytest.mark.parametrize("flips", [(1, 1, 1), (-1, -1, 1), (-1, 1, 1)])
def test_surfaces_face_outwards_on_grids_of_both_hands(flips: tuple[int, int, int]) -> None:
    mask, affine = sphere_mask(6.0, (1.0, 1.0, 1.0))
    surface = extract(smooth_surface(mask, affine @ np.diag([*flips, 1.0])), vertebra("C3"))
    assert surface.volume_mm3 > 0
    assert is_closed(surface.triangles)
