"""Restore labels on the grid of the image from the logits of the network, without logits of all classes on that grid.

If the resampling is linear, a block of voxels whose neighbours on the network's grid all have the same winner has that
winner, too (a weighted mean preserves the order), so only blocks at borders are computed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cspine.core.geometry import Shape3
from cspine.inference.preprocess import NetworkImage
from cspine.inference.resampling import AxisMatrices, Matrix, axis_matrices
from cspine.inference.threads import each
from cspine.models.plans import NetworkPlan, Resampling

_BLOCK: Shape3 = (16, 32, 32)


def restore_slabs(
    slabs: Iterator[NDArray[np.float32]], image: NetworkImage, matrices: AxisMatrices
) -> NDArray[np.uint8]:
    """Return labels on the grid of the image, in the network's order of axes, from logits slab by slab.

    Parameters
    ----------
    slabs : iterator of ndarray
        Logits from `sliding_window.logits_slabs`.
    image : NetworkImage
        Input of the network.
    matrices : AxisMatrices
        Resampling from `slab_matrices`.
    """
    labels = np.zeros(image.image_shape, dtype=np.uint8)
    labels[image.labelled_box] = labels_by_slabs(slabs, matrices)
    return labels


def slab_matrices(image: NetworkImage, plan: NetworkPlan) -> AxisMatrices | None:
    """Return the resampling of logits to the grid of the image, or None if it needs all logits at once.

    Parameters
    ----------
    image : NetworkImage
        Input of the network.
    plan : NetworkPlan
        Of the stage.
    """
    spacings = image.network_spacing_mm, image.spacing_mm
    matrices = axis_matrices(plan.resample_logits, (image.network_shape, image.box_shape), spacings)
    if matrices is None or not matrices.is_convex:
        return None
    part = image.part
    return matrices if part is None else matrices.between(part.network_box, part.view)


def restore(logits: NDArray[np.float32], image: NetworkImage, plan: NetworkPlan) -> NDArray[np.uint8]:
    """Return labels on the grid of the image that was the input of `preprocess`.

    Parameters
    ----------
    logits : ndarray, shape (classes, z, y, x)
        Logits on the network's grid, with as many voxels as ``image.values``.
    image : NetworkImage
        Input of the network.
    plan : NetworkPlan
        Of the stage.

    Returns
    -------
    ndarray of uint8, shape (z, y, x)
        Network labels; axes in the order of the image.
    """
    labels = np.zeros(image.image_shape, dtype=np.uint8)
    if (matrices := slab_matrices(image, plan)) is not None:
        labels[image.labelled_box] = labels_by_blocks(logits, matrices)
    else:
        arguments = (image.box_shape, image.network_spacing_mm, image.spacing_mm)
        labels[image.box] = labels_by_classes(logits, plan.resample_logits, arguments)
    return labels.transpose(plan.transpose_backward)


def labels_by_blocks(logits: NDArray[np.float32], matrices: AxisMatrices) -> NDArray[np.uint8]:
    """Return the winners of linearly resampled logits, computed block by block.

    Parameters
    ----------
    logits : ndarray, shape (classes, z, y, x)
        float32.
    matrices : AxisMatrices
        Convex resampling, without negative weights.

    Returns
    -------
    ndarray of uint8, shape ``matrices.shape_out``
    """
    return labels_by_slabs(iter([logits]), matrices)


def labels_by_slabs(slabs: Iterator[NDArray[np.float32]], matrices: AxisMatrices) -> NDArray[np.uint8]:
    """Return the winners of resampled logits that come slab by slab, keeping only those that the next blocks need.

    Parameters
    ----------
    slabs : iterator of ndarray, shape (classes, slices, y, x)
        All slices in order, as `sliding_window.logits_slabs` yields them.
    matrices : AxisMatrices
        Convex resampling, without negative weights.

    Returns
    -------
    ndarray of uint8, shape ``matrices.shape_out``
    """
    if matrices.is_identity:
        return np.concatenate([_argmax(slab) for slab in slabs])
    rows, columns, lines = (
        _blocks(matrix, n_out, block)
        for matrix, n_out, block in zip(matrices.matrices, matrices.shape_out, _BLOCK, strict=True)
    )
    result = np.empty(matrices.shape_out, dtype=np.uint8)
    kept: NDArray[np.float32] | None = None
    winners = np.empty(0, dtype=np.uint8)
    start = 0  # first slice of `kept`
    for slab in slabs:
        kept = slab if kept is None else np.concatenate([kept, slab], axis=1)
        winners = _argmax(slab) if not len(winners) else np.concatenate([winners, _argmax(slab)])
        ready = [row for row in rows if row[1].stop <= start + kept.shape[1]]
        rows = rows[len(ready) :]
        for (z, from_z, along_z), (y, from_y, along_y), (x, from_x, along_x) in itertools.product(
            ready, columns, lines
        ):
            here = slice(from_z.start - start, from_z.stop - start)
            seen = winners[here, from_y, from_x]
            first = seen.flat[0]
            if (seen == first).all():
                result[z, y, x] = first
            else:
                block = _resampled(kept[:, here, from_y, from_x], along_z, along_y, along_x)
                result[z, y, x] = _winner(block)
        if rows:
            finished = max(0, min(rows[0][1].start - start, kept.shape[1]))
            kept, winners, start = kept[:, finished:].copy(), winners[finished:], start + finished
    return result


def _argmax(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the winner of each voxel, slice by slice side by side."""
    return np.stack(each(lambda z: _winner(logits[:, z]), range(logits.shape[1])))


