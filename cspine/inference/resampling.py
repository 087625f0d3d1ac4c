"""nnU-Net's resampling as one matrix for each axis.

Its functions are linear and separable: a cubic spline over a volume is a spline along each axis in turn. The matrix of
an axis is the result of the function that nnU-Net calls for the unit vectors. Results are equal except for rounding, in
float32 and slab by slab, where nnU-Net needs several copies of the volume in float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from nnunetv2.configuration import ANISO_THRESHOLD
from nnunetv2.preprocessing.resampling.default_resampling import determine_do_sep_z_and_axis
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from skimage.transform import resize

from cspine.core.geometry import Shape3
from cspine.models.plans import Resampling

Spacing = tuple[float, float, float]
# Smaller entries are rounding errors of the spline filter.
_NEGLIGIBLE = 1e-9
_KINDS = {"linear", "nearest", "nearest-exact", *(f"{name} {n}" for name in ("spline", "sampled") for n in range(6))}


@dataclass(frozen=True, eq=False)
class AxisMatrices:
    """A resampling of volumes of a given shape.

    Parameters
    ----------
    shape_in, shape_out : tuple of int
        Shapes, with the axes of the network's array.
    matrices : tuple of (ndarray or None)
        For each axis (n_out, n_in), float32; None if the axis does not change.
    separate_axis : int or None
        The axis that is resampled separately, after the slices.
    clipped : bool
        True if the result is clipped to the range of the input (of a slice if an axis is separate, else of the volume).
    """

    shape_in: Shape3
    shape_out: Shape3
    matrices: tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]
    separate_axis: int | None
    clipped: bool

    @property
    def is_identity(self) -> bool:
        """Whether nothing changes."""
        return all(matrix is None for matrix in self.matrices)

    @property
    def is_convex(self) -> bool:
        """Whether each output voxel is a weighted mean of input voxels, without negative weights."""
        return all(matrix is None or bool((matrix >= 0).all()) for matrix in self.matrices)


def axis_matrices(
    resampling: Resampling, shapes: tuple[Shape3, Shape3], spacings: tuple[Spacing, Spacing]
) -> AxisMatrices | None:
    """Return a resampling of the plans as matrices, or None if its arguments do not allow that.

    Parameters
    ----------
    resampling : Resampling
        Function and arguments of the plans.
    shapes : pair of tuple
        Shapes before and after.
    spacings : pair of tuple
        Spacings before and after, millimetres; they decide whether an axis is separate.
    """
    (shape_in, shape_out), arguments = shapes, resampling.arguments
    if shape_in == shape_out:
        return AxisMatrices(shape_in, shape_out, (None, None, None), None, False)
    of_torch = resampling.name == "resample_torch_fornnunet"
    force = arguments.get("force_separate_z", None if of_torch else False)
    threshold = arguments.get("separate_z_anisotropy_threshold", ANISO_THRESHOLD)
    separate, axis = determine_do_sep_z_and_axis(force, *spacings, threshold)
    apart = int(axis) if separate else None
    if of_torch:
        if apart is not None and (arguments.get("mode", "linear") != "linear"):
            return None
        kinds = ["linear"] * 3
        if apart is not None:
            kinds[apart] = str(arguments.get("aniso_axis_mode", "nearest-exact"))
    else:
        kinds = [f"spline {int(arguments.get('order', 3))}"] * 3
        if apart is not None:
            kinds[apart] = f"sampled {int(arguments.get('order_z', 0))}"
    if not set(kinds) <= _KINDS:
        return None
    made = [
        None if n_in == n_out else _matrix(n_in, n_out, kind)
        for n_in, n_out, kind in zip(shape_in, shape_out, kinds, strict=True)
    ]
    return AxisMatrices(shape_in, shape_out, (made[0], made[1], made[2]), apart, clipped=not of_torch)


@lru_cache(maxsize=32)
def _matrix(n_in: int, n_out: int, kind: str) -> torch.Tensor:
    name, _, order = kind.partition(" ")
    if name == "spline":
        dense: NDArray[np.float64] = resize(  # type: ignore[no-untyped-call]
            np.eye(n_in), (n_out, n_in), int(order), mode="edge", anti_aliasing=False, clip=False
        )
    elif name == "sampled":
        along = n_in / n_out * (np.arange(n_out) + 0.5) - 0.5
        grid = np.broadcast_arrays(along[:, None], np.arange(n_in)[None, :])
        dense = map_coordinates(np.eye(n_in), np.stack(grid), order=int(order), mode="nearest")
    else:
        unit = torch.eye(n_in)[None]
        return torch.nn.functional.interpolate(unit, size=n_out, mode=name)[0].T.contiguous()
    dense[np.abs(dense) < _NEGLIGIBLE] = 0
    return torch.from_numpy(dense.astype(np.float32))
