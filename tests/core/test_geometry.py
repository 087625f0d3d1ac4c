"""Axis order, orientation and tilt, against SimpleITK and nibabel where they know the answer."""

from __future__ import annotations

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from cspine.core.errors import UnsupportedOrientationError
from cspine.core.geometry import (
    Affine,
    Grid,
    deshear,
    make_affine,
    orientation_of,
    orthogonal_grid,
    ras_to_lps,
    reorientation,
    resample_labels,
    resample_linear,
    shear_mm,
    to_index,
    to_lps,
)
from tests.builders.ct_series import Stack, phantom_on

ORIENTATIONS = sorted(
    "".join(letters) for axes in permutations([("L", "R"), ("P", "A"), ("S", "I")]) for letters in product(*axes)
)
_SHAPE = (4, 5, 6)


def _oblique_affine(angles_deg: tuple[float, float, float] = (9.0, -14.0, 21.0)) -> Affine:
    axes = Rotation.from_euler("xyz", angles_deg, degrees=True).as_matrix()
    return make_affine(axes, (0.5, 0.75, 2.0), np.array([-11.0, 7.0, -23.0]))


def _array() -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    return np.arange(np.prod(_SHAPE), dtype=np.int16).reshape(_SHAPE)


# --- affines ----------------------------------------------------------------------------------------------------------


def test_points_go_to_millimetres_and_back() -> None:
    affine = _oblique_affine()
    index = np.array([[0.0, 0, 0], [1, 0, 0], [5, 4, 3.5]])
    points = to_lps(affine, index)
    assert np.allclose(points[0], [-11, 7, -23])
    assert np.allclose(np.linalg.norm(points[1] - points[0]), 0.5)
    assert np.allclose(to_index(affine, points), index)


def test_ras_to_lps_is_its_own_inverse() -> None:
    affine = _oblique_affine()
    assert np.allclose(ras_to_lps(ras_to_lps(affine)), affine)
    assert np.allclose(ras_to_lps(np.eye(4))[:3, :3], np.diag([-1, -1, 1]))


def test_a_grid_knows_its_spacing_volume_and_corners() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    assert grid.spacing_xyz == pytest.approx((0.5, 0.75, 2.0))
    assert grid.voxel_mm3 == pytest.approx(0.75)
    assert grid.corners_lps().shape == (8, 3)
    assert np.allclose(grid.corners_lps()[-1], to_lps(grid.affine_lps, np.array([[5.0, 4, 3]]))[0])


def test_a_sheared_voxel_has_the_volume_of_its_slab() -> None:
    assert Stack(tilt_deg=20).grid.voxel_mm3 == pytest.approx(Stack().grid.voxel_mm3)


def test_grids_are_close_by_their_corners() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    moved = grid.affine_lps.copy()
    moved[0, 3] += 0.01
    assert grid.is_close(Grid(_SHAPE, grid.affine_lps.copy()))
    assert not grid.is_close(Grid(_SHAPE, moved))
    assert grid.is_close(Grid(_SHAPE, moved), tolerance_mm=0.02)
    assert not grid.is_close(Grid((4, 5, 7), grid.affine_lps))


# --- orientation ------------------------------------------------------------------------------------------------------


def test_there_are_48_orientations() -> None:
    assert len(set(ORIENTATIONS)) == 48


@pytest.mark.parametrize("target", ORIENTATIONS)
def test_reorienting_keeps_each_voxel_at_its_position_and_can_be_undone(target: str) -> None:
    grid, array = Grid(_SHAPE, _oblique_affine()), _array()
    change = reorientation(grid.affine_lps, target)
    reoriented, there = change.apply(array), change.grid(grid)
    assert orientation_of(there.affine_lps) == target
    assert there.shape_zyx == reoriented.shape
    assert np.array_equal(change.undo(reoriented), array)
    box = (slice(1, 3), slice(0, 2), slice(2, 4))
    there_box = change.box(box, grid.shape_zyx)
    assert np.array_equal(reoriented[there_box], change.apply(array[box]))
    assert change.undo_box(there_box, grid.shape_zyx) == box
    for z, y, x in [(0, 0, 0), (3, 1, 2)]:
        position = to_lps(grid.affine_lps, np.array([[float(x), y, z]]))
        i, j, k = np.rint(to_index(there.affine_lps, position)[0]).astype(int)
        assert reoriented[k, j, i] == array[z, y, x]


