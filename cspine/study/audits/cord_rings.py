"""The ring of a vertebra around the spinal cord: how far it is closed, and whether the cord lies in bone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import VERTEBRAE, rank
from cspine.core.geometry import reorientation, to_index
from cspine.core.norms import MAX_CORD_MM2
from cspine.core.shape import LevelShape, complete_shapes
from cspine.core.volumes import LabelVolume

#: Directions from the cord in which bone is looked for, how far, and how many must meet it: a canal is open at the
#: intervertebral foramina and between the laminae, on one or two sides at a time.
RING_DIRECTIONS, RING_REACH_MM, MIN_RING = 16, 30.0, 0.75
#: The slab of a level: so far above and below its centroid.
RING_SLAB_MM = 8.0
#: Share of the cord's voxels within bone: contours of both are a voxel off at their common border.
MAX_CORD_OVERLAP = 0.15


@dataclass(frozen=True)
class Ring:
    """The position of a vertebra around the spinal cord.

    Parameters
    ----------
    closed : float
        Share of the directions from the cord's centre in which bone is met.
    overlap : float
        Share of the cord's voxels at that height that are labelled as bone.
    """

    closed: float
    overlap: float

    @property
    def holds(self) -> bool:
        """Return True where the cord lies within the ring."""
        return self.closed >= MIN_RING and self.overlap < MAX_CORD_OVERLAP


def cord_rings(labels: LabelVolume, cord_zyx: NDArray[np.bool_], shapes: tuple[LevelShape, ...]) -> dict[str, Ring]:
    """Return how each complete vertebra lies around the cord, by name.

    Omitted are levels at whose height no cord is labelled, or one larger than `MAX_CORD_MM2` in axial section.

    Bone of a level and of its direct neighbours within a slab about the level's centroid is projected along the
    patient's axis, and met by rays from the centre of the cord in that slab.

    Parameters
    ----------
    labels : LabelVolume
        Labels.
    cord_zyx : ndarray of bool, shape (z, y, x)
        Spinal cord on the same grid.
    shapes : tuple of LevelShape
        The levels found.
    """
    to_lps = reorientation(labels.affine_lps, "LPS")
    grid = to_lps.grid(labels.grid)
    turned, cord = to_lps.apply(labels.labels_zyx), to_lps.apply(cord_zyx)
    rings = {}
    for shape in complete_shapes(shapes):
        height = float(to_index(grid.affine_lps, shape.centroid_lps[None])[0, 2])
        reach = max(RING_SLAB_MM / grid.spacing_xyz[2], 1.0)
        slab = slice(max(round(height - reach), 0), min(round(height + reach) + 1, grid.shape_zyx[0]))
        cord_here = cord[slab]
        slices = int(np.count_nonzero(cord_here.any(axis=(1, 2))))
        mm2 = np.count_nonzero(cord_here) * grid.spacing_xyz[0] * grid.spacing_xyz[1] / max(slices, 1)
        if not 0 < mm2 <= MAX_CORD_MM2:
            continue
        place = rank(shape.vertebra.label)
        near = [v.label for v in VERTEBRAE[max(place - 1, 0) : place + 2]]
        bone = np.isin(turned[slab], near)
        overlap = np.count_nonzero((turned[slab] > 0) & cord_here) / np.count_nonzero(cord_here)
        centre_yx = np.argwhere(cord_here)[:, 1:].mean(axis=0)
        rings[shape.vertebra.name] = Ring(_closed(np.asarray(bone.any(axis=0)), centre_yx, grid.spacing_xyz), overlap)
    return rings


def _closed(bone_yx: NDArray[np.bool_], centre_yx: NDArray[np.float64], spacing_xyz: tuple[float, ...]) -> float:
    step_mm = min(spacing_xyz[:2]) / 2
    angles = np.arange(RING_DIRECTIONS) * 2 * np.pi / RING_DIRECTIONS
    along = np.arange(0.0, RING_REACH_MM + step_mm, step_mm)
    y = centre_yx[0] + np.outer(np.sin(angles), along) / spacing_xyz[1]
    x = centre_yx[1] + np.outer(np.cos(angles), along) / spacing_xyz[0]
    met = ndimage.map_coordinates(bone_yx.astype(np.uint8), [y, x], order=0, mode="constant", cval=0)
    return float(met.any(axis=1).mean())
