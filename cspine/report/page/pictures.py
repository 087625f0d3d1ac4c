"""Pictures for where no script runs, and for paper: two slices, and the vertebrae from three sides."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from cspine.core.anatomy import vertebra
from cspine.core.shape import margin_zyx, occupied_box
from cspine.report.page.stacks import Stack, hu_of_codes
from cspine.report.preview import BONE_WINDOW_HU
from cspine.report.scene import Scene

PIXEL_MM = 0.5
_BACKGROUND = (16, 20, 24)
_TINT = 0.4
_GAP = 12
_MARGIN_MM = 5.0

Rgb = NDArray[np.uint8]


def slices_png(stacks: Sequence[Stack]) -> bytes:
    """Return the first planes of stacks side by side as a PNG, with the names of the levels.

    Parameters
    ----------
    stacks : sequence of Stack
        Stacks of the page.
    """
    return _png([_plane(stack) for stack in stacks])


def solids_png(scene: Scene) -> bytes:
    """Return the vertebrae from the front, the left and the back as a PNG, as if lit from the viewer.

    Parameters
    ----------
    scene : Scene
        Labels of at least one vertebra, in LPS.
    """
    box = occupied_box(scene.labels_zyx, margin_zyx(_MARGIN_MM, scene.grid))
    assert box is not None  # a scene has labels
    labels = scene.labels_zyx[box]
    step_x, step_y, step_z = scene.spacing_xyz
    views = (
        (labels, (step_x, step_y, step_z)),
        (labels.transpose(0, 2, 1)[:, ::-1], (step_y, step_x, step_z)),
        (labels[:, ::-1, ::-1], (step_x, step_y, step_z)),
    )
    return _png([_seen(array, spacing) for array, spacing in views])


def _seen(labels_zyx: NDArray[np.uint8], spacing_xyz: tuple[float, float, float]) -> Rgb:
    """Return what is seen along y, head up."""
    step_x, step_y, step_z = spacing_xyz
    bone = labels_zyx > 0
    first = bone.argmax(axis=1)
    hit = np.take_along_axis(bone, first[:, None], axis=1)[:, 0]
    seen = np.where(hit, np.take_along_axis(labels_zyx, first[:, None], axis=1)[:, 0], 0)
    depth = ndimage.gaussian_filter(np.where(hit, first * step_y, first[hit].max() * step_y), 0.8 / step_x)
    slope_z, slope_x = np.gradient(depth, step_z, step_x)
    light = 0.25 + 0.75 / np.sqrt(1 + slope_z**2 + slope_x**2)
    rgb = np.empty((*seen.shape, 3), dtype=np.uint8)
    rgb[:] = _BACKGROUND
    for label in np.unique(seen[seen > 0]):
        here = seen == label
        rgb[here] = np.clip(light[here, None] * vertebra(int(label)).rgb, 0, 255)
    return _resized(rgb[::-1], step_x, step_z)


def _plane(stack: Stack) -> Rgb:
    low, high = BONE_WINDOW_HU
    hu = np.array(hu_of_codes(), dtype=np.float32)[stack.codes_nyx[stack.start]]
    labels = stack.labels_nyx[stack.start]
    rgb = np.repeat((np.clip((hu - low) / (high - low), 0, 1) * 255)[..., None], 3, axis=2)
    present = [int(label) for label in np.unique(labels) if label]
    for label in present:
        rgb[labels == label] = (1 - _TINT) * rgb[labels == label] + _TINT * np.array(vertebra(label).rgb)
    picture = Image.fromarray(_resized(rgb.astype(np.uint8), *stack.pixel_mm))
    _name(picture, labels, present)
    return np.asarray(picture)


def _name(picture: Image.Image, labels: NDArray[np.uint8], present: Sequence[int]) -> None:
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(size=18)
    for label in present:
        y, x = (np.median(i) for i in np.nonzero(labels == label))
        at = (x / labels.shape[1] * picture.width, y / labels.shape[0] * picture.height)
        pen.text(at, vertebra(label).name, fill="white", anchor="mm", font=font, stroke_width=2, stroke_fill="black")


def _resized(rgb: Rgb, across_mm: float, down_mm: float) -> Rgb:
    size = (max(1, round(rgb.shape[1] * across_mm / PIXEL_MM)), max(1, round(rgb.shape[0] * down_mm / PIXEL_MM)))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def _png(pictures: Sequence[Rgb]) -> bytes:
    height = max(picture.shape[0] for picture in pictures)
    width = sum(picture.shape[1] for picture in pictures) + _GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, height), _BACKGROUND)
    x = 0
    for picture in pictures:
        sheet.paste(Image.fromarray(picture), (x, (height - picture.shape[0]) // 2))
        x += picture.shape[1] + _GAP
    file = BytesIO()
    sheet.quantize(256, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
    return file.getvalue()
