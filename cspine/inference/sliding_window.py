"""Run the network over an image larger than its patch, with nnU-Net's tiles and weights, accumulated in float32.

MONAI's sliding window positions and weights tiles differently, and nnU-Net's own accumulates in float16; equal results
to those of the validation of a model need nnU-Net's steps and weights.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from cspine.core.errors import InferenceError
from cspine.core.progress import ProgressCallback
from cspine.inference.engines.base import Array, Engine, Network

Tile = tuple[slice, slice, slice]
#: Each returns the network of a fold when it is needed.
Folds = Sequence[Callable[[], Network]]

# Number of slices that a 2D network processes before the weights of the next fold are loaded.
_FLAT_ROWS = 64
# nnU-Net's weights of a patch: standard deviation as a fraction of a side, and the largest weight.
_SIGMA_SCALE, _MAX_WEIGHT = 1 / 8, 10


@dataclass(frozen=True)
class Window:
    """The patch, the step and the mirroring of the sliding window.

    Parameters
    ----------
    patch_size : tuple of int
        Three numbers, or two for a 2D network.
    step_size : float
        Distance between tiles as a fraction of the patch.
    mirror_axes : tuple of int
        Axes of the patch over which predictions of mirrored patches are averaged; empty for none.
    tiles : tuple of (tuple of slice), optional
        Positions of the patches, if the image is a part of another; else they follow from its shape.
    """

    patch_size: tuple[int, ...]
    step_size: float
    mirror_axes: tuple[int, ...]
    tiles: tuple[Tile, ...] | None = None


def tiles_of(shape: tuple[int, ...], window: Window) -> list[Tile]:
    """Return the positions of the patches, in nnU-Net's order.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, padded to the patch: (z, y, x).
    window : Window
        Patch and step.
    """
    if window.tiles is not None:
        return list(window.tiles)
    patch = window.patch_size
    sides = zip(shape[3 - len(patch) :], patch, strict=True)
    starts = [_starts(n, side, window.step_size) for n, side in sides]
    if len(patch) == 2:
        starts, patch = [list(range(shape[0])), *starts], (1, *patch)
    return [
        (slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2]))
        for z, y, x in itertools.product(*starts)
    ]


def _starts(length: int, side: int, step_size: float) -> list[int]:
    """Return where tiles start along an axis: evenly spaced, at most a step apart, as in nnU-Net."""
    count = int(np.ceil((length - side) / (side * step_size))) + 1
    step = (length - side) / (count - 1) if count > 1 else 0.0
    return [int(np.round(step * number)) for number in range(count)]


@lru_cache(maxsize=4)
def importance(patch_size: tuple[int, ...]) -> NDArray[np.float32]:
    """Return nnU-Net's Gaussian weights of a patch as float32, rounded to float16 as in nnU-Net.

    Parameters
    ----------
    patch_size : tuple of int
        Two or three numbers.
    """
    weights = np.zeros(patch_size)
    weights[tuple(side // 2 for side in patch_size)] = 1
    weights = gaussian_filter(weights, [side * _SIGMA_SCALE for side in patch_size], 0, mode="constant", cval=0)
    weights /= weights.max() / _MAX_WEIGHT
    half = weights.astype(np.float16)
    half[half == 0] = half[half != 0].min()
    rounded: NDArray[np.float32] = half.astype(np.float32)
    rounded.setflags(write=False)
    return rounded


def padded_to(image: NDArray[np.float32], patch_size: tuple[int, ...]) -> tuple[NDArray[np.float32], Tile]:
    """Return an image padded with zeros to the patch size, as nnU-Net pads, and its position in the result.

    Parameters
    ----------
    image : ndarray, shape (channels, z, y, x)
        The image.
    patch_size : tuple of int
        Two or three numbers.

    Returns
    -------
    tuple
        The padded image, and the box of the image in it (z, y, x).
    """
    shape = image.shape[-3:]
    lacking = [max(0, wanted - n) for wanted, n in zip((1, *patch_size)[-3:], shape, strict=True)]
    before = [n // 2 for n in lacking]
    z, y, x = (slice(front, front + n) for front, n in zip(before, shape, strict=True))
    if not any(lacking):
        return image, (z, y, x)
    sides = [(0, 0), *((front, n - front) for n, front in zip(lacking, before, strict=True))]
    return np.pad(image, sides), (z, y, x)


def predict_logits(
    folds: Folds, image: NDArray[np.float32], window: Window, engine: Engine, progress: ProgressCallback
) -> NDArray[np.float32]:
    """Return the logits of an image, averaged over tiles, mirrored patches and folds.

    Parameters
    ----------
    folds : sequence of callable
        Each returns the network of a fold, from (channels, *patch) to (classes, *patch).
    image : ndarray, shape (channels, z, y, x)
        float32.
    window : Window
        Patch, step, mirroring.
    engine : Engine
        The engine of the networks.
    progress : callable
        Called with the finished tiles and all tiles, first with none finished.

    Returns
    -------
    ndarray, shape (classes, z, y, x)
        float32, in main memory.

    Raises
    ------
    InferenceError
        If the network returns a value that is not finite.
    OutOfMemoryError
        If there is not enough memory.
    """
    with engine.running():
        padded, inside = padded_to(image, window.patch_size)
        shape = padded.shape[-3:]
        tiles, gaussian = tiles_of(shape, window), _weights(window, engine)
        total = sums = None
        done, all_tiles = 0, len(tiles) * len(folds)
        progress(done, all_tiles)
        for fold in folds:
            network = fold()
            for tile in tiles:
                logits = _predict_patch(network, engine.array(padded[:, *tile]), window, engine)
                if total is None or sums is None:
                    total, sums = engine.zeros((len(logits), *shape)), engine.zeros((1, *shape))
                engine.add(total, tile, logits, gaussian)
                engine.add(sums, tile, gaussian[None], 1)
                done += 1
                progress(done, all_tiles)
        assert total is not None and sums is not None
        return engine.host(_finite(engine.divide(total, sums[0]), engine)[:, *inside])


def logits_slabs(
    folds: Folds, image: NDArray[np.float32], window: Window, engine: Engine, progress: ProgressCallback
) -> Iterator[NDArray[np.float32]]:
    """Yield the logits of an image slab by slab, from the first slice to the last.

    It is `predict_logits` for images whose logits need too much memory: a slab is yielded once no further tile overlaps
    it. With one fold the values are equal; several folds are summed in another order, which changes the last digit.

    Parameters
    ----------
    folds, image, window, engine, progress
        As in `predict_logits`.

    Yields
    ------
    ndarray, shape (classes, slices, y, x)
        All slices of the image in order.

    Raises
    ------
    InferenceError, OutOfMemoryError
        As `predict_logits`.
    """
    padded, (inside_z, inside_y, inside_x) = padded_to(image, window.patch_size)
    shape = padded.shape[-3:]
    tiles = tiles_of(shape, window)
    rows = _rows(tiles, 1 if len(window.patch_size) == 3 else _FLAT_ROWS)
    ends = [min(tile[0].start for tile in row) for row in rows[1:]] + [shape[0]]
    total = sums = None
    start = 0  # first slice of the padded image in the sums
    done, all_tiles = 0, len(tiles) * len(folds)
    progress(done, all_tiles)
    for row, end in zip(rows, ends, strict=True):
        with engine.running():
            gaussian = _weights(window, engine)
            last = max(tile[0].stop for tile in row)
            for fold in folds:
                network = fold()
                for tile in row:
                    logits = _predict_patch(network, engine.array(padded[:, *tile]), window, engine)
                    if total is None or sums is None:
                        total = engine.zeros((len(logits), last - start, *shape[1:]), copies=3)
                        sums = engine.zeros((1, last - start, *shape[1:]))
                    if last > start + total.shape[1]:
                        more = last - start - total.shape[1]
                        total, sums = engine.extended(total, more), engine.extended(sums, more)
                    here = (slice(tile[0].start - start, tile[0].stop - start), *tile[1:])
                    engine.add(total, here, logits, gaussian)
                    engine.add(sums, here, gaussian[None], 1)
                    done += 1
                    progress(done, all_tiles)
            assert total is not None and sums is not None
            later = engine.copy(total[:, end - start :]), engine.copy(sums[:, end - start :])
            slab = _finite(engine.divide(total[:, : end - start], sums[0, : end - start]), engine)
        first, stop = max(start, inside_z.start), min(end, inside_z.stop)
        if first < stop:
            yield engine.host(slab[:, first - start : stop - start, inside_y, inside_x])
        (total, sums), start = later, end


def _weights(window: Window, engine: Engine) -> Array:
    """Return the weights of a patch (z, y, x) on the engine's device."""
    weights = importance(window.patch_size)
    return engine.array(weights if weights.ndim == 3 else weights[None])