@pytest.mark.parametrize("target", ORIENTATIONS)
def test_reorienting_equals_simpleitk(target: str) -> None:
    affine = _oblique_affine()
    image = SimpleITK.GetImageFromArray(_array())
    image.SetSpacing((0.5, 0.75, 2.0))
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetDirection((affine[:3, :3] / [0.5, 0.75, 2.0]).ravel().tolist())
    expected = SimpleITK.DICOMOrient(image, target)
    change = reorientation(affine, target)
    assert np.array_equal(change.apply(_array()), SimpleITK.GetArrayFromImage(expected))
    there = change.grid(Grid(_SHAPE, affine)).affine_lps
    assert np.allclose(there[:3, 3], expected.GetOrigin())
    directions = np.array(expected.GetDirection()).reshape(3, 3) * expected.GetSpacing()
    assert np.allclose(there[:3, :3], directions)


@pytest.mark.parametrize("target", ORIENTATIONS)
def test_reorienting_equals_nibabel(target: str) -> None:
    affine = _oblique_affine()
    image = nibabel.Nifti1Image(_array().transpose(2, 1, 0), ras_to_lps(affine))
    start = nibabel.orientations.io_orientation(image.affine)
    end = nibabel.orientations.axcodes2ornt(tuple(target))
    expected = image.as_reoriented(nibabel.orientations.ornt_transform(start, end))
    change = reorientation(affine, target)
    assert np.array_equal(change.apply(_array()), np.asarray(expected.dataobj).transpose(2, 1, 0))
    assert np.allclose(change.grid(Grid(_SHAPE, affine)).affine_lps, ras_to_lps(expected.affine))
    assert "".join(nibabel.aff2axcodes(expected.affine)) == target


@pytest.mark.parametrize("angle", [0.0, 30.0, 44.0])
def test_an_oblique_axis_gets_its_nearest_direction(angle: float) -> None:
    assert orientation_of(_oblique_affine((angle, 0.0, 0.0))) == "LPS"


@pytest.mark.parametrize("target", ["LLS", "LP", "LPSS", "XYZ", ""])
def test_what_is_no_orientation_is_refused(target: str) -> None:
    with pytest.raises(UnsupportedOrientationError):
        reorientation(np.eye(4), target)


# --- tilt -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tilt", [-25.0, 0.0, 12.0])
def test_shear_is_what_the_gantry_was_tilted(tilt: float) -> None:
    x, y = shear_mm(Stack(tilt_deg=tilt, rotation_deg=(5, 6, 7)).grid.affine_lps)
    assert x == pytest.approx(0, abs=1e-9)
    assert y == pytest.approx(2.0 * np.tan(np.radians(tilt)))


@pytest.mark.parametrize("tilt", [-25.0, 12.0])
@pytest.mark.parametrize("shear_x", [0.0, 6.0, -6.0])
def test_the_orthogonal_grid_is_orthogonal_in_the_same_planes_and_loses_nothing(tilt: float, shear_x: float) -> None:
    source = Stack(tilt_deg=tilt, shear_x_deg=shear_x, rotation_deg=(5, -8, 12)).grid
    orthogonal = orthogonal_grid(source)
    assert shear_mm(orthogonal.affine_lps) == pytest.approx((0, 0), abs=1e-9)
    x_mm, y_mm, z_mm = orthogonal.spacing_xyz
    assert (x_mm, y_mm, z_mm) == pytest.approx((0.5, 0.75, 2.0))
    there = to_index(orthogonal.affine_lps, source.corners_lps())
    assert there.min() >= -1e-6
    assert (there <= np.array(orthogonal.shape_zyx[::-1]) - 1 + 1e-6).all()
    assert np.allclose(there[:, 2], np.rint(there[:, 2]))


def test_an_orthogonal_grid_stays_as_it_is() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    assert orthogonal_grid(grid).is_close(grid, 1e-9)


@pytest.mark.parametrize("tilt", [-25.0, 12.0])
@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_desheared_values_are_where_they_belong(tilt: float, dtype: type) -> None:
    source = Stack(tilt_deg=tilt, shape_zyx=(6, 14, 9), rotation_deg=(0, 5, 9)).grid
    orthogonal = orthogonal_grid(source)
    resampled = deshear(phantom_on(source).astype(dtype), source, orthogonal, -1024)
    assert resampled.dtype == dtype
    assert resampled.shape == orthogonal.shape_zyx
    z, y, x = np.indices(orthogonal.shape_zyx, dtype=float)
    there = to_index(source.affine_lps, to_lps(orthogonal.affine_lps, np.stack([x, y, z], axis=-1).reshape(-1, 3)))
    row = there[:, 1].reshape(orthogonal.shape_zyx)
    between = (row >= -1e-6) & (row <= 13 + 1e-6)
    tolerance = 1.51 if dtype is np.int16 else 1e-2
    assert np.abs(resampled - phantom_on(orthogonal))[between].max() <= tolerance
    assert between.sum() >= 6 * 13 * 9
    assert ((resampled == -1024) == ((row < -0.5) | (row > 13.5))).all()


