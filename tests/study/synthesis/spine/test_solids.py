"""Solids as signed distances: sign, distance, and how they grow together."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.study.synthesis.spine.solids import body, capsule, ellipsoid, lattice, mirrored, union

POINTS = lattice((-20, -20, -20), (20, 20, 20))


def at(field: np.ndarray, x: int, y: int, z: int) -> float:
    return float(field[z + 20, y + 20, x + 20])


def test_a_lattice_includes_both_its_ends() -> None:
    points = lattice((-1, 0, 2), (1, 1, 4), 0.5)
    assert points.shape == (5, 3, 5, 3)
    assert points[0, 0, 0].tolist() == [-1, 0, 2] and points[-1, -1, -1].tolist() == [1, 1, 4]


def test_a_capsule_is_a_stick_with_round_ends() -> None:
    stick = capsule(POINTS, (-8, 0, 0), (8, 0, 0), 3.0)
    assert at(stick, 0, 0, 0) == pytest.approx(3) and at(stick, 0, 7, 0) == pytest.approx(-4)
    assert at(stick, 13, 0, 0) == pytest.approx(-2)
    cone = capsule(POINTS, (-8, 0, 0), (8, 0, 0), 3.0, 1.0)
    assert at(cone, -8, 0, 0) == pytest.approx(3) and at(cone, 8, 0, 0) == pytest.approx(1)
    point = capsule(POINTS, (0, 0, 0), (0, 0, 0), 2.0)
    assert at(point, 5, 0, 0) == pytest.approx(-3)


def test_an_ellipsoid_has_its_volume() -> None:
    field = ellipsoid(POINTS, (1, -2, 3), (12, 8, 6))
    assert np.count_nonzero(field > 0) == pytest.approx(4 / 3 * np.pi * 12 * 8 * 6, rel=0.03)


def test_a_body_is_as_high_as_it_is_said_to_be_and_flat_behind() -> None:
    field = body(POINTS, width=30, depth=20, height=24)
    inside = POINTS[field > 0]
    assert inside.min(axis=0) == pytest.approx([-14, -9, -11], abs=1.1)
    assert inside.max(axis=0)[1] < 9


def test_a_union_is_no_smaller_than_its_parts_and_filled_between() -> None:
    left, right = ellipsoid(POINTS, (-7, 0, 0), (7, 7, 7)), ellipsoid(POINTS, (7, 0, 0), (7, 7, 7))
    both = union([left, right], 3.0)
    assert (both >= np.maximum(left, right) - 1e-6).all()
    assert np.count_nonzero(both > 0) > np.count_nonzero(np.maximum(left, right) > 0)


def test_a_mirrored_solid_is_symmetric() -> None:
    both = mirrored(ellipsoid(POINTS, (8, 0, 0), (4, 4, 4)))
    assert np.array_equal(both, both[..., ::-1])
    assert at(both, -8, 0, 0) > 0
