"""The part of a grid that is near something small, found at every sixth voxel first."""

from __future__ import annotations

from dataclasses import dataclass

import torch

#: Points of every so many voxels are looked at first.
STEP = 6

Box = tuple[slice, slice, slice]


@dataclass(frozen=True, eq=False)
class PointGrid:
    """Where the voxels of a grid lie in the column's frame.

    Parameters
    ----------
    points_xyz : Tensor of float32, shape (z, y, x, 3)
        From `cspine.study.synthesis.neck.soft_tissue.column_points`.
    spacing_mm : float
        Voxel size.
    """

    points_xyz: torch.Tensor
    spacing_mm: float

    @property
    def sparse_xyz(self) -> torch.Tensor:
        """Return the points of every `STEP`-th voxel."""
        return self.points_xyz[::STEP, ::STEP, ::STEP]

    def box(self, near: torch.Tensor) -> Box | None:
        """Return the voxels around all sparse points for which a mask is true; None where it is true for none."""
        found = torch.nonzero(near)
        if not len(found):
            return None
        first = (found.amin(dim=0) - 1).clamp(min=0) * STEP
        last = (found.amax(dim=0) + 1) * STEP + 1
        z, y, x = (slice(int(a), int(b)) for a, b in zip(first, last, strict=True))
        return z, y, x
