"""Surface distances against MONAI, MedPy and surface-distance: equal where they define the same, bounded elsewhere."""

from __future__ import annotations

import numpy as np
import pytest
import surface_distance
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from medpy.metric import binary as medpy
from monai.metrics.hausdorff_distance import compute_hausdorff_distance
from monai.metrics.surface_distance import compute_average_surface_distance
from scipy import ndimage

from cspine.study.evaluation.surfaces import border, border_points, distances_between
from tests.builders.surfaces import surface_distances

# Of the reference libraries.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

SPACINGS = st.tuples(*[st.sampled_from([0.27, 0.5, 0.68, 1.0, 1.25, 3.0])] * 3)
MASKS = hnp.arrays(np.bool_, st.tuples(*[st.integers(1, 7)] * 3))


def blobs(seed: int, shape: tuple[int, int, int] = (18, 20, 22)) -> list[np.ndarray]:
    """Two smooth masks that overlap."""
    rng = np.random.default_rng(seed)
    common = ndimage.gaussian_filter(rng.standard_normal(shape), 3.0)
    masks = [common + 0.5 * ndimage.gaussian_filter(rng.standard_normal(shape), 2.0) > 0.02 for _ in range(2)]
    assert all(mask.any() for mask in masks)
    return masks


def monai(reference: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """HD95 and ASSD by MONAI."""
    pair = [torch.from_numpy(mask[None, None].astype(np.float32)) for mask in (found, reference)]
    common = {"include_background": True, "spacing": list(spacing)}
    hd95 = compute_hausdorff_distance(*pair, percentile=95, **common)
    return float(hd95), float(compute_average_surface_distance(*pair, symmetric=True, **common))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(st.data(), MASKS, SPACINGS)
def test_every_pair_of_masks_equals_monai(data: st.DataObject, first: np.ndarray, spacing: tuple[float, ...]) -> None:
    second = data.draw(hnp.arrays(np.bool_, first.shape))
    assume(first.any() and second.any())
    ours = surface_distances(first, second, spacing)
    assert (ours.hd95_mm, ours.assd_mm) == pytest.approx(monai(first, second, spacing), rel=1e-5, abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_smooth_masks_equal_monai_and_medpy(seed: int) -> None:
    reference, found = blobs(seed)
    spacing = (2.0, 0.5, 0.8)
    ours = surface_distances(reference, found, spacing)
    assert (ours.hd95_mm, ours.assd_mm) == pytest.approx(monai(reference, found, spacing), rel=1e-5)
    assert ours.assd_mm == pytest.approx(medpy.assd(found, reference, spacing), rel=1e-12)
    # MedPy takes the percentile of both directions together, where MONAI takes the larger one.
    pooled = np.concatenate([ours.from_found_mm, ours.from_reference_mm])
    assert np.percentile(pooled, 95) == pytest.approx(medpy.hd95(found, reference, spacing), rel=1e-12)
    assert medpy.hd95(found, reference, spacing) <= ours.hd95_mm + 1e-9
    assert ours.from_found_mm.mean() == pytest.approx(medpy.asd(found, reference, spacing), rel=1e-12)


def google(reference: np.ndarray, found: np.ndarray, spacing: tuple[float, ...]) -> tuple[float, float]:
    """HD95 and mean distance of both directions by surface-distance."""
    distances = surface_distance.compute_surface_distances(reference, found, spacing)
    directed = surface_distance.compute_average_surface_distance(distances)
    return surface_distance.compute_robust_hausdorff(distances, 95), float(np.mean(directed))


@pytest.mark.parametrize(("axis", "steps"), [(0, 3), (1, 4), (2, 2)])
def test_parallel_plates_equal_surface_distance(axis: int, steps: int) -> None:
    shape = [30, 30, 30]
    shape[axis] = 20
    masks = []
    for start in (5, 5 + steps):
        mask = np.zeros(shape, dtype=bool)
        mask[tuple(slice(start, start + 2) if i == axis else slice(2, 28) for i in range(3))] = True
        masks.append(mask)
    spacing = (2.0, 0.5, 0.8)
    ours = surface_distances(*masks, spacing)
    assert ours.hd95_mm == pytest.approx(steps * spacing[axis])
    assert ours.hd95_mm == pytest.approx(google(*masks, spacing)[0])


@pytest.mark.parametrize("seed", range(4))
def test_surface_distance_differs_by_less_than_a_voxel(seed: int) -> None:
    """Its surface runs between voxels, and its percentiles weigh by area."""
    reference, found = blobs(seed, (30, 32, 34))
    spacing = (1.0, 0.8, 0.8)
    ours = surface_distances(reference, found, spacing)
    theirs = google(reference, found, spacing)
    assert ours.hd95_mm == pytest.approx(theirs[0], abs=np.linalg.norm(spacing))
    assert ours.assd_mm == pytest.approx(theirs[1], abs=0.5 * np.linalg.norm(spacing))


@given(MASKS)
def test_the_border_is_what_erosion_removes(mask: np.ndarray) -> None:
    assert np.array_equal(border(mask), mask & ~ndimage.binary_erosion(mask))


def test_boxes_of_an_image_give_the_same_as_the_image() -> None:
    reference, found = blobs(7)
    spacing = (2.0, 0.5, 0.8)
    points = []
    for mask in (reference, found):
        (box,) = ndimage.find_objects(mask.astype(np.uint8))
        points.append(border_points(mask[box], [part.start for part in box], spacing))
    inside, complete = distances_between(*points), surface_distances(reference, found, spacing)
    assert np.array_equal(inside.from_found_mm, complete.from_found_mm)
    assert np.array_equal(inside.from_reference_mm, complete.from_reference_mm)
