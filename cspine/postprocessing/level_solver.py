"""Levels that follow each other, where a full-spine network drew every vertebra but lost count somewhere.

A network is often right about each vertebra's place and one level off for a few of them, or divides one vertebra
between two levels. Here the drawn pieces become vertebrae along the column, and dynamic programming gives them the
ascending levels that agree best with what was drawn and with how far apart vertebrae lie. A consistent result is left
as it is, and a change that does not make one more consistent is not made.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import VERTEBRAE, Region, rank, vertebra
from cspine.core.findings import (
    MISSING_LEVEL,
    ORDER_BROKEN,
    RENUMBERED,
    TOO_CLOSE,
    VERTEBRA_UNITED,
    WIDE_GAP,
    Finding,
)
from cspine.core.geometry import Grid, to_lps
from cspine.core.norms import MIN_PIECE_MM3, TYPICAL_STEPS_MM
from cspine.core.shape import shapes_of
from cspine.core.volumes import LabelArray
from cspine.postprocessing.components import Piece, find_pieces
from cspine.postprocessing.order import ANCHORS, head_axis, order_findings

#: A second piece of a level that has this share of the first one's volume is more than a fragment.
LARGE_SHARE = 0.3
#: A vertebra is divided between levels where two have this share of it.
DIVIDED_SHARE = 0.25
#: Pieces whose middles lie closer along the column than this share of a step are one vertebra ...
BESIDE_STEPS = 0.3
#: ... and those that lie a little further apart, if they touch all over a body, by region: joints are smaller. Those of
#: the neck are not.
ONE_VERTEBRA_STEPS = 0.62
BODY_CONTACT_MM2 = {Region.CERVICAL: np.inf, Region.THORACIC: 250.0, Region.LUMBAR: 450.0}
#: The core of a piece lies this deep below its surface, as a share of its greatest depth: bodies, no arches and joints.
CORE = 0.45
#: A piece may hold two vertebrae where its core is longer than this share of a step along the column ...
LEAST_LENGTH = 0.7
#: ... and does where the core falls below this share of the parts on both sides: a disc lies there.
WAIST = 0.2
_SLICE_MM = 2.0
#: Costs of the assignment, in vertebrae that keep their level: a level passed over, and a patient's variant.
PASSED_OVER, VARIANT = 0.5, 0.7
#: Two parts that are one vertebra after all, which are closer along the column than this share of a step.
SAME_VERTEBRA, SAME_VERTEBRA_STEPS = 0.6, 0.7
#: A thirteenth thoracic or sixth lumbar vertebra where none was drawn.
UNSEEN_VARIANT = 3.0
#: A part counts as a whole vertebra from so many times `MIN_PIECE_MM3` on, and smaller ones less.
WHOLE_VERTEBRA = 2.5
#: C1 and C2 have forms of their own: what was drawn as one of them at the column's top counts so many vertebrae.
ANCHOR_WEIGHT = 3.0
#: More renamed vertebrae than this share of all, and than three, are not believed.
MOST_RENAMED = 0.4
#: A step may be longer or shorter by this much (natural logarithm) for nothing; more costs so much a unit.
FREE_STRETCH, STRETCH = 0.25, 2.0
#: No step costs more than this: one odd distance must not decide about all levels.
MOST_FOR_A_STEP = 2.0

_KNOTS = [rank(vertebra(name).label) for name in TYPICAL_STEPS_MM]
#: Distance from each level of `VERTEBRAE` to the next below.
_STEP_MM = np.interp(np.arange(len(VERTEBRAE)), _KNOTS, list(TYPICAL_STEPS_MM.values()))
_INCONSISTENT = frozenset(kind.code for kind in (MISSING_LEVEL, ORDER_BROKEN, TOO_CLOSE, WIDE_GAP))


@dataclass(frozen=True, eq=False)
class _Atom:
    """A piece of one level, or a part of it."""

    label: int
    index_zyx: NDArray[np.intp]
    volume_mm3: float
    middle_mm: float  # along the column, from head to foot
    centroid_lps: NDArray[np.float64]

    @property
    def voxels(self) -> int:
        return len(self.index_zyx)


@dataclass(frozen=True, eq=False)
class _Instance:
    """One vertebra: the pieces that lie at the same height of the column."""

    atoms: tuple[_Atom, ...]

    @property
    def voxels(self) -> int:
        return sum(atom.voxels for atom in self.atoms)

    @property
    def middle_mm(self) -> float:
        return float(np.average([a.middle_mm for a in self.atoms], weights=[a.voxels for a in self.atoms]))

    @property
    def centroid_lps(self) -> NDArray[np.float64]:
        weights = [atom.voxels for atom in self.atoms]
        return np.asarray(np.average([atom.centroid_lps for atom in self.atoms], axis=0, weights=weights))

    @property
    def volume_mm3(self) -> float:
        return sum(atom.volume_mm3 for atom in self.atoms)

    def share_of(self, label: int) -> float:
        return sum(atom.voxels for atom in self.atoms if atom.label == label) / self.voxels

    @property
    def main_label(self) -> int:
        return max({atom.label for atom in self.atoms}, key=lambda label: (self.share_of(label), -rank(label)))


def solve_levels(labels_zyx: LabelArray, grid: Grid) -> tuple[LabelArray, tuple[Finding, ...]]:
    """Return labels whose levels follow each other, and what was changed.

    Parameters
    ----------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        The column, as a full-spine network drew it; not changed.
    grid : Grid
        Grid of the array.

    Returns
    -------
    labels_zyx : ndarray of uint8, shape (z, y, x)
        The same array where nothing is better.
    findings : tuple of Finding
        What carries another level than before.
    """
    before = _faults(labels_zyx, grid)
    atoms, small = _atoms(labels_zyx, grid)
    instances = _instances(atoms, labels_zyx.shape, grid)
    if len(instances) < 3 or not before + _divided_vertebrae(instances):
        return labels_zyx, ()
    levels = _assign(instances)
    if levels is None:
        return labels_zyx, ()
    renamed = sum(i.main_label != label for i, label in zip(instances, levels, strict=True))
    if renamed > max(3, MOST_RENAMED * len(instances)):
        return labels_zyx, ()
    solved = labels_zyx.copy()
    given = [(atom, label) for i, label in zip(instances, levels, strict=True) for atom in i.atoms]
    for atom, label in given:
        solved[tuple(atom.index_zyx.T)] = label
    for atom in small:  # it goes with the nearest piece of its level
        near = [
            (float(np.linalg.norm(a.centroid_lps - atom.centroid_lps)), b) for a, b in given if a.label == atom.label
        ]
        if near:
            solved[tuple(atom.index_zyx.T)] = min(near)[1]
    again = _instances(_atoms(solved, grid)[0], solved.shape, grid)
    after = _faults(solved, grid) + _divided_vertebrae(again)
    if after >= before + _divided_vertebrae(instances):
        return labels_zyx, ()
    return solved, tuple(_findings(instances, levels))


def _divided_vertebrae(instances: list[_Instance]) -> int:
    """Count vertebrae of which two levels have a good share each."""
    return sum(
        sum(instance.share_of(label) >= DIVIDED_SHARE for label in {atom.label for atom in instance.atoms}) > 1
        for instance in instances
    )


def _faults(labels_zyx: LabelArray, grid: Grid) -> int:
    """Count what is inconsistent: breaks in the sequence, and levels that stand at two places."""
    breaks = [f for f in order_findings(shapes_of(labels_zyx, grid)) if f.code in _INCONSISTENT]
    largest: dict[int, Piece] = {}
    twice: set[int] = set()
    for piece in find_pieces(labels_zyx)[1]:
        main = largest.setdefault(piece.label, piece)
        if piece is not main and piece.voxels >= LARGE_SHARE * main.voxels:
            twice.add(piece.label)
    return len(breaks) + len(twice)


# --- pieces and vertebrae ---------------------------------------------------------------------------------------------


def _atoms(labels_zyx: LabelArray, grid: Grid) -> tuple[list[_Atom], list[_Atom]]:
    """Pieces of the column from head to foot, divided where they reach over a disc; and those too small to count."""
    shapes = shapes_of(labels_zyx, grid)
    axis = head_axis(np.array([shape.centroid_lps for shape in shapes]))
    numbers_zyx, pieces = find_pieces(labels_zyx)
    atoms: list[_Atom] = []
    small: list[_Atom] = []
    for piece in pieces:
        inside = np.pad(numbers_zyx[piece.box_zyx] == piece.number, 1)
        start = np.array([part.start - 1 for part in piece.box_zyx])
        for part in _divided(inside, axis, grid, piece.label):
            index = np.argwhere(part) + start
            points = to_lps(grid.affine_lps, index[:, ::-1].astype(np.float64))
            atom = _Atom(
                piece.label, index, len(index) * grid.voxel_mm3, float(-(points @ axis).mean()), points.mean(axis=0)
            )
            enough = MIN_PIECE_MM3[vertebra(piece.label).region]
            (atoms if atom.volume_mm3 >= enough else small).append(atom)
    return sorted(atoms, key=lambda atom: (atom.middle_mm, rank(atom.label))), small


def _divided(inside: NDArray[np.bool_], axis: NDArray[np.float64], grid: Grid, label: int) -> list[NDArray[np.bool_]]:
    """Return a piece, or its two parts where its thick bone, the bodies, has a gap along the column: a disc."""
    depth = ndimage.distance_transform_edt(inside, sampling=tuple(reversed(grid.spacing_xyz)))
    core = depth >= CORE * depth.max()
    turn = -(grid.affine_lps[:3, :3].T @ axis)[::-1]  # from an index (z, y, x) to millimetres along the column
    along = np.argwhere(core) @ turn
    low, high = along.min(), along.max()
    if high - low < LEAST_LENGTH * _STEP_MM[rank(label)]:
        return [inside]
    step = max(_SLICE_MM, float(np.abs(turn).max()))
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
    below[tuple(index[index @ turn > cut].T)] = True
    return [inside & ~below, below]


def _instances(atoms: list[_Atom], shape_zyx: tuple[int, ...], grid: Grid) -> list[_Instance]:
    """Unite the nearest pieces again and again, as long as they can be parts of one vertebra."""
    contacts = _contacts_mm2(atoms, shape_zyx, grid)
    groups = [[number] for number in range(len(atoms))]
    while True:
        instances = [_Instance(tuple(atoms[number] for number in group)) for group in groups]
        joined = []
        for place, (a, b) in enumerate(pairwise(instances)):
            share = abs(b.middle_mm - a.middle_mm) / _step_mm(a, b)
            touching = contacts[np.ix_(groups[place], groups[place + 1])].sum()
            needed = min(BODY_CONTACT_MM2[vertebra(i.main_label).region] for i in (a, b))
            if share < (ONE_VERTEBRA_STEPS if touching >= needed else BESIDE_STEPS):
                joined.append((share, place))
        if not joined:
            return instances
        place = min(joined)[1]
        groups[place : place + 2] = [groups[place] + groups[place + 1]]


def _contacts_mm2(atoms: list[_Atom], shape_zyx: tuple[int, ...], grid: Grid) -> NDArray[np.float64]:
    """Area over which each two atoms touch."""
    numbers = np.zeros(shape_zyx, dtype=np.int32)
    for number, atom in enumerate(atoms, 1):
        numbers[tuple(atom.index_zyx.T)] = number
    areas = np.zeros((len(atoms) + 1, len(atoms) + 1))
    spacing_zyx = tuple(reversed(grid.spacing_xyz))
    for axis, spacing in enumerate(spacing_zyx):
        one, other = (np.moveaxis(numbers, axis, 0)[part] for part in (slice(None, -1), slice(1, None)))
        touching = (one != other) & (one != 0) & (other != 0)
        np.add.at(areas, (one[touching], other[touching]), grid.voxel_mm3 / spacing)
    return np.asarray((areas + areas.T)[1:, 1:])


def _step_mm(a: _Instance, b: _Instance) -> float:
    """Step between vertebrae there, of the smaller of what both levels say."""
    return float(min(_STEP_MM[rank(i.main_label)] for i in (a, b)))


# --- assignment -------------------------------------------------------------------------------------------------------


def _assign(instances: list[_Instance]) -> list[int] | None:
    """Ascending levels, one for each vertebra, that keep most of what was drawn at the least cost; None if none fit."""
    distances = [float(np.linalg.norm(a.centroid_lps - b.centroid_lps)) for a, b in pairwise(instances)]
    size = _patient_size(instances, distances)
    count = len(VERTEBRAE)
    best = _gains(instances[0], near_the_top=True)
    came_from: list[NDArray[np.intp]] = []
    for number, (instance, distance) in enumerate(zip(instances[1:], distances, strict=True), 1):
        reached = np.full((count, count), -np.inf)  # from, to
        along = (instance.middle_mm - instances[number - 1].middle_mm) / size
        for a in range(count):
            if along < SAME_VERTEBRA_STEPS * _STEP_MM[a]:
                reached[a, a] = best[a] - SAME_VERTEBRA
            for b in range(a + 1, count):
                reached[a, b] = best[a] - _step_cost(a, b, distance / size)
        came_from.append(np.argmax(reached, axis=0))
        best = reached.max(axis=0) + _gains(instance, near_the_top=number < len(ANCHORS))
    if not np.isfinite(best.max()):
        return None
    places = [int(np.argmax(best))]
    for back in reversed(came_from):
        places.append(int(back[places[-1]]))
    return [VERTEBRAE[place].label for place in reversed(places)]


def _gains(instance: _Instance, *, near_the_top: bool) -> NDArray[np.float64]:
    """Return what each level is worth for a vertebra: the share that was drawn so."""
    weight = ANCHOR_WEIGHT if near_the_top and vertebra(instance.main_label).name in ANCHORS else 1.0
    weight *= min(1.0, instance.volume_mm3 / (WHOLE_VERTEBRA * MIN_PIECE_MM3[vertebra(instance.main_label).region]))
    gains = np.array([weight * instance.share_of(level.label) for level in VERTEBRAE])
    for place, level in enumerate(VERTEBRAE):
        if level.name in ("T13", "L6") and gains[place] < DIVIDED_SHARE:
            gains[place] -= UNSEEN_VARIANT
    return gains


def _step_cost(a: int, b: int, distance_mm: float) -> float:
    """Cost of the levels at two places of `VERTEBRAE` being neighbours at a distance, the patient's size taken out."""
    between = [place for place in range(a + 1, b) if VERTEBRAE[place].name != "T13"]
    ways = [(between, 0.0)]
    if VERTEBRAE[b].region is Region.LUMBAR and any(VERTEBRAE[place].name == "T12" for place in between):
        ways.append(([place for place in between if VERTEBRAE[place].name != "T12"], VARIANT))
    costs = []
    for passed, extra in ways:
        expected = _STEP_MM[[a, *passed]].sum()
        stretch = abs(float(np.log(max(distance_mm, 1.0) / expected))) - FREE_STRETCH
        costs.append(min(STRETCH * max(stretch, 0.0), MOST_FOR_A_STEP) + PASSED_OVER * len(passed) + extra)
    return min(costs)