def test_labels_come_back_to_the_sheared_slices() -> None:
    source = Stack(tilt_deg=18.0, shape_zyx=(8, 30, 20)).grid
    orthogonal = orthogonal_grid(source)
    labels = np.zeros(orthogonal.shape_zyx, dtype=np.uint8)
    z, y, x = np.indices(orthogonal.shape_zyx, dtype=float)
    points = to_lps(orthogonal.affine_lps, np.stack([x, y, z], axis=-1).reshape(-1, 3))
    centre = to_lps(source.affine_lps, np.array([[9.5, 14.5, 3.5]]))
    labels[(np.linalg.norm(points - centre, axis=1) < 4.0).reshape(labels.shape)] = 3
    back = resample_labels(labels, orthogonal, source)
    assert back.shape == source.shape_zyx
    assert set(np.unique(back)) == {0, 3}
    z, y, x = np.nonzero(back)
    found = to_lps(source.affine_lps, np.stack([x, y, z], axis=1).astype(float)).mean(axis=0)
    assert np.linalg.norm(found - centre[0]) < 0.4
    assert back.astype(bool).sum() == pytest.approx(labels.astype(bool).sum(), rel=0.02)


def test_labels_on_the_same_grid_are_the_same_array() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    labels = np.ones(_SHAPE, dtype=np.uint8)
    assert resample_labels(labels, grid, Grid(_SHAPE, grid.affine_lps.copy())) is labels


def test_labels_to_a_grid_of_another_orientation_equal_reorienting() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    change = reorientation(grid.affine_lps, "RSA")
    labels = (_array() % 9).astype(np.uint8)
    assert np.array_equal(resample_labels(labels, grid, change.grid(grid)), change.apply(labels))


def test_labels_to_a_larger_grid_have_background_outside() -> None:
    grid = Grid(_SHAPE, _oblique_affine())
    affine = grid.affine_lps.copy()
    affine[:3, 3] = to_lps(affine, np.array([[-2.0, -1.0, -1.0]]))[0]
    larger = resample_labels(np.ones(_SHAPE, np.uint8), grid, Grid((6, 8, 10), affine))
    assert larger.sum() == np.prod(_SHAPE)
    assert (larger[1:5, 1:6, 2:8] == 1).all()


def test_labels_slab_by_slab_equal_labels_at_once() -> None:
    """A grid of more than 2**22 voxels goes in slabs; they must join without a seam."""
    source = Grid((40, 30, 30), make_affine(np.eye(3), (8.0, 8.0, 1.3), np.zeros(3)))
    target = Grid((51, 300, 300), make_affine(np.eye(3), (0.8, 0.8, 1.0), np.array([0.3, 0.2, 0.1])))
    labels = np.random.default_rng(0).integers(0, 9, source.shape_zyx).astype(np.uint8)
    z, y, x = (np.arange(n) for n in target.shape_zyx)
    nearest = [np.rint((z + 0.1) / 1.3), np.rint((y * 0.8 + 0.2) / 8), np.rint((x * 0.8 + 0.3) / 8)]
    expected = np.pad(labels, ((0, 1), (0, 1), (0, 1)))[np.ix_(*(n.astype(int) for n in nearest))]
    assert np.array_equal(resample_labels(labels, source, target), expected)


def test_a_part_of_a_grid_lies_where_its_voxels_are() -> None:
    affine = np.array([[0.5, 0.1, 0, -10], [0, 0.7, 0.3, 20], [0, 0, 2.0, -300], [0, 0, 0, 1.0]])
    grid = Grid((10, 20, 30), affine)
    part = grid.part((slice(2, 6), slice(3, 9), slice(5, 15)))
    assert part.shape_zyx == (4, 6, 10)
    assert to_lps(part.affine_lps, np.array([[1.0, 2, 3]])) == pytest.approx(to_lps(affine, np.array([[6.0, 5, 5]])))


def test_linear_resampling_is_exact_for_what_is_linear_and_0_outside() -> None:
    source = Grid((12, 14, 16), np.diag([0.8, 1.0, 1.5, 1.0]))
    z, y, x = np.indices(source.shape_zyx, dtype=np.float32)
    values = (2 * x * 0.8 - 3 * y + 5 * z * 1.5).astype(np.float32)
    turn = Rotation.from_euler("xyz", (10, -20, 30), degrees=True).as_matrix()
    target = Grid((4, 5, 6), make_affine(turn, (0.6, 0.6, 0.6), np.array([5.0, 5.0, 6.0])))
    found = resample_linear(values, source, target)
    index = np.argwhere(np.ones(target.shape_zyx))[:, ::-1].astype(float)
    points = to_lps(target.affine_lps, index)
    assert found.ravel() == pytest.approx(points @ np.array([2.0, -3.0, 5.0]), abs=1e-3)
    far = Grid((2, 2, 2), make_affine(np.eye(3), (1.0, 1.0, 1.0), np.array([100.0, 0, 0])))
    assert not resample_linear(values, source, far).any()
