"""Training patches from synthetic cases: where to cut, how to vary, and what the network is asked to say."""

from __future__ import annotations

import numpy as np
import torch
from monai import transforms
from numpy.typing import NDArray

from cspine.anatomy import CERVICAL_LEVELS
from cspine.geometry import Shape3, Voxels
from cspine.study.pool import Pool, read_case
from cspine.study.recipe import Intensity, Recipe

_LAST_LEVEL = CERVICAL_LEVELS[-1].label


class PatchSampler:
    """Draws batches from a pool.

    Parameters
    ----------
    pool : Pool
        Where the cases come from.
    recipe : Recipe
        Patch size, intensities and shares.
    seed : int
        Of cutting and augmentation.
    """

    def __init__(self, pool: Pool, recipe: Recipe, seed: int) -> None:
        self._pool = pool
        self._recipe = recipe
        self._rng = np.random.default_rng(seed)
        self._augment = transforms.Compose(
            [
                transforms.RandFlipd(["image", "label"], spatial_axis=2, prob=0.5),
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
        """Return images, float32 of shape (n, 1, z, y, x), and targets of the same shape."""
        patches = [self._patch() for _ in range(self._recipe.batch_size)]
        images = torch.stack([torch.as_tensor(p["image"]) for p in patches]).float()
        labels = torch.stack([torch.as_tensor(p["label"]) for p in patches]).float()
        return images, labels

    def _patch(self) -> dict[str, torch.Tensor]:
        paths = self._pool.paths()
        hu, labels = read_case(paths[int(self._rng.integers(len(paths)))])
        size = self._recipe.network.patch_size
        centre = self._centre(labels)
        image = normalise(cut(hu, centre, size).astype(np.float32), self._recipe.intensity)
        target = network_target(cut(labels, centre, size))
        image[cut(np.ones(hu.shape, dtype=np.uint8), centre, size) == 0] = 0.0  # as nnU-Net pads
        varied = self._augment({"image": torch.from_numpy(image[None]), "label": torch.from_numpy(target[None])})
        assert isinstance(varied, dict)
        return varied

    def _centre(self, labels_zyx: NDArray[np.uint8]) -> tuple[int, int, int]:
        """Place of a patch: on a voxel of a level drawn evenly, or anywhere, moved so that little lies outside."""
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
    """Cut a box around a voxel; zeros where it reaches out of the array."""
    result = np.zeros(size, dtype=array_zyx.dtype)
    source, target = [], []
    for place, width, n in zip(centre, size, array_zyx.shape, strict=True):
        start = place - width // 2
        low, high = max(start, 0), min(start + width, n)
        source.append(slice(low, max(high, low)))
        target.append(slice(low - start, max(high, low) - start))
    result[tuple(target)] = array_zyx[tuple(source)]
    return result


def normalise(hu: NDArray[np.float32], intensity: Intensity) -> NDArray[np.float32]:
    """Apply nnU-Net's CT normalisation."""
    clipped = np.clip(hu, intensity.low, intensity.high)
    return np.asarray((clipped - intensity.mean) / intensity.deviation, dtype=np.float32)


def network_target(labels_zyx: NDArray[np.generic]) -> NDArray[np.float32]:
    """Turn labels of `cspine.anatomy` into the network's: what lies below T1 is one class."""
    return np.asarray(np.minimum(labels_zyx.astype(np.int16), _LAST_LEVEL + 1), dtype=np.float32)
