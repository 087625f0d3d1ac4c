"""A complete case: from its seed, at its position, with labels on its bones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cspine.core.geometry import orientation_of, to_index, to_lps
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis.atlas import LUNG, TEETH, Atlas, signed_distance
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from tests.builders.tiny_atlas import PERFECT, plain_case

_SMALL = CaseSettings(extent_xyz_mm=(60.0, 70.0, 90.0), complete_neck=True)


@pytest.fixture(scope="module")
def plain(atlas: Atlas) -> tuple[CtVolume, LabelVolume]:
    return synthesize_case(atlas, 3, plain_case())


def _centre(mask_zyx: np.ndarray, affine: np.ndarray) -> np.ndarray:
    return to_lps(affine, np.argwhere(mask_zyx).mean(axis=0)[None, ::-1])[0]


def _corners(mask_zyx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    found = np.argwhere(mask_zyx)
    return found.min(axis=0), found.max(axis=0)


# --- seed -------------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_case_and_another_seed_another(atlas: Atlas) -> None:
    ct, labels = synthesize_case(atlas, 11, _SMALL)
    same_ct, same_labels = synthesize_case(atlas, 11, _SMALL)
    assert np.array_equal(ct.hu_zyx, same_ct.hu_zyx)
    assert np.array_equal(labels.labels_zyx, same_labels.labels_zyx)
    other_ct, other_labels = synthesize_case(atlas, 12, _SMALL)
    assert not np.array_equal(ct.hu_zyx, other_ct.hu_zyx)
    assert not np.array_equal(labels.labels_zyx, other_labels.labels_zyx)


@pytest.mark.parametrize("seed", range(4))
def test_values_are_whole_hounsfield_units_of_a_ct(atlas: Atlas, seed: int) -> None:
    ct, labels = synthesize_case(atlas, seed, _SMALL)
    assert ct.hu_zyx.dtype == np.int16
    assert labels.labels_zyx.dtype == np.uint8
    assert ct.hu_zyx.min() >= -1024
    assert ct.hu_zyx.max() <= 3071
    assert ct.hu_zyx.min() < -800  # air
    assert ct.hu_zyx.max() > 300  # bone
    assert set(np.unique(labels.labels_zyx)) <= set(range(14))


# --- grid -------------------------------------------------------------------------------------------------------------


def test_the_grid_is_the_one_asked_for(atlas: Atlas) -> None:
    ct, labels = synthesize_case(atlas, 5, replace(_SMALL, spacing_xyz=(1.5, 2.0, 3.0)))
    assert ct.grid.shape_zyx == (30, 35, 40)
    assert ct.grid.spacing_xyz == pytest.approx((1.5, 2.0, 3.0))
    assert orientation_of(ct.affine_lps) == "LPS"
    assert ct.grid.is_close(labels.grid, 1e-9)
    assert ct.grid.corners_lps().mean(axis=0) == pytest.approx((0, 0, 0))


def test_a_random_field_of_view_has_its_size(atlas: Atlas) -> None:
    ct, _ = synthesize_case(atlas, 2, CaseSettings(posture=None, scan=PERFECT, internal_mm=2.0))
    extent = np.array(ct.grid.shape_zyx) * 2.0
    assert ((extent >= 108) & (extent <= [302, 242, 372])).all()


# --- anatomy ----------------------------------------------------------------------------------------------------------


def test_each_vertebra_lies_where_the_atlas_has_it(atlas: Atlas, plain: tuple[CtVolume, LabelVolume]) -> None:
    _, labels = plain
    found = {k: _centre(labels.labels_zyx == k, labels.affine_lps) for k in range(1, 14)}
    shift = found[5] - atlas.centroids_lps[5]
    for label, centre in found.items():
        assert centre - atlas.centroids_lps[label] == pytest.approx(shift, abs=2.0)  # surfaces are uneven
        assert (labels.labels_zyx == label).sum() == pytest.approx(1956, rel=0.45)
    assert found[1][2] > found[7][2] + 40  # C1 above C7


def test_the_patient_is_not_mirrored(atlas: Atlas, plain: tuple[CtVolume, LabelVolume]) -> None:
    ct, labels = plain
    shift = _centre(labels.labels_zyx == 5, labels.affine_lps) - atlas.centroids_lps[5]

    def around(point_lps: np.ndarray) -> float:
        x, y, z = np.rint(to_index(ct.affine_lps, point_lps[None])[0]).astype(int)
        return float(np.median(ct.hu_zyx[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2]))

    for tissue, low, high in ((LUNG, -1000, -600), (TEETH, 800, 3071)):
        position = _centre(atlas.tissue_zyx == tissue, atlas.affine_lps) + shift
        mirrored = position.copy()
        mirrored[0] = 2 * (atlas.centroids_lps[5] + shift)[0] - position[0]
        assert low <= around(position) <= high
        assert -300 < around(mirrored) < 400


@pytest.mark.parametrize("seed", range(3))
def test_labels_end_at_the_steepest_edge_of_the_bone(atlas: Atlas, seed: int) -> None:
    ct, labels = synthesize_case(atlas, seed, plain_case())
    near = tuple(slice(max(low - 6, 0), high + 7) for low, high in zip(*_corners(labels.labels_zyx > 0), strict=True))
    hu, depth = ct.hu_zyx[near], signed_distance(labels.labels_zyx[near] > 0)
    shells = [hu[(depth > edge) & (depth <= edge + 1)].mean() for edge in range(-4, 3)]
    assert shells[4] > shells[3] + 100  # just inside, just outside
    assert int(np.argmax(np.diff(shells))) == 3


def test_a_coarser_grid_shows_the_same_patient(atlas: Atlas, plain: tuple[CtVolume, LabelVolume]) -> None:
    fine_ct, fine = plain
    coarse_ct, coarse = synthesize_case(atlas, 3, plain_case(3.0))
    common = (slice(1, None, 3),) * 3  # the centre of every coarse voxel is that of a fine one
    assert np.array_equal(coarse.labels_zyx, fine.labels_zyx[common])
    assert np.abs(coarse_ct.hu_zyx - fine_ct.hu_zyx[common]).max() <= 1
