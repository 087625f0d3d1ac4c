"""Find the spinal column among all labelled bone; what lies away from it is not a vertebra.

Teeth, the skull base and the shoulders are bone of similar density, and a network may label some of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cc3d
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import VERTEBRAE, rank, steps_between, vertebra
from cspine.core.geometry import Grid, to_lps
from cspine.core.norms import COLUMN_STEP_MM, MAX_LEVEL_MM
from cspine.core.shape import Box, any_by_block
from cspine.core.volumes import LabelArray
from cspine.postprocessing.order import head_axis

#: Labelled bone within this distance belongs together: discs and joint spaces are narrower.
LINK_MM = 12.0
#: The same around bone labelled T2 or lower: lumbar discs are thicker, and a coarse network leaves wider gaps.
LINK_BELOW_T1_MM = 20.0
#: Size of the coarse voxels on which distances are computed.
COARSE_MM = 3.0
#: Smallest volume of a further part of the column.
MIN_PART_MM3 = 1500.0
#: Adjacent levels lie within 60 degrees of the direction of the column.
MIN_STEP_COSINE = 0.5
#: Volume above which a level counts no more when parts are compared: size alone does not make a column.
COUNTED_MM3 = 10_000.0
#: Number of levels that a lower part may share with the main part: the network may be off by one from there on.
_OVERLAP = 2
#: A further part lies within this angle of the head-to-foot direction of the main part (cosine of 50 degrees).
MIN_COSINE = 0.64


@dataclass(frozen=True, eq=False)
class _Part:
    """A group of labelled bone whose members are within `LINK_MM` of each other."""

    number: int
    volumes_mm3: dict[int, float]  # by label, head to foot
    centroids_lps: dict[int, NDArray[np.float64]]  # by label, head to foot

    @property
    def volume_mm3(self) -> float:
        return sum(self.volumes_mm3.values())

    @property
    def score(self) -> float:
        """Volume of the levels that form a column, minus the volume of the outliers, in cubic millimetres.

        Of two levels that cannot be adjacent, the smaller is the outlier: a speck must not outvote a vertebra.
        """
        axis = head_axis(np.array(list(self.centroids_lps.values())))
        inliers = list(self.centroids_lps)
        if _BELOW_T1[inliers].any():
            inliers = self._longest_chain(axis)
        while misfits := [pair for pair in pairwise(inliers) if not self._follow(*pair, axis)]:
            inliers.remove(min((label for pair in misfits for label in pair), key=lambda i: self.volumes_mm3[i]))
        return sum(
            min(volume, COUNTED_MM3) * (1 if label in inliers else -1) for label, volume in self.volumes_mm3.items()
        )

    def _longest_chain(self, axis: NDArray[np.float64]) -> list[int]:
        """Return the chain of compatible levels with the largest total volume.

        In a long spine, one large component of a wrong level must not displace its neighbours one after another.
        """
        chains: list[tuple[float, list[int]]] = []
        for label, volume in self.volumes_mm3.items():
            before = [(size, chain) for size, chain in chains if self._follow(chain[-1], label, axis)]
            size, chain = max(before, key=lambda found: found[0], default=(0.0, []))
            chains.append((size + min(volume, COUNTED_MM3), [*chain, label]))
        return max(chains, key=lambda found: found[0])[1]

    def _follow(self, upper: int, lower: int, axis: NDArray[np.float64]) -> bool:
        """Return whether the distance and direction between two levels are those of a spinal column."""
        fewest, most = steps_between(upper, lower)
        upward = self.centroids_lps[upper] - self.centroids_lps[lower]
        distance = float(np.linalg.norm(upward))
        min_mm = COLUMN_STEP_MM[vertebra(upper).region][0]
        max_mm = max(COLUMN_STEP_MM[vertebra(label).region][1] for label in (upper, _above(lower)))
        in_step = min_mm * fewest <= distance <= max_mm * most
        return in_step and float(upward @ axis) >= MIN_STEP_COSINE * distance

    @property
    def ranks(self) -> list[int]:
        return [rank(label) for label in self.centroids_lps]


def _above(label: int) -> int:
    """Return the label of the level above."""
    return VERTEBRAE[max(rank(label) - 1, 0)].label


def keep_column(labels_zyx: LabelArray, grid: Grid) -> tuple[LabelArray, dict[int, float]]:
    """Remove labels that do not belong to the spinal column.

    The column is the group of labelled bone within `LINK_MM` with the best score (levels in order, one step apart),
    together with each other group that continues it: one whose levels are above (or below) all of its levels, lie in
    that direction, and are no further away than they can be.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels; they are not modified.
    grid : Grid
        Grid of the array.

    Returns
    -------
    labels_zyx : ndarray of uint8, shape (z, y, x)
    removed_mm3 : dict of int to float
        Volume that was removed, by label.
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
    parts.sort(key=lambda p: (-p.score, -p.volume_mm3, p.number))
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
    """Return the number of the group of labelled bone at each coarse voxel, shape ceil(shape / steps)."""
    coarse = any_by_block(labels_zyx != 0, steps_zyx)
    sampling = [n * mm for n, mm in zip(steps_zyx, reversed(grid.spacing_xyz), strict=True)]
    near = ndimage.distance_transform_edt(~coarse, sampling=sampling) <= LINK_MM / 2
    lower = _BELOW_T1[labels_zyx]
    if lower.any():
        coarse = any_by_block(lower, steps_zyx)
        near |= ndimage.distance_transform_edt(~coarse, sampling=sampling) <= LINK_BELOW_T1_MM / 2
    return np.asarray(cc3d.connected_components(near, connectivity=26, out_dtype=np.uint32))