def _patient_size(instances: list[_Instance], distances: list[float]) -> float:
    """How large the patient is against `TYPICAL_STEPS_MM`: the median over all steps, most of which are one."""
    ratios = [
        distance / _STEP_MM[rank(instance.main_label)] for instance, distance in zip(instances, distances, strict=False)
    ]
    return float(np.clip(np.median(ratios), 0.6, 1.5))


# --- what was changed -------------------------------------------------------------------------------------------------


def _findings(instances: list[_Instance], levels: list[int]) -> list[Finding]:
    findings = []
    renamed = [(i.main_label, label) for i, label in zip(instances, levels, strict=True) if i.main_label != label]
    if renamed:
        words = ", ".join(f"{vertebra(old).name} is {vertebra(new).name}" for old, new in renamed)
        findings.append(RENUMBERED.about(f"Renamed, so that levels follow each other: {words}.", _name(renamed[0][1])))
    for instance, label in zip(instances, levels, strict=True):
        if instance.main_label != label:
            continue
        others = {atom.label for atom in instance.atoms} - {label}
        for other in sorted(others, key=rank):
            volume = instance.share_of(other) * instance.volume_mm3 / 1000
            why = f"{volume:.1f} ml of {_name(label)} were labelled {_name(other)}, and are {_name(label)} now."
            findings.append(VERTEBRA_UNITED.about(why, _name(label)))
    return findings


def _name(label: int) -> str:
    return vertebra(label).name
