"""Outlines of masks: they contain exactly the centres of the voxels, as two independent rasterisers show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays
from PIL import Image, ImageDraw
from skimage.measure import points_in_poly

from cspine.dicom.contours import outlines


def rasterised(polygons: list[np.ndarray], shape: tuple[int, int]) -> np.ndarray:
    """Voxels whose centres lie in an odd number of polygons."""
    centres = np.argwhere(np.ones(shape))
    inside = np.zeros(shape, dtype=bool)
    for polygon in polygons:
        inside ^= points_in_poly(centres, polygon).reshape(shape)
    return inside


@settings(max_examples=60, deadline=None)
@given(arrays(bool, (9, 11)))
def test_a_polygon_contains_exactly_the_centres_of_the_mask(mask: np.ndarray) -> None:
    assert np.array_equal(rasterised(outlines(mask), mask.shape), mask)


def test_a_hole_is_joined_to_its_outline() -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:10, 2:10] = True
    mask[4:8, 4:8] = False
    mask[5, 5] = True  # a part of its own in the hole
    polygons = outlines(mask)
    assert len(polygons) == 2
    assert np.array_equal(rasterised(polygons, mask.shape), mask)


@pytest.mark.parametrize("scale", [8])
def test_a_drawing_library_fills_the_same_area(scale: int) -> None:
    mask = np.zeros((12, 12), dtype=bool)
    mask[2:10, 2:10] = True
    mask[4:8, 4:8] = False
    image = Image.new("1", (12 * scale, 12 * scale))
    for polygon in outlines(mask):
        ImageDraw.Draw(image).polygon([((x + 0.5) * scale, (y + 0.5) * scale) for y, x in polygon], fill=1)
    drawn = np.asarray(image)[scale // 2 :: scale, scale // 2 :: scale]
    assert np.array_equal(drawn, mask)


def test_an_empty_mask_has_no_outline() -> None:
    assert outlines(np.zeros((5, 5), dtype=bool)) == []