def _resampled(
    block: NDArray[np.float32], along_z: Matrix | None, along_y: Matrix | None, along_x: Matrix | None
) -> NDArray[np.float32]:
    if along_x is not None:
        block = (block.reshape(-1, block.shape[3]) @ along_x.T).reshape(*block.shape[:3], -1)
    if along_z is not None:
        classes, z, y, x = block.shape
        block = (along_z @ block.reshape(classes, z, y * x)).reshape(classes, -1, y, x)
    return block if along_y is None else along_y @ block


def _winner(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return the index of the largest logit, the first of equals; several times faster than argmax on this axis."""
    best = logits[0].copy()
    labels = np.zeros(best.shape, dtype=np.uint8)
    for label in range(1, len(logits)):
        np.copyto(labels, label, where=logits[label] > best)
        np.maximum(best, logits[label], out=best)
    return labels


def labels_by_classes(
    logits: NDArray[np.float32], resampling: Resampling, arguments: tuple[object, ...]
) -> NDArray[np.uint8]:
    """Return the winners of logits that the function of the plans resamples class by class.

    Parameters
    ----------
    logits : ndarray, shape (classes, z, y, x)
        float32.
    resampling : Resampling
        Function and arguments of the plans.
    arguments : tuple
        Shape of the result, spacing of the logits, spacing of the result.

    Returns
    -------
    ndarray of uint8, shape of the result
    """
    best: NDArray[np.float32] | None = None
    labels: NDArray[np.uint8] | None = None
    for label in range(int(logits.shape[0])):
        one = np.ascontiguousarray(logits[label : label + 1])
        here = np.asarray(resampling.function(one, *arguments, **resampling.arguments), dtype=np.float32)[0]
        if best is None or labels is None:
            best, labels = here.copy(), np.zeros(here.shape, dtype=np.uint8)
            continue
        higher = here > best
        labels[higher] = label
        np.copyto(best, here, where=higher)
    assert labels is not None
    return labels


def _blocks(matrix: Matrix | None, n_out: int, size: int) -> list[tuple[slice, slice, Matrix | None]]:
    """Return the blocks of an axis: voxels of the result, their source voxels, and the matrix between them."""
    blocks: list[tuple[slice, slice, Matrix | None]] = []
    for start in range(0, n_out, size):
        out = slice(start, min(start + size, n_out))
        if matrix is None:
            blocks.append((out, out, None))
            continue
        used = np.flatnonzero((matrix[out] != 0).any(0))
        source = slice(int(used[0]), int(used[-1]) + 1)
        blocks.append((out, source, np.ascontiguousarray(matrix[out, source])))
    return blocks
