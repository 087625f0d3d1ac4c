"""The spinal column among everything that was labelled: what stands away from it is not a vertebra.

Teeth, the skull base and the shoulders are bone of like density; a network may label some of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.anatomy import rank
from cspine.geometry import Grid, to_lps
from cspine.postprocessing.order import head_axis
from cspine.postprocessing.shape import Box
from cspine.volumes import LabelArray

#: Bones of the column closer than this belong together: discs and joint spaces are narrower.
LINK_MM = 12.0
#: Side of the coarse voxels on which distances are taken.
COARSE_MM = 3.0
#: Another part of the column holds at least this much bone.
LEAST_PART_MM3 = 1500.0
#: One level takes at most this much of the column, disc included.
LONGEST_LEVEL_MM = 40.0
#: Centroids of neighbouring levels of one column lie so far apart, for each step of level.
STEP_MM = (9.0, 30.0)
#: ... and within 60 degrees of the column's direction.
LEAST_STEP_COSINE = 0.5
#: No level counts for more than this when parts are compared: size alone makes no column.
COUNTED_MM3 = 10_000.0
#: Another part of the column lies within this angle of the main part's head-to-foot direction (cosine of 50 degrees).
LEAST_COSINE = 0.64


@dataclass(frozen=True, eq=False)
class _Part:
    """A group of labelled bone whose members lie within `LINK_MM` of each other."""

    number: int
    volumes_mm3: dict[int, float]  # by label, head to foot
    centroids_lps: dict[int, NDArray[np.float64]]  # by label, head to foot

    @property
    def volume_mm3(self) -> float:
        return sum(self.volumes_mm3.values())

    @property
    def likeness(self) -> float:
        """How much of the part stands as a column does, less what does not, in cubic millimetres.

        Of two levels that do not follow each other the smaller is astray: a speck must not discredit a vertebra.
        """
        axis = head_axis(np.array(list(self.centroids_lps.values())))
        standing = list(self.centroids_lps)
        while misfits := [pair for pair in pairwise(standing) if not self._follow(*pair, axis)]:
            standing.remove(min((label for pair in misfits for label in pair), key=lambda i: self.volumes_mm3[i]))
        return sum(
            min(volume, COUNTED_MM3) * (1 if label in standing else -1) for label, volume in self.volumes_mm3.items()
        )

    def _follow(self, upper: int, lower: int, axis: NDArray[np.float64]) -> bool:
        """Tell whether two levels lie as far apart, and in the direction, that they do in a column."""
        steps = rank(lower) - rank(upper)
        way = self.centroids_lps[upper] - self.centroids_lps[lower]
        distance = float(np.linalg.norm(way))
        in_step = STEP_MM[0] * steps <= distance <= STEP_MM[1] * steps
        return in_step and float(way @ axis) >= LEAST_STEP_COSINE * distance

    @property
    def ranks(self) -> list[int]:
        return [rank(label) for label in self.centroids_lps]


def keep_column(labels_zyx: LabelArray, grid: Grid) -> tuple[LabelArray, dict[int, float]]:
    """Remove what stands away from the spinal column.

    The column is the group of labelled bone within `LINK_MM` that is most like one (levels in order, a step apart),
    and every other sizeable group that continues it: whose levels lie above (or below) all of its levels, in that
    direction, and no further than they can be.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; not changed.
    grid : Grid
        Grid of the array.

    Returns
    -------
    labels_zyx : ndarray of uint8, shape (z, y, x)
    removed_mm3 : dict of int to float
        Volume removed, by label.
    """
    steps = tuple(max(1, round(COARSE_MM / step)) for step in reversed(grid.spacing_xyz))
    groups_coarse = _groups(labels_zyx, grid, (steps[0], steps[1], steps[2]))
    if groups_coarse.max() <= 1:
        return labels_zyx, {}
    groups_zyx = _enlarge(groups_coarse, (steps[0], steps[1], steps[2]), labels_zyx.shape)
    groups_zyx[labels_zyx == 0] = 0
    parts = [
        _part(labels_zyx, groups_zyx, grid, number, box)
        for number, box in enumerate(ndimage.find_objects(groups_zyx), start=1)
        if box is not None
    ]
    parts.sort(key=lambda p: (-p.likeness, -p.volume_mm3, p.number))
    column = [parts[0]]
    for part in parts[1:]:
        if _continues(column[0], part):
            column.append(part)
    kept = np.zeros(int(groups_coarse.max()) + 1, dtype=bool)
    kept[[part.number for part in column]] = True
    dropped = ~kept[groups_zyx] & (labels_zyx != 0)
    counts = np.bincount(labels_zyx[dropped], minlength=256)
    removed = {int(label): float(counts[label] * grid.voxel_mm3) for label in np.flatnonzero(counts)}
    return np.where(dropped, np.uint8(0), labels_zyx), removed


def _groups(labels_zyx: LabelArray, grid: Grid, steps_zyx: tuple[int, int, int]) -> NDArray[np.uint32]:
    """Return the number of the group of bone at each coarse voxel, shape ceil(shape / steps)."""
    coarse = labels_zyx != 0
    for axis, step in enumerate(steps_zyx):
        coarse = np.logical_or.reduceat(coarse, np.arange(0, coarse.shape[axis], step), axis=axis)
    sampling = [n * mm for n, mm in zip(steps_zyx, reversed(grid.spacing_xyz), strict=True)]
    near = ndimage.distance_transform_edt(~coarse, sampling=sampling) <= LINK_MM / 2
    return np.asarray(cc3d.connected_components(near, connectivity=26, out_dtype=np.uint32))


def _enlarge(coarse: NDArray[np.uint32], steps_zyx: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.uint32]:
    for axis, step in enumerate(steps_zyx):
        coarse = np.repeat(coarse, step, axis=axis).take(range(shape[axis]), axis=axis)
    return coarse


def _part(labels_zyx: LabelArray, groups_zyx: NDArray[np.uint32], grid: Grid, number: int, box: Box) -> _Part:
    labels = np.where(groups_zyx[box] == number, labels_zyx[box], np.uint8(0))
    present = [int(i) for i in np.unique(labels) if i]
    start_zyx = np.array([s.start for s in box])
    centroids = {
        label: to_lps(grid.affine_lps, (np.argwhere(labels == label).mean(axis=0) + start_zyx)[None, ::-1])[0]
        for label in sorted(present, key=rank)
    }
    volumes = {label: float(np.count_nonzero(labels == label) * grid.voxel_mm3) for label in centroids}
    return _Part(number, volumes, centroids)


def _continues(main: _Part, part: _Part) -> bool:
    """Tell whether a part goes on where the main part of the column ends."""
    if part.volume_mm3 < LEAST_PART_MM3:
        return False
    main_points, part_points = list(main.centroids_lps.values()), list(part.centroids_lps.values())
    if min(part.ranks) > max(main.ranks):
        levels = min(part.ranks) - max(main.ranks)
        way = part_points[0] - main_points[-1]
        down = main_points[-1] - main_points[max(0, len(main_points) - 3)]
    elif max(part.ranks) < min(main.ranks):
        levels = min(main.ranks) - max(part.ranks)
        way = main_points[0] - part_points[-1]
        down = main_points[min(2, len(main_points) - 1)] - main_points[0]
    else:
        return False
    if len(main_points) == 1:
        down = np.array([0.0, 0.0, -1.0])
    distance = float(np.linalg.norm(way))
    length = float(np.linalg.norm(down))
    if distance == 0 or length == 0 or distance > LONGEST_LEVEL_MM * (levels + 1):
        return False
    return float(way @ down) / (distance * length) >= LEAST_COSINE
