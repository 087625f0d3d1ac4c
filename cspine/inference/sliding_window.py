"""Run the network over an image larger than its patch, with nnU-Net's tiles and weights, accumulated in float32.

MONAI's sliding window positions and weights tiles differently, and nnU-Net's own accumulates in float16; equal results
to those of the validation of a model need nnU-Net's steps and weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from nnunetv2.inference.sliding_window_prediction import compute_gaussian, compute_steps_for_sliding_window

from cspine.core.errors import InferenceError
from cspine.core.progress import ProgressCallback
from cspine.inference.engine import Engine
from cspine.models.network import StateDict, load_weights

Tile = tuple[slice, slice, slice]

# Number of slices that a 2D network processes before the weights of the next fold are loaded.
_FLAT_ROWS = 64


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
    """

    patch_size: tuple[int, ...]
    step_size: float
    mirror_axes: tuple[int, ...]


def tiles_of(shape: tuple[int, ...], window: Window) -> list[Tile]:
    """Return the positions of the patches, in nnU-Net's order.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, padded to the patch: (z, y, x).
    window : Window
        Patch and step.
    """
    patch = window.patch_size
    steps = compute_steps_for_sliding_window(shape[3 - len(patch) :], patch, window.step_size)
    if len(patch) == 2:
        steps, patch = [list(range(shape[0])), *steps], (1, *patch)
    return [
        (slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2]))
        for z, y, x in itertools.product(*steps)
    ]


def importance(patch_size: tuple[int, ...]) -> torch.Tensor:
    """Return nnU-Net's Gaussian weights of a patch as float32, rounded to float16 as in nnU-Net.

    Parameters
    ----------
    patch_size : tuple of int
        Two or three numbers.
    """
    weights: torch.Tensor = compute_gaussian(tuple(patch_size), 1.0 / 8, 10, device=torch.device("cpu"))
    return weights.float()


