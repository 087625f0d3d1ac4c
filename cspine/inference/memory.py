"""The main memory that a model needs for a scan, known before any of it is asked for.

It is a lower bound: what is certain not to fit is refused at once, and what may fit is tried.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from cspine.core.errors import NotEnoughMemoryError
from cspine.core.geometry import Grid, reorientation
from cspine.inference.settings import InferenceSettings
from cspine.io.machine import Memory, memory
from cspine.models.package import Stage

#: Masks and labels of the volume: predicted, levels, auxiliary, cleaned.
_BYTES_PER_VOXEL = 4
#: Feature maps of the first resolution that a network holds at once: skip connection, input and output of a layer.
_MAPS = 3
_FLOAT, _HU_BYTES = 4, 2


def network_shape(image: Grid, stage: Stage) -> tuple[int, ...]:
    """Return the shape of an image on the grid of a stage, at least a patch, in the order of the network's axes.

    Parameters
    ----------
    image : Grid
        Grid of the image.
    stage : Stage
        The stage, with orientation, spacing and patch of its network.
    """
    plan = stage.plan
    grid = reorientation(image.affine_lps, stage.manifest.orientation).grid(image)
    spacing = [tuple(reversed(grid.spacing_xyz))[axis] for axis in plan.transpose_forward]
    sizes = [grid.shape_zyx[axis] for axis in plan.transpose_forward]
    target = [*spacing[: 3 - len(plan.spacing_mm)], *plan.spacing_mm]
    patch = (1, *plan.patch_size)[-3:]
    return tuple(
        max(side, round(n * step / to)) for n, step, to, side in zip(sizes, spacing, target, patch, strict=True)
    )


def needed_bytes(image: Grid, stages: Sequence[Stage]) -> int:
    """Return the least memory that a model needs for an image besides the image itself.

    Parameters
    ----------
    image : Grid
        Grid of the image.
    stages : sequence of Stage
        The stages of the model. Only the first sees the complete image.
    """
    first = stages[0]
    z, y, x = network_shape(image, first)
    depth = (1, *first.plan.patch_size)[-3]
    channels = _FLOAT * z * y * x * first.plan.architecture.channels
    logits = _FLOAT * min(z, depth) * y * x * first.plan.architecture.classes
    return (
        _BYTES_PER_VOXEL * math.prod(image.shape_zyx) + channels + logits + max(_activations(stage) for stage in stages)
    )


def _activations(stage: Stage) -> int:
    features = stage.plan.architecture.arguments.get("features_per_stage", 1)
    widest = features[0] if isinstance(features, (list, tuple)) else features
    return _FLOAT * _MAPS * int(widest) * math.prod(stage.plan.patch_size)


def require_memory(
    image: Grid,
    stages: Sequence[Stage],
    settings: InferenceSettings,
    found: Memory | None = None,
    *,
    is_read: bool = True,
) -> None:
    """Refuse a run that cannot fit into memory.

    Parameters
    ----------
    image, stages
        As in `needed_bytes`.
    settings : InferenceSettings
        With a GPU stated, activations lie there, and only the rest is counted.
    found : Memory, optional
        Memory; that of this process if omitted. Where it is unknown nothing is refused.
    is_read : bool
        False if the image has yet to be read, and needs memory itself.

    Raises
    ------
    NotEnoughMemoryError
        If the least memory that the run needs is not available.
    """
    has = memory() if found is None else found
    needed = needed_bytes(image, stages) + (0 if is_read else _HU_BYTES * math.prod(image.shape_zyx))
    if settings.device.startswith("cuda"):
        needed -= max(_activations(stage) for stage in stages)
    if has.total and needed > has.available:
        size = " x ".join(str(n) for n in image.shape_zyx)
        raise NotEnoughMemoryError(
            f"{size} voxels need at least {needed / 2**30:.1f} GiB, but {has.available / 2**30:.1f} GiB are available"
        )
