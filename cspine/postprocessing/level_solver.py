"""Renumber the vertebrae of a result so that their levels are consecutive.

A network often finds the position of each vertebra and is off by one level for a few of them, or splits one vertebra
between two levels. Here the predicted components become vertebrae along the column, and dynamic programming assigns
the ascending levels that agree best with the prediction and with the distances between vertebrae. A consistent result
is left unchanged, and a change that does not make a result more consistent is discarded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import VERTEBRAE, Region, Vertebra, rank, vertebra
from cspine.core.findings import (
    MISSING_LEVEL,
    OUT_OF_ORDER,
    PARTS_UNITED,
    RENUMBERED,
    TOO_CLOSE,
    WIDE_GAP,
    Finding,
)
from cspine.core.geometry import Grid, to_lps
from cspine.core.norms import MIN_PIECE_MM3, TYPICAL_STEPS_MM
from cspine.core.shape import LevelShape, shapes_of
from cspine.core.volumes import LabelArray
from cspine.postprocessing.components import Piece, find_pieces
from cspine.postprocessing.order import ANCHORS, head_axis, order_findings

#: A second component of a level with this share of the volume of the first is more than a fragment.
LARGE_SHARE = 0.3
#: A vertebra is split between levels if two of them have at least this share of it.
SPLIT_SHARE = 0.25
#: Components whose positions along the column are closer than this share of a step are one vertebra, ...
BESIDE_STEPS = 0.3
#: ... and those a little further apart are, too, if their contact is as large as a vertebral body, by region. Facet
#: joints are smaller, except in the neck.
ONE_VERTEBRA_STEPS = 0.62
BODY_CONTACT_MM2 = {Region.CERVICAL: np.inf, Region.THORACIC: 250.0, Region.LUMBAR: 450.0}
#: Depth of the core of a component as a share of its largest depth: the core is the body, without arch and joints.
CORE = 0.45
#: A component may contain two vertebrae if its core is longer than this share of a step along the column ...
MIN_CORE_STEPS = 0.7
#: ... and does if the core is thinner somewhere than this share of the parts on both sides: there is a disc.
WAIST = 0.2
_SLICE_MM = 2.0
#: The depth is taken at voxels of at most this size, or those of the image.
_DEPTH_VOXEL_MM = 1.0
#: Costs of the assignment, in units of one vertebra that keeps its level: a skipped level, an anatomical variant, ...
SKIPPED_LEVEL, VARIANT = 0.5, 0.7
#: ... two parts that are one vertebra after all, which are closer along the column than this share of a step, ...
SAME_VERTEBRA, SAME_VERTEBRA_STEPS = 0.6, 0.7
#: ... and a thirteenth thoracic or sixth lumbar vertebra where none was predicted.
UNSEEN_VARIANT = 3.0
#: A part counts as a complete vertebra from this many times `MIN_PIECE_MM3` on; smaller parts count less.
COMPLETE_VERTEBRA = 2.5
#: C1 and C2 have unmistakable shapes: one of them predicted at the top of the column counts as this many vertebrae.
ANCHOR_WEIGHT = 3.0
#: A solution that renumbers more than this share of the vertebrae, and more than three, is rejected.
MAX_RENAMED_SHARE = 0.4
#: A step may be longer or shorter by this much (natural logarithm) free of cost; more costs this much per unit.
FREE_STRETCH, STRETCH = 0.25, 2.0
#: Largest cost of a step: a single unusual distance must not decide about all levels.
MAX_STEP_COST = 2.0

_KNOTS = [rank(vertebra(name).label) for name in TYPICAL_STEPS_MM]
#: The same for each level of `VERTEBRAE`.
_STEP_MM = np.interp(np.arange(len(VERTEBRAE)), _KNOTS, list(TYPICAL_STEPS_MM.values()))
_INCONSISTENT = frozenset(kind.code for kind in (MISSING_LEVEL, OUT_OF_ORDER, TOO_CLOSE, WIDE_GAP))


@dataclass(frozen=True, eq=False)
class _Column:
    """Labels with their components and shapes, each found once."""

    labels_zyx: LabelArray
    grid: Grid

    @cached_property
    def pieces(self) -> tuple[NDArray[np.uint32], list[Piece]]:
        return find_pieces(self.labels_zyx)

    @cached_property
    def shapes(self) -> tuple[LevelShape, ...]:
        return shapes_of(self.labels_zyx, self.grid)


@dataclass(frozen=True, eq=False)
class _Fragment:
    """A component of one level, or a part of it."""

    label: int
    index_zyx: NDArray[np.intp]
    volume_mm3: float
    position_mm: float  # along the column, from head to foot
    centroid_lps: NDArray[np.float64]

    @property
    def voxels(self) -> int:
        return len(self.index_zyx)


@dataclass(frozen=True, eq=False)
class _Instance:
    """A vertebra: the fragments at the same position along the column."""

    fragments: tuple[_Fragment, ...]

    @property
    def voxels(self) -> int:
        return sum(fragment.voxels for fragment in self.fragments)

    @property
    def position_mm(self) -> float:
        return float(np.average([a.position_mm for a in self.fragments], weights=[a.voxels for a in self.fragments]))

    @property
    def centroid_lps(self) -> NDArray[np.float64]:
        weights = [fragment.voxels for fragment in self.fragments]
        return np.asarray(np.average([fragment.centroid_lps for fragment in self.fragments], axis=0, weights=weights))

    @property
    def volume_mm3(self) -> float:
        return sum(fragment.volume_mm3 for fragment in self.fragments)

    def share_of(self, label: int) -> float:
        return sum(fragment.voxels for fragment in self.fragments if fragment.label == label) / self.voxels

    @property
    def main_label(self) -> int:
        return max(
            {fragment.label for fragment in self.fragments}, key=lambda label: (self.share_of(label), -rank(label))
        )


def solve_levels(
    labels_zyx: LabelArray, grid: Grid, levels: Sequence[Vertebra] = VERTEBRAE
) -> tuple[LabelArray, tuple[Finding, ...]]:
    """Return labels with consecutive levels, and findings about what was changed.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        The column as a network predicted it; it is not modified.
    grid : Grid
        Grid of the array.
    levels : sequence of Vertebra
        Levels that the network can predict; no other is assigned.

    Returns
    -------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        The same array if no solution is better.
    findings : tuple of Finding
        Vertebrae and parts with another level than before.
    """
    column = _Column(labels_zyx, grid)
    before = _faults(column)
    fragments, small = _find_fragments(column)
    instances = _instances(fragments, labels_zyx.shape, grid)
    if len(instances) < 3 or not before + _split_vertebrae(instances):
        return labels_zyx, ()
    assigned = _assign(instances, levels)
    if assigned is None:
        return labels_zyx, ()
    renamed = sum(i.main_label != label for i, label in zip(instances, assigned, strict=True))
    if renamed > max(3, MAX_RENAMED_SHARE * len(instances)):
        return labels_zyx, ()
    given = [(fragment, label) for i, label in zip(instances, assigned, strict=True) for fragment in i.fragments]
    if all(fragment.label == label for fragment, label in given):
        return labels_zyx, ()
    solved = labels_zyx.copy()
    for fragment, label in given:
        solved[tuple(fragment.index_zyx.T)] = label
    for fragment in small:  # each follows the nearest fragment of its level
        near = [
            (float(np.linalg.norm(a.centroid_lps - fragment.centroid_lps)), b)
            for a, b in given
            if a.label == fragment.label
        ]
        if near:
            solved[tuple(fragment.index_zyx.T)] = min(near)[1]
    column = _Column(solved, grid)
    after = _faults(column) + _split_vertebrae(_instances(_find_fragments(column)[0], solved.shape, grid))
    if after >= before + _split_vertebrae(instances):
        return labels_zyx, ()
    return solved, tuple(_findings(instances, assigned))


def _split_vertebrae(instances: list[_Instance]) -> int:
    """Return how many vertebrae are split between two levels."""
    return sum(
        sum(instance.share_of(label) >= SPLIT_SHARE for label in {fragment.label for fragment in instance.fragments})
        > 1
        for instance in instances
    )


def _faults(column: _Column) -> int:
    """Return how many inconsistencies there are: breaks in the sequence, and levels at two positions."""
    breaks = [f for f in order_findings(column.shapes) if f.code in _INCONSISTENT]
    largest: dict[int, Piece] = {}
    twice: set[int] = set()
    for piece in column.pieces[1]:
        main = largest.setdefault(piece.label, piece)
        if piece is not main and piece.voxels >= LARGE_SHARE * main.voxels:
            twice.add(piece.label)
    return len(breaks) + len(twice)


# --- fragments and vertebrae ------------------------------------------------------------------------------------------


def _find_fragments(column: _Column) -> tuple[list[_Fragment], list[_Fragment]]:
    """Return the fragments of the column from head to foot, split at discs, and those too small to count."""
    grid = column.grid
    axis = head_axis(np.array([shape.centroid_lps for shape in column.shapes]))
    numbers_zyx, pieces = column.pieces
    fragments: list[_Fragment] = []
    small: list[_Fragment] = []
    for piece in pieces:
        inside = numbers_zyx[piece.box_zyx] == piece.number
        start = np.array([part.start for part in piece.box_zyx])
        for part in _split_at_disc(inside, axis, grid, piece.label):
            index = np.argwhere(part) + start
            centroid = to_lps(grid.affine_lps, index.mean(axis=0)[None, ::-1])[0]
            fragment = _Fragment(piece.label, index, len(index) * grid.voxel_mm3, float(-centroid @ axis), centroid)
            enough = MIN_PIECE_MM3[vertebra(piece.label).region]
            (fragments if fragment.volume_mm3 >= enough else small).append(fragment)
    return sorted(fragments, key=lambda fragment: (fragment.position_mm, rank(fragment.label))), small


def _split_at_disc(
    inside: NDArray[np.bool_], axis: NDArray[np.float64], grid: Grid, label: int
) -> list[NDArray[np.bool_]]:
    """Return a component, or its two parts if its core has a gap along the column: a disc."""
    z, y, x = (max(1, int(_DEPTH_VOXEL_MM / mm)) for mm in reversed(grid.spacing_xyz))
    sampling = np.array(grid.spacing_xyz[::-1]) * (z, y, x)
    depth = ndimage.distance_transform_edt(np.pad(inside[::z, ::y, ::x], 1), sampling=sampling)[1:-1, 1:-1, 1:-1]
    if not depth.any():
        return [inside]
    core = depth >= CORE * depth.max()
    direction = -(grid.affine_lps[:3, :3].T @ axis)[::-1]  # from an index (z, y, x) to millimetres along the column
    along = (np.argwhere(core) * (z, y, x)) @ direction
    low, high = along.min(), along.max()
    if high - low < MIN_CORE_STEPS * _STEP_MM[rank(label)]:
        return [inside]
    step = max(_SLICE_MM, float(np.abs(direction * (z, y, x)).max()))
    bins = ((along - low) / step).astype(int)
    profile = np.bincount(bins).astype(np.float64)
    waists = [
        (profile[i] / max(min(profile[:i].max(), profile[i + 1 :].max()), 1.0), i) for i in range(1, len(profile) - 1)
    ]
    share = min(waists, default=(1.0, 0))[0]
    if share > WAIST:
        return [inside]
    gap = [i for value, i in waists if value == share]
    cut = low + (gap[len(gap) // 2] + 0.5) * step
    below = np.zeros_like(inside)
    index = np.argwhere(inside)
    below[tuple(index[index @ direction > cut].T)] = True
    return [inside & ~below, below]


def _instances(fragments: list[_Fragment], shape_zyx: tuple[int, ...], grid: Grid) -> list[_Instance]:
    """Merge the nearest fragments repeatedly, as long as they can be parts of one vertebra."""
    contacts = _contacts_mm2(fragments, shape_zyx, grid)
    groups = [[number] for number in range(len(fragments))]
    while True:
        instances = [_Instance(tuple(fragments[number] for number in group)) for group in groups]
        joined = []
        for index, (a, b) in enumerate(pairwise(instances)):
            share = abs(b.position_mm - a.position_mm) / _step_mm(a, b)
            touching = contacts[np.ix_(groups[index], groups[index + 1])].sum()
            needed = min(BODY_CONTACT_MM2[vertebra(i.main_label).region] for i in (a, b))
            if share < (ONE_VERTEBRA_STEPS if touching >= needed else BESIDE_STEPS):
                joined.append((share, index))
        if not joined:
            return instances
        index = min(joined)[1]
        groups[index : index + 2] = [groups[index] + groups[index + 1]]


def _contacts_mm2(fragments: list[_Fragment], shape_zyx: tuple[int, ...], grid: Grid) -> NDArray[np.float64]:
    """Return the contact area of each pair of fragments."""
    numbers = np.zeros(shape_zyx, dtype=np.int32)
    for number, fragment in enumerate(fragments, 1):
        numbers[tuple(fragment.index_zyx.T)] = number
    areas = np.zeros((len(fragments) + 1, len(fragments) + 1))
    spacing_zyx = tuple(reversed(grid.spacing_xyz))
    for axis, spacing in enumerate(spacing_zyx):
        one, other = (np.moveaxis(numbers, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        touching = (one != other) & (one != 0) & (other != 0)
        np.add.at(areas, (one[touching], other[touching]), grid.voxel_mm3 / spacing)
    return np.asarray((areas + areas.T)[1:, 1:])


def _step_mm(a: _Instance, b: _Instance) -> float:
    """Return the expected step between two vertebrae, the smaller of those of their levels."""
    return float(min(_STEP_MM[rank(i.main_label)] for i in (a, b)))


# --- assignment -------------------------------------------------------------------------------------------------------


def _assign(instances: list[_Instance], levels: Sequence[Vertebra]) -> list[int] | None:
    """Return ascending levels, one for each vertebra, at the least cost, or None if none fit."""
    impossible = np.array([level not in levels for level in VERTEBRAE])
    distances = [float(np.linalg.norm(a.centroid_lps - b.centroid_lps)) for a, b in pairwise(instances)]
    size = _patient_size(instances, distances)
    count = len(VERTEBRAE)
    best = np.where(impossible, -np.inf, _gains(instances[0], is_near_top=True))
    predecessors: list[NDArray[np.intp]] = []
    for number, (instance, distance) in enumerate(zip(instances[1:], distances, strict=True), 1):
        reached = np.full((count, count), -np.inf)  # from, to
        along = (instance.position_mm - instances[number - 1].position_mm) / size
        for a in range(count):
            if along < SAME_VERTEBRA_STEPS * _STEP_MM[a]:
                reached[a, a] = best[a] - SAME_VERTEBRA
            for b in range(a + 1, count):
                reached[a, b] = best[a] - _step_cost(a, b, distance / size)
        predecessors.append(np.argmax(reached, axis=0))
        best = reached.max(axis=0) + _gains(instance, is_near_top=number < len(ANCHORS))
        best[impossible] = -np.inf
    if not np.isfinite(best.max()):
        return None
    indices = [int(np.argmax(best))]
    for back in reversed(predecessors):
        indices.append(int(back[indices[-1]]))
    return [VERTEBRAE[index].label for index in reversed(indices)]


def _gains(instance: _Instance, *, is_near_top: bool) -> NDArray[np.float64]:
    """Return the gain of each level for a vertebra: the share of the vertebra predicted as that level."""
    weight = ANCHOR_WEIGHT if is_near_top and vertebra(instance.main_label).name in ANCHORS else 1.0
    weight *= min(1.0, instance.volume_mm3 / (COMPLETE_VERTEBRA * MIN_PIECE_MM3[vertebra(instance.main_label).region]))
    gains = np.array([weight * instance.share_of(level.label) for level in VERTEBRAE])
    for index, level in enumerate(VERTEBRAE):
        if level.name in ("T13", "L6") and gains[index] < SPLIT_SHARE:
            gains[index] -= UNSEEN_VARIANT
    return gains


def _step_cost(a: int, b: int, distance_mm: float) -> float:
    """Return the cost of two levels being neighbours at a distance that is normalised by the patient's size."""
    between = [index for index in range(a + 1, b) if VERTEBRAE[index].name != "T13"]
    options = [(between, 0.0)]
    if VERTEBRAE[b].region is Region.LUMBAR and any(VERTEBRAE[index].name == "T12" for index in between):
        options.append(([index for index in between if VERTEBRAE[index].name != "T12"], VARIANT))
    costs = []
    for skipped, extra in options:
        expected = _STEP_MM[[a, *skipped]].sum()
        stretch = abs(float(np.log(max(distance_mm, 1.0) / expected))) - FREE_STRETCH
        costs.append(min(STRETCH * max(stretch, 0.0), MAX_STEP_COST) + SKIPPED_LEVEL * len(skipped) + extra)
    return min(costs)