def padded_to(image: torch.Tensor, patch_size: tuple[int, ...]) -> tuple[torch.Tensor, Tile]:
    """Return an image padded with zeros to the patch size, as nnU-Net pads, and its position in the result.

    Parameters
    ----------
    image : torch.Tensor, shape (channels, z, y, x)
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
    sides = [side for n, front in zip(reversed(lacking), reversed(before), strict=True) for side in (front, n - front)]
    z, y, x = (slice(front, front + n) for front, n in zip(before, shape, strict=True))
    return torch.nn.functional.pad(image, sides), (z, y, x)


def predict_logits(
    network: torch.nn.Module,
    folds: Sequence[Callable[[], StateDict]],
    image: torch.Tensor,
    window: Window,
    engine: Engine,
    progress: ProgressCallback,
) -> torch.Tensor:
    """Return the logits of an image, averaged over tiles, mirrored patches and folds.

    Parameters
    ----------
    network : torch.nn.Module
        Maps (1, channels, *patch) to (1, classes, *patch).
    folds : sequence of callable
        Each returns the weights of a fold when they are needed.
    image : torch.Tensor, shape (channels, z, y, x)
        float32.
    window : Window
        Patch, step, mirroring.
    engine : Engine
        Device and precision.
    progress : callable
        Called with the finished tiles and all tiles.

    Returns
    -------
    torch.Tensor, shape (classes, z, y, x)
        float32, on the device of the engine if it has enough memory, else on the CPU.

    Raises
    ------
    InferenceError
        If the network returns a value that is not finite.
    OutOfMemoryError
        If there is not enough memory.
    """
    with engine.running():
        padded, inside = padded_to(image, window.patch_size)
        shape = tuple(padded.shape[-3:])
        tiles = tiles_of(shape, window)
        gaussian = importance(window.patch_size)
        gaussian = gaussian if gaussian.ndim == 3 else gaussian[None]
        network = network.to(engine.device).eval()
        total = sums = None
        done, all_tiles = 0, len(tiles) * len(folds)
        for weights in folds:
            load_weights(network, weights())
            for tile in tiles:
                patch = padded[:, *tile].to(engine.device)
                logits = _predict_patch(network, patch, window)
                if total is None or sums is None:
                    size = 4 * logits.shape[0] * math.prod(shape)
                    device = engine.device_for(size)
                    total = torch.zeros((logits.shape[0], *shape), device=device)
                    sums = torch.zeros(shape, device=device)
                    gaussian = gaussian.to(engine.device)
                total[:, *tile] += (logits * gaussian).to(total.device)
                sums[tile] += gaussian.to(sums.device)
                done += 1
                progress(done, all_tiles)
        assert total is not None and sums is not None
        total /= sums
        if not bool(torch.isfinite(total.amax() - total.amin())):
            raise InferenceError("the network returned values that are not finite", advice="Try --device cpu.")
        return total[:, *inside]


def logits_slabs(
    network: torch.nn.Module,
    folds: Sequence[Callable[[], StateDict]],
    image: torch.Tensor,
    window: Window,
    engine: Engine,
    progress: ProgressCallback,
) -> Iterator[torch.Tensor]:
    """Yield the logits of an image slab by slab, from the first slice to the last.

    It is `predict_logits` for images whose logits need too much memory: a slab is yielded once no further tile overlaps
    it. With one fold the values are equal; several folds are summed in another order, which changes the last digit.

    Parameters
    ----------
    network, folds, image, window, engine, progress
        As in `predict_logits`.

    Yields
    ------
    torch.Tensor, shape (classes, slices, y, x)
        All slices of the image in order.

    Raises
    ------
    InferenceError, OutOfMemoryError
        As `predict_logits`.
    """
    padded, (inside_z, inside_y, inside_x) = padded_to(image, window.patch_size)
    shape = tuple(padded.shape[-3:])
    tiles = tiles_of(shape, window)
    gaussian = importance(window.patch_size)
    gaussian = (gaussian if gaussian.ndim == 3 else gaussian[None]).to(engine.device)
    network = network.to(engine.device).eval()
    rows = _rows(tiles, 1 if len(window.patch_size) == 3 else _FLAT_ROWS)
    ends = [min(tile[0].start for tile in row) for row in rows[1:]] + [shape[0]]
    total = sums = None
    start, loaded = 0, None  # first slice of the padded image in the sums
    done, all_tiles = 0, len(tiles) * len(folds)
    for row, end in zip(rows, ends, strict=True):
        with engine.running():
            last = max(tile[0].stop for tile in row)
            for weights in folds:
                if loaded is not weights:
                    load_weights(network, weights())
                    loaded = weights
                for tile in row:
                    logits = _predict_patch(network, padded[:, *tile].to(engine.device), window)
                    if total is None or sums is None:
                        depth = max(max(t[0].stop for t in r) - r[0][0].start for r in rows)
                        device = engine.device_for(8 * logits.shape[0] * depth * shape[1] * shape[2])
                        total = torch.zeros((logits.shape[0], 0, *shape[1:]), device=device)
                        sums = torch.zeros((0, *shape[1:]), device=device)
                    if last > start + total.shape[1]:
                        more = last - start - total.shape[1]
                        total = torch.cat([total, total.new_zeros((total.shape[0], more, *shape[1:]))], dim=1)
                        sums = torch.cat([sums, sums.new_zeros((more, *shape[1:]))])
                    here = (slice(tile[0].start - start, tile[0].stop - start), *tile[1:])
                    total[:, *here] += (logits * gaussian).to(total.device)
                    sums[here] += gaussian.to(sums.device)
                    done += 1
                    progress(done, all_tiles)
            assert total is not None and sums is not None
            slab = total[:, : end - start] / sums[: end - start]
            total, sums = total[:, end - start :].clone(), sums[end - start :].clone()
            if not bool(torch.isfinite(slab.amax() - slab.amin())):
                raise InferenceError("the network returned values that are not finite", advice="Try --device cpu.")
        first, stop = max(start, inside_z.start), min(end, inside_z.stop)
        if first < stop:
            yield slab[:, first - start : stop - start, inside_y, inside_x]
        start = end


def _rows(tiles: list[Tile], starts: int) -> list[list[Tile]]:
    """Return tiles in groups that start at the same slice, or at a number of consecutive slices."""
    groups = [list(row) for _, row in itertools.groupby(tiles, key=lambda tile: tile[0].start)]
    return [list(itertools.chain(*groups[i : i + starts])) for i in range(0, len(groups), starts)]


def _predict_patch(network: torch.nn.Module, patch: torch.Tensor, window: Window) -> torch.Tensor:
    """Return the logits (classes, z, y, x) of a patch (channels, z, y, x), averaged with those of mirrored patches."""
    flat = len(window.patch_size) == 2
    batch = patch[None, :, 0] if flat else patch[None]
    logits: torch.Tensor = network(batch).float()
    axes = [axis + 2 for axis in window.mirror_axes]
    combinations = [chosen for n in range(len(axes)) for chosen in itertools.combinations(axes, n + 1)]
    for chosen in combinations:
        logits += torch.flip(network(torch.flip(batch, chosen)), chosen).float()
    logits /= len(combinations) + 1
    return logits[0][:, None] if flat else logits[0]
