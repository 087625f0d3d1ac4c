"""Training patches from synthetic cases: where to cut, how to vary, and what the network is asked to say."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from monai import transforms
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation
from torch.nn import functional

from cspine.core.geometry import Shape3, Voxels
from cspine.study.synthesis.neck.case import end_image
from cspine.study.synthetic_training.labelled_cases import TrainingVolumes
from cspine.study.synthetic_training.pool import Pool, read_case
from cspine.study.synthetic_training.previous_stage import one_hot, spoil
from cspine.study.synthetic_training.recipe import Intensity, Recipe

#: Least and greatest size of a narrow field of view along z, y, x, millimetres.
_NARROW_MM = ((60.0, 260.0), (55.0, 120.0), (55.0, 120.0))


class PatchSampler:
    """Sample batches from a pool.

    Parameters
    ----------
    pool : Pool
        Where the cases come from.
    recipe : Recipe
        Patch size, intensities and shares.
    seed : int
        Of cutting and augmentation.
    labelled : sequence of TrainingVolumes
        Images from outside; a share of the patches (``labelled_share`` of the recipe) comes from them.
    """

    def __init__(self, pool: Pool, recipe: Recipe, seed: int, labelled: Sequence[TrainingVolumes] = ()) -> None:
        self._pool = pool
        self._recipe = recipe
        self._labels = recipe.labels
        self._last = len(self._labels.levels) + 1
        self._labelled = labelled
        self._rng = np.random.default_rng(seed)
        self._augment = transforms.Compose(
            [
                transforms.RandFlipd(["image", "label", "previous"], spatial_axis=2, prob=0.5, allow_missing_keys=True),
                transforms.RandAdjustContrastd("image", gamma=(0.7, 1.4), prob=0.25, retain_stats=True),
                transforms.RandScaleIntensityd("image", factors=0.2, prob=0.4),
                transforms.RandShiftIntensityd("image", offsets=0.15, prob=0.4),
                transforms.RandGaussianSmoothd(
                    "image", sigma_x=(0.3, 0.8), sigma_y=(0.3, 0.8), sigma_z=(0.3, 0.8), prob=0.15
                ),
                transforms.RandGaussianNoised("image", std=0.15, prob=0.3),
            ]
        )
        self._augment.set_random_state(seed)

    def batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images, float32 of shape (n, channels, z, y, x), and targets of shape (n, 1, z, y, x).

        The first channel is the CT; in a cascade the labels of the stage before follow, one channel each.
        """
        patches = [self._patch() for _ in range(self._recipe.batch_size)]
        images = torch.stack([_channels(p) for p in patches]).float()
        labels = torch.stack([torch.as_tensor(p["label"]) for p in patches]).float()
        return images, labels

    def _patch(self) -> dict[str, torch.Tensor]:
        image, labels = self._labelled_patch() if self._wants_labelled() else self._synthetic_patch()
        parts = {"image": torch.from_numpy(image[None]), "label": torch.from_numpy(labels[None].astype(np.float32))}
        if self._recipe.cascade:
            spoilt = spoil(labels, self._recipe.network.spacing[0], self._rng, self._last)
            parts["previous"] = torch.from_numpy(one_hot(spoilt, self._last))
        varied = self._augment(parts)
        assert isinstance(varied, dict)
        return varied

    def _wants_labelled(self) -> bool:
        return bool(self._labelled) and self._rng.random() < self._recipe.labelled_share

    def _synthetic_patch(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        paths = self._pool.paths()
        hu, labels = self._narrowed(*read_case(paths[int(self._rng.integers(len(paths)))]))
        size = self._recipe.network.patch_size
        centre = self._centre(labels)
        image = normalise(cut(hu, centre, size).astype(np.float32), self._recipe.intensity)
        image[cut(np.ones(hu.shape, dtype=np.uint8), centre, size) == 0] = 0.0  # as nnU-Net pads
        return image, self._labels.to_network(cut(labels, centre, size))

    def _narrowed(
        self, hu_zyx: NDArray[np.int16], labels_zyx: NDArray[np.uint8]
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Cut a share of the cases to the field of view of a reconstruction of the spine alone."""
        if self._rng.random() >= self._recipe.narrow_share:
            return hu_zyx, labels_zyx
        classes = self._labels.to_network(labels_zyx)
        spots = np.argwhere((classes > 0) & (classes < self._last))
        if not len(spots):
            return hu_zyx, labels_zyx
        spacing = self._recipe.network.spacing[0]
        middle = spots[int(self._rng.integers(len(spots)))] + self._rng.normal(0, 8 / spacing, size=3)
        box = []
        for place, n, (least, most) in zip(middle, hu_zyx.shape, _NARROW_MM, strict=True):
            width = self._rng.uniform(least, most) / spacing
            start = int(np.clip(place - width / 2, 0, n - 1))
            box.append(slice(start, max(int(place + width / 2), start + 2)))
        return hu_zyx[tuple(box)], labels_zyx[tuple(box)]

    def _labelled_patch(self) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Return a patch of a case from outside, turned and scaled at random: there are few of them."""
        case = self._labelled[int(self._rng.integers(len(self._labelled)))]
        size = self._recipe.network.patch_size
        whole_hu, whole_labels = self._narrowed(*self._ended(case))
        centre = self._centre(whole_labels)
        angles = self._rng.uniform([-8, -8, -14], [8, 8, 14])
        turn = Rotation.from_euler("zyx", angles, degrees=True).as_matrix() * self._rng.uniform(0.85, 1.15)
        hu, labels, inside = cut_turned(whole_hu, whole_labels, centre, size, turn)
        image = normalise(hu, self._recipe.intensity)
        image[~inside] = 0.0
        return image, labels

    def _ended(self, case: TrainingVolumes) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Let a share of the images from outside end at some level, as a share of the synthetic ones does."""
        if self._rng.random() >= self._recipe.blank_share:
            return case.hu_zyx, case.labels_zyx
        hu, labels = case.hu_zyx.copy(), case.labels_zyx.copy()
        end_image(torch.from_numpy(hu), torch.from_numpy(labels), self._rng)
        return hu, labels

    def _centre(self, labels_zyx: NDArray[np.uint8]) -> tuple[int, int, int]:
        """Place of a patch: on a voxel of a random level, or anywhere, moved so that little lies outside."""
        present = [int(v) for v in np.unique(labels_zyx) if v]
        size = self._recipe.network.patch_size
        if present and self._rng.random() < self._recipe.foreground_share:
            voxels = np.argwhere(labels_zyx == self._rng.choice(present))
            spot = voxels[int(self._rng.integers(len(voxels)))] + self._rng.integers(-14, 15, size=3)
        else:
            spot = np.array([int(self._rng.integers(n)) for n in labels_zyx.shape])
        centre = []
        for place, n, width in zip(spot, labels_zyx.shape, size, strict=True):
            half = width // 2
            low, high = min(half, n // 2), max(n - half, (n + 1) // 2)
            slack = int(self._rng.integers(-6, 7))
            centre.append(int(np.clip(place, low, high)) + (slack if n > width else 0))
        return centre[0], centre[1], centre[2]


def cut(array_zyx: NDArray[Voxels], centre: Shape3, size: Shape3) -> NDArray[Voxels]:
    """Cut a box around a voxel; zeros where it reaches out of the array.

    Parameters
    ----------
    array_zyx : ndarray, shape (z, y, x)
        The array, any dtype.
    centre : tuple of int
        Index of the voxel at the centre of the box, z, y, x.
    size : tuple of int
        Voxels of the box along z, y and x.
    """
    result = np.zeros(size, dtype=array_zyx.dtype)
    source, target = [], []
    for place, width, n in zip(centre, size, array_zyx.shape, strict=True):
        start = place - width // 2
        low, high = max(start, 0), min(start + width, n)
        source.append(slice(low, max(high, low)))
        target.append(slice(low - start, max(high, low) - start))
    result[tuple(target)] = array_zyx[tuple(source)]
    return result


def cut_turned(
    hu_zyx: NDArray[np.int16],
    labels_zyx: NDArray[np.uint8],
    centre: Shape3,
    size: Shape3,
    turn_zyx: NDArray[np.float64],
) -> tuple[NDArray[np.float32], NDArray[np.uint8], NDArray[np.bool_]]:
    """Cut a turned and scaled box around a voxel.

    Parameters
    ----------
    hu_zyx, labels_zyx : ndarray, shape (z, y, x)
        Image and labels.
    centre, size : tuple of int
        Voxel in the middle of the box, and shape of the box.
    turn_zyx : ndarray, shape (3, 3)
        Maps an offset from the middle of the box, (z, y, x) in voxels, to one from ``centre``.

    Returns
    -------
    hu_zyx : ndarray of float32, labels_zyx : ndarray of uint8, inside : ndarray of bool
        All of shape ``size``; ``inside`` is where the box lies within the image.
    """
    corners = np.array(np.meshgrid(*[(-n / 2, n / 2) for n in size], indexing="ij")).reshape(3, -1)
    reach = np.abs(turn_zyx @ corners).max(axis=1)
    low = np.maximum(np.floor(np.array(centre) - reach), 0).astype(int)
    high = np.minimum(np.ceil(np.array(centre) + reach) + 1, hu_zyx.shape).astype(int)
    high = np.maximum(high, low + 2)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    axes = [torch.arange(n, dtype=torch.float64) - n // 2 for n in size]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)
    places = offsets @ torch.from_numpy(turn_zyx.T) + torch.from_numpy(np.array(centre) - low)
    count = torch.tensor([s.stop - s.start for s in box])
    unit = ((2 * places + 1) / count - 1).flip(-1).float()[None]
    image = torch.from_numpy(hu_zyx[box].astype(np.float32))[None, None]
    target = torch.from_numpy(labels_zyx[box].astype(np.float32))[None, None]
    hu = functional.grid_sample(image, unit, mode="bilinear", padding_mode="border", align_corners=False)
    labels = functional.grid_sample(target, unit, mode="nearest", padding_mode="zeros", align_corners=False)
    inside = (unit[0].abs() <= 1).all(dim=-1)
    return hu[0, 0].numpy(), labels[0, 0].numpy().astype(np.uint8), inside.numpy()


def _channels(patch: dict[str, torch.Tensor]) -> torch.Tensor:
    image = torch.as_tensor(patch["image"])
    return torch.cat([image, torch.as_tensor(patch["previous"])]) if "previous" in patch else image


def normalise(hu: NDArray[np.float32], intensity: Intensity) -> NDArray[np.float32]:
    """Apply nnU-Net's CT normalisation.

    Parameters
    ----------
    hu : ndarray of float32
        Hounsfield units, any shape.
    intensity : Intensity
        Limits, mean and deviation of the recipe.
    """
    clipped = np.clip(hu, intensity.low, intensity.high)
    return np.asarray((clipped - intensity.mean) / intensity.deviation, dtype=np.float32)
