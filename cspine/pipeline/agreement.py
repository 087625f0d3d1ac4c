"""Test-retest consistency of a model: the agreement of results for a shifted, cropped or noisy image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.geometry import Affine, reorientation, to_lps
from cspine.core.shape import Box, LevelShape, margin_zyx, occupied_box
from cspine.core.volumes import CtVolume, HuArray, LabelVolume
from cspine.inference.settings import InferenceSettings
from cspine.models.package import ModelPackage
from cspine.pipeline.segmentation import find_vertebrae

#: Mean Dice against the first result from which a model counts as consistent: our own choice. A vertebra of 10 ml with
#: 60 cm2 of surface falls below it when its complete surface moves by a sixth of a millimetre, a shift by half of one.
MIN_AGREEMENT = 0.95
#: Share of the field of view that is cut off on the left, right, front and back.
CROP_SHARE = 0.15
#: Planes that are cut off at the head's and the foot's end, and how far from every label a cut stays.
CROP_SLICES, CROP_MARGIN_MM = 3, 10.0
#: Standard deviation of the added noise: the difference of a usual and a low dose.
NOISE_HU = 20.0

#: An interpolated mask is doubtless within this of 0 and 1.
_DOUBT = 1e-3

#: Segments an image as a run does.
Segment = Callable[[CtVolume], LabelVolume]


@dataclass(frozen=True)
class Changed:
    """A changed image with the place of its voxels in the first one.

    Parameters
    ----------
    ct : CtVolume
        The image.
    offset_zyx : tuple of float
        Index in the first image of the changed one's first voxel; the voxels have the same size.
    """

    ct: CtVolume
    offset_zyx: tuple[float, float, float]


def shifted(ct: CtVolume, shift_mm: float) -> Changed:
    """Return the image sampled on a grid that lies a part of a voxel further along each axis (linear).

    Parameters
    ----------
    ct : CtVolume
        The image.
    shift_mm : float
        How far along each axis; half a voxel of the network's grid moves all of its samples between the former ones.
    """
    x, y, z = (shift_mm / step for step in ct.grid.spacing_xyz)
    moved = ndimage.affine_transform(
        ct.hu_zyx.astype(np.float32), np.ones(3), offset=(z, y, x), order=1, mode="nearest"
    )
    values = np.rint(moved).astype(np.int16) if np.issubdtype(ct.hu_zyx.dtype, np.integer) else moved
    return Changed(CtVolume(values, _moved_affine(ct.affine_lps, (z, y, x))), (z, y, x))


def cropped(ct: CtVolume, labels: LabelVolume) -> Changed:
    """Return the image with a smaller field of view, in which every vertebra is as complete as before.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Vertebrae, of which none is cut.
    """
    box = crop_box(labels)
    z, y, x = (float(part.start) for part in box)
    return Changed(CtVolume(ct.hu_zyx[box], _moved_affine(ct.affine_lps, (z, y, x))), (z, y, x))


def crop_box(labels: LabelVolume) -> Box:
    """Return the box of `cropped`: `CROP_SHARE` and `CROP_SLICES` less, at least `CROP_MARGIN_MM` from each label.

    Parameters
    ----------
    labels : LabelVolume
        Vertebrae, in any orientation.
    """
    along_neck = reorientation(labels.affine_lps, "LPS").axes_zyx[0]
    needed = occupied_box(labels.labels_zyx, margin_zyx(CROP_MARGIN_MM, labels.grid))
    parts = []
    for axis in range(3):
        size = labels.labels_zyx.shape[axis]
        cut = CROP_SLICES if axis == along_neck else round(CROP_SHARE * size)
        start = min(cut, needed[axis].start) if needed is not None else cut
        stop = max(size - cut, needed[axis].stop) if needed is not None else size - cut
        parts.append(slice(start, max(stop, start + 1)))
    return parts[0], parts[1], parts[2]


def noisy(ct: CtVolume, seed: str) -> Changed:
    """Return the image with Gaussian noise of `NOISE_HU`.

    Parameters
    ----------
    ct : CtVolume
        The image.
    seed : str
        The same text gives the same noise.
    """
    generator = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    values: HuArray = ct.hu_zyx.copy()
    is_integer, limits = np.issubdtype(values.dtype, np.integer), np.iinfo(np.int16)
    for plane in values:  # one after another: the noise of a whole scan takes gigabytes
        noise = generator.standard_normal(plane.shape, dtype=np.float32)
        noise *= np.float32(NOISE_HU)
        noise += plane
        plane[...] = np.rint(np.clip(noise, limits.min, limits.max)) if is_integer else noise
    return Changed(CtVolume(values, ct.affine_lps), (0.0, 0.0, 0.0))


def _moved_affine(affine_lps: Affine, offset_zyx: tuple[float, float, float]) -> Affine:
    affine = affine_lps.copy()
    affine[:3, 3] = to_lps(affine_lps, np.array([offset_zyx[::-1]]))[0]
    return affine


def dice_on(found: LabelVolume, offset_zyx: tuple[float, float, float], base: LabelVolume, shape: LevelShape) -> float:
    """Return the Dice of a level in two results, on the voxels of the changed image.

    A voxel between such that are and such that are not the level's in the first result may be either: drawing the same
    surface on another grid decides it again. It does not count as a difference. Where the grids coincide there is none.

    Parameters
    ----------
    found : LabelVolume
        Result on the changed image.
    offset_zyx : tuple of float
        Where its first voxel lies in the first image.
    base : LabelVolume
        Result on the first image, from which linear interpolation derives which voxels of the changed image lie inside.
    shape : LevelShape
        The level in ``base``.
    """
    label = shape.vertebra.label
    spans = []
    for part, offset, size in zip(shape.box_zyx, offset_zyx, found.labels_zyx.shape, strict=True):
        start = max(int(np.floor(part.start - offset)) - 1, 0)
        spans.append(slice(start, max(min(int(np.ceil(part.stop - offset)) + 1, size), start + 1)))
    box = (spans[0], spans[1], spans[2])
    first = [float(part.start + offset) for part, offset in zip(box, offset_zyx, strict=True)]
    around = [
        slice(max(int(np.floor(f)) - 1, 0), int(np.ceil(f)) + part.stop - part.start + 2)
        for f, part in zip(first, box, strict=True)
    ]
    inside = ndimage.affine_transform(
        (base.labels_zyx[tuple(around)] == label).astype(np.float32),
        np.ones(3),
        offset=[f - a.start for f, a in zip(first, around, strict=True)],
        output_shape=[p.stop - p.start for p in box],
        order=1,
        mode="constant",
    )
    predicted = found.labels_zyx == label
    doubtless_in, doubtless_out = inside > 1 - _DOUBT, inside < _DOUBT
    outside_box = int(np.count_nonzero(predicted) - np.count_nonzero(predicted[box]))
    differing = np.count_nonzero(predicted[box] & doubtless_out) + np.count_nonzero(~predicted[box] & doubtless_in)
    both = int(np.count_nonzero(predicted) + np.count_nonzero(inside >= 0.5))
    return 1.0 - (int(differing) + outside_box) / max(both, 1)


def agreement(
    base: LabelVolume, shapes: tuple[LevelShape, ...], segment: Segment, change: Mapping[str, Callable[[], Changed]]
) -> dict[str, dict[str, float]]:
    """Segment the changed images, and compare each level with the first result.

    Parameters
    ----------
    base : LabelVolume
        The first result.
    shapes : tuple of LevelShape
        The levels to compare: those that no edge cuts.
    segment : callable
        Segments an image.
    change : mapping of str to callable
        Name of each change, and what makes the image.

    Returns
    -------
    dict of str to dict of str to float
        By name of the change, then of the level: Dice.
    """
    found = {}
    for name, make in change.items():
        changed = make()
        labels = segment(changed.ct)
        found[name] = {shape.vertebra.name: dice_on(labels, changed.offset_zyx, base, shape) for shape in shapes}
    return found


@dataclass(frozen=True)
class Rerun:
    """How a model is run again.

    Parameters
    ----------
    package : ModelPackage
        The model.
    settings : InferenceSettings
        As of the first run.
    seed : str
        For `noisy`.
    """

    package: ModelPackage
    settings: InferenceSettings
    seed: str


def model_agreement(
    ct: CtVolume, labels: LabelVolume, shapes: tuple[LevelShape, ...], rerun: Rerun
) -> dict[str, dict[str, float]]:
    """Run a model on the three changed images, and compare each level with the first result, as `agreement`.

    Parameters
    ----------
    ct, labels : CtVolume, LabelVolume
        The image and the first result.
    shapes : tuple of LevelShape
        The levels to compare.
    rerun : Rerun
        The model; the image is shifted by half a voxel of its last stage.
    """
    shift_mm = min(rerun.package.stages[-1].plan.spacing_mm) / 2

    def again(image: CtVolume) -> LabelVolume:
        return find_vertebrae(image, rerun.package, rerun.settings)[1].labels

    return agreement(labels, shapes, again, changes(ct, labels, shift_mm, rerun.seed))


def changes(ct: CtVolume, labels: LabelVolume, shift_mm: float, seed: str) -> dict[str, Callable[[], Changed]]:
    """Return the three changes by name; each image is made on demand.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Its vertebrae.
    shift_mm : float
        For `shifted`.
    seed : str
        For `noisy`.
    """
    return {
        "shift": lambda: shifted(ct, shift_mm),
        "crop": lambda: cropped(ct, labels),
        "noise": lambda: noisy(ct, seed),
    }


def all_dices(found: Mapping[str, Mapping[str, float]]) -> NDArray[np.float64]:
    """Return every Dice of `agreement` in one array.

    Parameters
    ----------
    found : mapping of str to mapping of str to float
        Dice by alteration and level, as `agreement` returns it.
    """
    return np.array([dice for levels in found.values() for dice in levels.values()], dtype=np.float64)