#: For each label, whether it lies below T1.
_BELOW_T1 = np.zeros(256, dtype=np.bool_)
_BELOW_T1[[level.label for level in VERTEBRAE if rank(level.label) > rank(vertebra("T1").label)]] = True


def _enlarge(coarse: NDArray[np.uint32], steps_zyx: tuple[int, int, int], shape: tuple[int, ...]) -> NDArray[np.uint32]:
    for axis, step in enumerate(steps_zyx):
        coarse = np.repeat(coarse, step, axis=axis).take(range(shape[axis]), axis=axis)
    return coarse


def _part(labels_zyx: LabelArray, groups_zyx: NDArray[np.uint32], grid: Grid, number: int, box: Box) -> _Part:
    labels = np.where(groups_zyx[box] == number, labels_zyx[box], np.uint8(0))
    present = [int(i) for i in np.unique(labels) if i]
    if _BELOW_T1[present].any():
        labels = _largest_pieces(labels, present)
    start_zyx = np.array([s.start for s in box])
    centroids = {
        label: to_lps(grid.affine_lps, (np.argwhere(labels == label).mean(axis=0) + start_zyx)[None, ::-1])[0]
        for label in sorted(present, key=rank)
    }
    volumes = {label: float(np.count_nonzero(labels == label) * grid.voxel_mm3) for label in centroids}
    return _Part(number, volumes, centroids)


def _may_overlap(part: _Part) -> int:
    """Return how many levels a part may share with the main part and still continue it.

    Below T1 a network may be off by one from some vertebra on; the lower part then begins with a level that the upper
    part also has.
    """
    return _OVERLAP if all(_BELOW_T1[VERTEBRAE[i].label] for i in part.ranks) else 0


def _largest_pieces(labels_zyx: LabelArray, present: list[int]) -> LabelArray:
    """Return the labels with the largest component of each alone.

    A network that sees a long spine in patches labels some of a lumbar vertebra as C2 now and then: such a component
    must not move the centroid of C2.
    """
    kept = np.zeros_like(labels_zyx)
    for label in present:
        kept[cc3d.largest_k(labels_zyx == label, k=1, connectivity=26) > 0] = label
    return kept


def _continues(main: _Part, part: _Part) -> bool:
    """Return whether a part continues the main part of the column."""
    if part.volume_mm3 < MIN_PART_MM3:
        return False
    main_points, part_points = list(main.centroids_lps.values()), list(part.centroids_lps.values())
    if min(part.ranks) > max(main.ranks) - _may_overlap(part) and max(part.ranks) > max(main.ranks):
        fewest, most = min(part.ranks) - max(main.ranks), main.ranks[-1]
        offset = part_points[0] - main_points[-1]
        down = main_points[-1] - main_points[max(0, len(main_points) - 3)]
    elif max(part.ranks) < min(main.ranks) + _may_overlap(part) and min(part.ranks) < min(main.ranks):
        fewest, most = min(main.ranks) - max(part.ranks), part.ranks[-1]
        offset = main_points[0] - part_points[-1]
        down = main_points[min(2, len(main_points) - 1)] - main_points[0]
    else:
        return False
    levels, level_mm = max(fewest, 1), MAX_LEVEL_MM[VERTEBRAE[most].region]
    if len(main_points) == 1:
        down = np.array([0.0, 0.0, -1.0])
    distance = float(np.linalg.norm(offset))
    length = float(np.linalg.norm(down))
    if distance == 0 or length == 0 or distance > level_mm * (levels + 1):
        return False
    return float(offset @ down) / (distance * length) >= MIN_COSINE
