"""What a coarse stage might have predicted, made from true labels: moved, ragged, with parts lost, mixed and invented.

The fine stage of a cascade learns from it how far the labels that it is given can be trusted. No particular network is
asked, so that the fine stage does not learn the habits of one.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from cspine.study.synthesis.deformation import smooth_noise

#: Share of the vertebrae that lose a process to their neighbour.
_PROCESS_SHARE = 0.2


def spoil(labels_zyx: NDArray[np.uint8], spacing_mm: float, rng: np.random.Generator, last: int) -> NDArray[np.uint8]:
    """Return labels as a coarse stage might have predicted them.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        True network labels, numbered from head to foot.
    spacing_mm : float
        Voxel size, the same along each axis.
    rng : Generator
        Source of randomness.
    last : int
        Highest network label.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
    """
    spoilt = _moved(labels_zyx, spacing_mm, rng)
    present = [int(v) for v in np.unique(spoilt) if v]
    for _ in range(int(rng.integers(0, 7))):
        kind = rng.choice(["lost", "neighbour", "invented"], p=[0.3, 0.45, 0.25])
        if kind == "invented" or not present:
            label = int(rng.choice(present)) if present and rng.random() < 0.7 else int(rng.integers(1, last + 1))
            _paint(spoilt, spoilt == 0, label, spacing_mm, rng)
            continue
        label = int(rng.choice(present))
        other = 0 if kind == "lost" else int(np.clip(label + rng.choice([-1, 1]), 1, last))
        _paint(spoilt, spoilt == label, other, spacing_mm, rng)
    for label in present:
        if rng.random() < _PROCESS_SHARE:
            _give_process_away(spoilt, label, last, rng)
    return spoilt


def _give_process_away(labels_zyx: NDArray[np.uint8], label: int, last: int, rng: np.random.Generator) -> None:
    """Give a complete articular process, or the spinous one, to the neighbour that it lies next to, in place.

    Axes are taken to L, P, S: it is what lies behind the middle of a vertebra on one side, in its upper or lower half.
    """
    voxels = np.argwhere(labels_zyx == label)
    if len(voxels) < 20:
        return
    away = voxels - voxels.mean(axis=0)
    reach = np.abs(away).max(axis=0)
    upper = rng.random() < 0.5
    chosen = (away[:, 0] > 0.1 * reach[0]) if upper else (away[:, 0] < -0.1 * reach[0])
    if rng.random() < 0.75:
        side = rng.choice([-1, 1])
        chosen &= (side * away[:, 2] > 0.25 * reach[2]) & (away[:, 1] > rng.uniform(-0.35, 0.1) * reach[1])
    else:
        chosen = away[:, 1] > rng.uniform(0.3, 0.6) * reach[1]
    other = int(np.clip(label + (-1 if upper else 1), 1, last))
    labels_zyx[tuple(voxels[chosen].T)] = other if rng.random() < 0.85 else 0


def one_hot(labels_zyx: NDArray[np.uint8], last: int) -> NDArray[np.float32]:
    """Return one channel per label, as nnU-Net gives the labels of the stage before to a cascade.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels of the network.
    last : int
        The last label; the first is 1.

    Returns
    -------
    ndarray of float32, shape (last, z, y, x)
        1 where a voxel has the label, else 0.
    """
    return np.stack([labels_zyx == label for label in range(1, last + 1)]).astype(np.float32)


def _moved(labels_zyx: NDArray[np.uint8], spacing_mm: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Sample the labels through a smooth random shift, at voxels of 1.5 to 2.5 mm."""
    step = rng.uniform(1.5, 2.5) / spacing_mm
    small = [max(2, round(n / step)) for n in labels_zyx.shape]
    axes = [torch.linspace(-1 + 1 / n, 1 - 1 / n, n) for n in small]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    where = torch.stack([x, y, z], dim=-1)
    amplitude, knots = rng.uniform(0.3, 1.8) / spacing_mm, rng.uniform(6, 14) / (step * spacing_mm)
    offset = rng.normal(0, 0.6, size=3) / spacing_mm
    for axis, n in enumerate(reversed(labels_zyx.shape)):
        shift = amplitude * 0.67 * smooth_noise(rng, tuple(small), knots) + float(offset[axis])
        where[..., axis] += shift * 2 / n
    source = torch.from_numpy(labels_zyx.astype(np.float32))[None, None]
    coarse = functional.grid_sample(source, where[None], mode="nearest", padding_mode="zeros", align_corners=False)
    upsampled = functional.interpolate(coarse, size=labels_zyx.shape, mode="nearest-exact")
    return np.asarray(upsampled[0, 0].numpy().astype(np.uint8))


def _paint(
    labels_zyx: NDArray[np.uint8], where: NDArray[np.bool_], label: int, spacing_mm: float, rng: np.random.Generator
) -> None:
    """Give the voxels of ``where`` in a ball around one of them another label, in place."""
    spots = np.flatnonzero(where.ravel()[::17]) * 17
    if not len(spots):
        return
    centre = np.unravel_index(int(spots[int(rng.integers(len(spots)))]), labels_zyx.shape)
    radii = rng.uniform(2.5, 9.0, size=3) / spacing_mm
    box, axes = [], []
    for place, radius, n in zip(centre, radii, labels_zyx.shape, strict=True):
        low, high = max(0, int(place - radius)), min(n, int(place + radius) + 1)
        box.append(slice(low, high))
        axes.append(((np.arange(low, high) - place) / radius) ** 2)
    ball = axes[0][:, None, None] + axes[1][None, :, None] + axes[2][None, None, :] <= 1
    part = tuple(box)
    labels_zyx[part][ball & where[part]] = label
