"""A complete synthetic spine: from its seed, with labels from head to foot."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from cspine.core.anatomy import SACRUM, VERTEBRAE, rank, vertebra
from cspine.core.geometry import orientation_of
from cspine.core.norms import plausible_ml
from cspine.core.shape import shapes_of, vertebrae_only
from cspine.core.volumes import LabelVolume
from cspine.study.synthesis.spine.case import SpineSettings, synthesize_spine
from cspine.study.synthesis.spine.forms import SpineForms

COARSE = SpineSettings((6.0, 6.0, 6.0), internal_mm=6.0, width_mm=(150.0, 170.0))
FINE = replace(COARSE, spacing_xyz=(3.0, 3.0, 3.0), internal_mm=3.0, thoracic=12, lumbar=5)


def levels(labels: LabelVolume) -> list[str]:
    present = [int(i) for i in np.unique(vertebrae_only(labels.labels_zyx)) if i]
    return [vertebra(label).name for label in sorted(present, key=rank)]


def test_the_same_seed_gives_the_same_case_and_another_seed_another(solid_forms: SpineForms) -> None:
    settings = replace(COARSE, view=("T10", "L3"))
    one, again, other = (synthesize_spine(solid_forms, seed, settings) for seed in (4, 4, 5))
    assert np.array_equal(one[0].hu_zyx, again[0].hu_zyx)
    assert np.array_equal(one[1].labels_zyx, again[1].labels_zyx)
    assert one[0].hu_zyx.shape != other[0].hu_zyx.shape or not np.array_equal(one[0].hu_zyx, other[0].hu_zyx)


@pytest.fixture(scope="module")
def spine(solid_forms: SpineForms):
    return synthesize_spine(solid_forms, 3, FINE)


def test_image_and_labels_are_a_ct_on_one_grid(spine) -> None:
    ct, labels = spine
    assert ct.hu_zyx.dtype == np.int16 and labels.labels_zyx.dtype == np.uint8
    assert ct.grid.is_close(labels.grid) and orientation_of(ct.affine_lps) == "LPS"
    assert ct.grid.spacing_xyz == pytest.approx((3, 3, 3))
    assert -1024 <= ct.hu_zyx.min() < -800 and 300 < ct.hu_zyx.max() <= 3071
    assert ct.hu_zyx[labels.labels_zyx > 0].mean() > ct.hu_zyx[labels.labels_zyx == 0].mean() + 200


def test_a_whole_spine_goes_from_c1_to_the_sacrum_in_order(spine) -> None:
    _, labels = spine
    expected = [level.name for level in VERTEBRAE if level.name not in ("T13", "L6")]
    assert levels(labels) == expected
    assert (labels.labels_zyx == SACRUM).any()
    shapes = shapes_of(vertebrae_only(labels.labels_zyx), labels.grid)
    assert all(a.centroid_lps[2] > b.centroid_lps[2] for a, b in pairwise(shapes))
    sacrum = np.argwhere(labels.labels_zyx == SACRUM)[:, 0].mean()
    assert sacrum < np.argwhere(labels.labels_zyx == vertebra("L5").label)[:, 0].mean()


def test_volumes_are_plausible_for_each_level(spine) -> None:
    _, labels = spine
    for shape in shapes_of(vertebrae_only(labels.labels_zyx), labels.grid):
        low, high = plausible_ml(shape.vertebra)
        assert 0.6 * low < shape.volume_mm3 / 1000 < high, shape.vertebra.name


@pytest.mark.parametrize(("thoracic", "lumbar"), [(11, 5), (13, 4), (12, 6)])
def test_variants_have_their_levels(solid_forms: SpineForms, thoracic: int, lumbar: int) -> None:
    settings = replace(COARSE, view=("T9", "L6"), thoracic=thoracic, lumbar=lumbar)
    found = levels(synthesize_spine(solid_forms, 7, settings)[1])
    assert {f"T{i}" for i in range(10, thoracic + 1)} <= set(found)
    assert f"T{thoracic + 1}" not in found
    assert {f"L{i}" for i in range(1, lumbar + 1)} <= set(found)
    assert f"L{lumbar + 1}" not in found


@pytest.mark.parametrize(
    ("view", "present", "absent"),
    [("cervical", ("C1", "T1"), ("T6", "L1")), (("T11", "L2"), ("T11", "L2"), ("C5", "T4", "L5"))],
)
def test_a_view_shows_its_levels(solid_forms: SpineForms, view, present, absent) -> None:
    found = levels(synthesize_spine(solid_forms, 1, replace(COARSE, view=view))[1])
    assert set(present) <= set(found)
    assert not set(absent) & set(found)


def test_random_views_differ(solid_forms: SpineForms) -> None:
    settings = replace(COARSE, view="random")
    heights = {synthesize_spine(solid_forms, seed, settings)[0].hu_zyx.shape[0] for seed in range(4)}
    assert len(heights) > 2
