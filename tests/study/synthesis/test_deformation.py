"""The map from a scan into the atlas: what each part of a posture does to it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from cspine.core.geometry import Grid, to_index, to_lps
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.deformation import Posture, atlas_coordinates, random_posture, smooth_noise
from tests.builders.tiny_atlas import UPRIGHT

_CENTRE = np.array([3.0, 12.0, 1050.0])


def _grid() -> Grid:
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-30.0, -24.0, -40.0)
    return Grid((41, 25, 31), affine)


def _in_atlas(atlas: Atlas, posture: Posture) -> np.ndarray:
    """Millimetres of the atlas (LPS) at each voxel of the grid, shape (z, y, x, 3)."""
    unit = atlas_coordinates(_grid(), atlas, posture, _CENTRE).numpy()[0].astype(float)
    size_xyz = np.array(atlas.grid.shape_zyx[::-1])
    index = (unit + 1) / 2 * (size_xyz - 1)
    return to_lps(atlas.affine_lps, index.reshape(-1, 3)).reshape(*_grid().shape_zyx, 3)


def _points() -> np.ndarray:
    """Millimetres of the patient at each voxel of the grid, shape (z, y, x, 3)."""
    z, y, x = np.indices(_grid().shape_zyx, dtype=float)
    return to_lps(_grid().affine_lps, np.stack([x, y, z], -1).reshape(-1, 3)).reshape(*_grid().shape_zyx, 3)


def test_without_deformation_only_the_origin_moves_to_the_centre(atlas: Atlas) -> None:
    assert np.abs(_in_atlas(atlas, UPRIGHT) - (_points() + _CENTRE)).max() < 1e-3


def test_a_larger_neck_lies_further_out(atlas: Atlas) -> None:
    posture = replace(UPRIGHT, scale_xyz=np.array([1.2, 1.0, 0.8]))
    assert np.abs(_in_atlas(atlas, posture) - (_points() / [1.2, 1, 0.8] + _CENTRE)).max() < 1e-3


def test_the_patient_is_the_atlas_rotated(atlas: Atlas) -> None:
    tilt = Rotation.from_euler("x", 20, degrees=True)
    mapped = _in_atlas(atlas, replace(UPRIGHT, rotation=tilt.as_matrix()))
    assert np.abs(tilt.apply((mapped - _CENTRE).reshape(-1, 3)) - _points().reshape(-1, 3)).max() < 1e-3


def test_a_bend_moves_slices_within_their_plane(atlas: Atlas) -> None:
    bend = np.array([[0.0, 0, 0, 0], [8.0, 0, 0, 0]])
    moved = _in_atlas(atlas, replace(UPRIGHT, bend_mm=bend)) - _in_atlas(atlas, UPRIGHT)
    assert np.abs(moved[..., [0, 2]]).max() < 1e-3
    along = _points()[:, 0, 0, 2] / 80
    assert moved[:, 0, 0, 1] == pytest.approx(8 * along**2, abs=0.1)  # linear between the knots of the lattice


@pytest.mark.parametrize("seed", range(6))
def test_no_posture_folds_or_mirrors_space(atlas: Atlas, seed: int) -> None:
    mapped = _in_atlas(atlas, random_posture(np.random.default_rng(seed)))
    rows = [np.gradient(mapped[..., c], 2.0) for c in range(3)]
    jacobian = np.stack([np.stack(row[::-1], -1) for row in rows], -2)  # d atlas (x, y, z) / d patient (x, y, z)
    assert np.linalg.det(jacobian).min() > 0.2


def test_postures_follow_their_seed_and_stay_in_their_ranges() -> None:
    for seed in range(20):
        posture, again = (random_posture(np.random.default_rng(seed)) for _ in range(2))
        assert np.array_equal(posture.rotation, again.rotation)
        assert (posture.seed, posture.elastic) == (again.seed, again.elastic)
        assert np.linalg.det(posture.rotation) == pytest.approx(1)
        assert np.abs(Rotation.from_matrix(posture.rotation).as_euler("xyz", degrees=True)).max() <= 24
        assert ((posture.scale_xyz >= 0.8) & (posture.scale_xyz <= 1.22)).all()
        assert (np.abs(posture.bend_mm[:, :3]) <= 10).all()
    assert random_posture(np.random.default_rng(0)).seed != random_posture(np.random.default_rng(1)).seed


def test_the_elastic_field_follows_its_own_seed(atlas: Atlas) -> None:
    posture = replace(UPRIGHT, elastic=((30.0, 3.0),), seed=5)
    first, second = _in_atlas(atlas, posture), _in_atlas(atlas, posture)
    assert np.array_equal(first, second)
    other = _in_atlas(atlas, replace(posture, seed=6))
    assert 0.5 < np.abs(first - other).max() < 25
    assert 0.5 < np.abs(first - _in_atlas(atlas, UPRIGHT)).max() < 15


def test_noise_is_smooth_over_its_correlation() -> None:
    field = smooth_noise(np.random.default_rng(3), (40, 40, 40), (2.0, 8.0, 20.0)).numpy()
    assert field.shape == (40, 40, 40)
    assert abs(field.mean()) < 0.3
    assert 0.5 < field.std() < 1.5
    steps = [np.abs(np.diff(field, axis=axis)).mean() for axis in range(3)]
    assert steps[0] > 2 * steps[1] > 3 * steps[2]


@pytest.mark.parametrize("correlation", [0.1, 1.0, 500.0])
def test_noise_can_have_any_correlation(correlation: float) -> None:
    assert smooth_noise(np.random.default_rng(0), (1, 5, 9), correlation).shape == (1, 5, 9)


def test_the_centre_of_the_atlas_is_the_origin_of_the_patient(atlas: Atlas) -> None:
    voxel = np.rint(to_index(_grid().affine_lps, np.zeros((1, 3)))[0]).astype(int)
    posture = random_posture(np.random.default_rng(2))
    still = replace(posture, elastic=(), bend_mm=np.zeros((2, 4)), own_scale=np.ones((13, 3)))
    assert _in_atlas(atlas, still)[voxel[2], voxel[1], voxel[0]] == pytest.approx(_CENTRE, abs=1e-3)