def _patient_size(instances: list[_Instance], distances: list[float]) -> float:
    """Return the size of the patient relative to `TYPICAL_STEPS_MM`: the median over all steps, mostly single ones."""
    ratios = [
        distance / _STEP_MM[rank(instance.main_label)] for instance, distance in zip(instances, distances, strict=False)
    ]
    return float(np.clip(np.median(ratios), 0.6, 1.5))


# --- what was changed -------------------------------------------------------------------------------------------------


def _findings(instances: list[_Instance], levels: list[int]) -> list[Finding]:
    findings = []
    renamed = [(i.main_label, label) for i, label in zip(instances, levels, strict=True) if i.main_label != label]
    if renamed:
        changes = ", ".join(f"{vertebra(old).name} to {vertebra(new).name}" for old, new in renamed)
        sentence = f"Vertebrae were renumbered to make the levels consecutive ({changes}); verify the numbering."
        findings.append(RENUMBERED.about(sentence, _name(renamed[0][1])))
    for instance, label in zip(instances, levels, strict=True):
        if instance.main_label != label:
            continue
        others = {fragment.label for fragment in instance.fragments} - {label}
        for other in sorted(others, key=rank):
            volume = instance.share_of(other) * instance.volume_mm3 / 1000
            why = f"{volume:.1f} ml labelled {_name(other)} are part of {_name(label)} and were relabelled."
            findings.append(PARTS_UNITED.about(why, _name(label)))
    return findings


def _name(label: int) -> str:
    return vertebra(label).name
