"""Pictures for where no script runs."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

from cspine.core.anatomy import vertebra
from cspine.core.volumes import LabelVolume
from cspine.report.page.pictures import slices_png, solids_png
from cspine.report.page.stacks import stacks_of
from cspine.report.scene import scene_of
from tests.builders.spine_phantom import MODEL, Phantom, volumes


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=float)


def hue_of(image: np.ndarray, level: str) -> np.ndarray:
    """Where the colour is that of a level, however bright."""
    rgb = np.array(vertebra(level).rgb) / max(vertebra(level).rgb)
    brightness = image.max(axis=-1)
    near = np.abs(image / np.maximum(brightness, 1)[..., None] - rgb).max(axis=-1) < 0.12
    return near & (brightness > 60)


def test_three_views_show_every_vertebra_the_head_up() -> None:
    labels, ct = volumes(Phantom(labels=(3, 4)))
    image = pixels(solids_png(scene_of(ct, labels)))
    upper, lower = (np.argwhere(hue_of(image, name)) for name in ("C3", "C4"))
    assert min(len(upper), len(lower)) > 500
    assert upper[:, 0].mean() < lower[:, 0].mean()


def test_the_patients_left_is_on_the_right_from_the_front_and_on_the_left_from_behind() -> None:
    labels, ct = volumes(Phantom(labels=(3,)))
    marked = labels.labels_zyx.copy()
    marked[(marked == 3) & (np.arange(marked.shape[2]) > 40)] = 4
    image = pixels(solids_png(scene_of(ct, LabelVolume(marked, labels.affine_lps, MODEL))))
    front, back = image[:, : image.shape[1] // 4], image[:, 3 * image.shape[1] // 4 :]
    for view, is_right in ((front, True), (back, False)):
        left, right = (np.argwhere(hue_of(view, name))[:, 1].mean() for name in ("C4", "C3"))
        assert bool(left > right) is is_right


def test_slices_are_side_by_side_with_names() -> None:
    labels, ct = volumes(Phantom(labels=(3, 4)))
    stacks = stacks_of(scene_of(ct, labels))
    one, three = pixels(slices_png(stacks[:1])), pixels(slices_png(stacks))
    assert three.shape[1] > 2 * one.shape[1]
    assert (one == 255).all(axis=-1).sum() > 20  # the names are white