def _finite(logits: Array, engine: Engine) -> Array:
    if not engine.is_finite(logits):
        raise InferenceError("the network returned values that are not finite", advice="Try `device` cpu.")
    return logits


def _rows(tiles: list[Tile], starts: int) -> list[list[Tile]]:
    """Return tiles in groups that start at the same slice, or at a number of consecutive slices."""
    groups = [list(row) for _, row in itertools.groupby(tiles, key=lambda tile: tile[0].start)]
    return [list(itertools.chain(*groups[i : i + starts])) for i in range(0, len(groups), starts)]


def _predict_patch(network: Network, patch: Array, window: Window, engine: Engine) -> Array:
    """Return the logits (classes, z, y, x) of a patch (channels, z, y, x), averaged with those of mirrored patches."""
    flat = len(window.patch_size) == 2
    batch = patch[:, 0] if flat else patch
    logits = network(batch)
    axes = [axis + 1 for axis in window.mirror_axes]
    combinations = [chosen for n in range(len(axes)) for chosen in itertools.combinations(axes, n + 1)]
    if combinations:
        logits = engine.copy(logits)
    for chosen in combinations:
        logits += engine.flip(network(engine.flip(batch, chosen)), chosen)
    if combinations:
        logits /= len(combinations) + 1
    return logits[:, None] if flat else logits
