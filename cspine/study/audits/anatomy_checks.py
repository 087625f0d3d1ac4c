"""Plausibility of the anatomy of a result: checks of one case that need no reference labels, each with its number.

Pure functions of label arrays. Bounds of anatomy stand in `cspine.core.norms`, those of the checks here;
docs/guide/evaluation.md says where they come from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Vertebra, rank, vertebra
from cspine.core.findings import MISSING_LEVEL, OUT_OF_ORDER, Finding
from cspine.core.geometry import Grid, to_index, to_lps
from cspine.core.norms import (
    AUDITED_ATLAS_DISTANCE_MM,
    AUDITED_DISTANCE_MM,
    TYPICAL_CERVICAL_STEP_MM,
    plausible_ml,
)
from cspine.core.shape import LevelShape, complete_shapes
from cspine.core.volumes import LabelVolume
from cspine.postprocessing.order import order_findings
from cspine.study.audits.cord_rings import Ring

#: A distance differs from the median of the others by less than this factor; more is a level missing or labelled twice.
MAX_JUMP = 1.7
#: ... of the others at most so many levels away: all of a neck, and not the small neck for the large lumbar spine.
JUMP_LEVELS = 5
#: So many levels at an end of the column show its direction: all of a neck.
END_LEVELS = 8
#: A level counts as in view where its expected centroid lies at least this far inside the image.
IN_VIEW_MM = 5.0
#: Dice of a vertebra with its mirror image; low, because a voxel of 4 mm is a fifth of a vertebral body.
MIN_SYMMETRY = 0.6
#: Share of the levels that must ring: contours of a cord often end within the scan, and are coarse there.
MIN_RINGING_LEVELS = 0.8
#: Where an organ's centre lies along the column: 1 = C1 .. 7 = C7, 8 = T1; 4.5 is between C4 and C5.
ORGAN_POSITIONS: dict[str, tuple[float, float]] = {
    "mandible": (0.5, 5.5),
    "larynx": (2.5, 7.5),
    "brainstem": (-4.0, 1.5),
}
#: The organ whose place the cord check takes.
CORD = "cord"


class CheckOutcome(StrEnum):
    """Outcome of a check."""

    PASS = "pass"  # noqa: S105
    FAIL = "fail"
    NOT_APPLICABLE = "n/a"


@dataclass(frozen=True)
class AnatomyCheck:
    """One check of one case.

    Parameters
    ----------
    name : str
        For example ``"spacing"``.
    outcome : CheckOutcome
        Outcome.
    value : float or None
        The number that was judged; None where it has none.
    note : str
        What failed, or why it does not apply, in a few words.
    """

    name: str
    outcome: CheckOutcome
    value: float | None = None
    note: str = ""


def _judge(name: str, value: float | None, faults: list[str]) -> AnatomyCheck:
    return AnatomyCheck(name, CheckOutcome.FAIL if faults else CheckOutcome.PASS, value, ", ".join(faults))


def _not_applicable(name: str, why: str) -> AnatomyCheck:
    return AnatomyCheck(name, CheckOutcome.NOT_APPLICABLE, None, why)


# --- the column -------------------------------------------------------------------------------------------------------


def check_order(shapes: tuple[LevelShape, ...], contradictions: Sequence[Finding] = ()) -> AnatomyCheck:
    """Check that the levels follow each other from head to foot with none missing; the value is how many there are.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found, from head to foot by name.
    contradictions : sequence of Finding
        Levels whose shape is that of another, from `cspine.measurements.anchor_shape.anchor_findings`.
    """
    if not shapes:
        return AnatomyCheck("order", CheckOutcome.FAIL, 0, "no vertebra")
    words = {MISSING_LEVEL.code: "missing", OUT_OF_ORDER.code: "out of order"}
    faults = [f"{f.level} {words[f.code]}" for f in order_findings(shapes) if f.code in words]
    faults += [f"{f.level} has the shape of another level" for f in contradictions]
    return _judge("order", len(shapes), faults)


def check_complete(shapes: tuple[LevelShape, ...], grid: Grid) -> AnatomyCheck:
    """Check that every level in view was predicted: none missing between, and none beyond the ends of the column.

    The centroid of the next level up and down is expected where the column leads, one median distance on. Where that
    lies within the image, that level is in view. The value is the share of levels in view that were found. A column
    may end with T1, where a model of the neck ends; one that goes further has to go on to L5.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found.
    grid : Grid
        Grid of the image.
    """
    if not shapes:
        return AnatomyCheck("complete", CheckOutcome.FAIL, 0.0, "no vertebra")
    found = {shape.vertebra.name for shape in shapes}
    first, last = rank(shapes[0].vertebra.label), rank(shapes[-1].vertebra.label)
    missing = [v.name for v in VERTEBRAE[first:last] if v.name not in found and v.name != "T13"]
    if first > 0 and _in_view(_next_centroid(shapes, up=True), grid):
        missing.insert(0, _next_level(VERTEBRAE[first - 1 :: -1]))
    if VERTEBRAE[last].name not in ("T1", "L5", "L6") and _in_view(_next_centroid(shapes, up=False), grid):
        missing.append(_next_level(VERTEBRAE[last + 1 :]))
    return _judge("complete", len(found) / (len(found) + len(missing)), [f"{name} missing" for name in missing])


def _next_level(onwards: Sequence[Vertebra]) -> str:
    """Return the first of the levels that every patient has: T12 and L1 follow each other."""
    return next(level.name for level in onwards if level.name != "T13")


def _next_centroid(shapes: tuple[LevelShape, ...], *, up: bool) -> NDArray[np.float64]:
    """Return where the column leads beyond its upper or lower end, millimetres (LPS)."""
    outwards = (shapes[::-1] if up else shapes)[-END_LEVELS:]
    centroids = np.array([shape.centroid_lps for shape in outwards])
    if len(centroids) < 3:
        return np.asarray(centroids[-1] + [0.0, 0.0, TYPICAL_CERVICAL_STEP_MM if up else -TYPICAL_CERVICAL_STEP_MM])
    apart = [_levels_apart(*pair) for pair in pairwise(outwards)]
    steps = np.diff(centroids, axis=0) / np.array(apart)[:, None]
    length = float(np.median(np.linalg.norm(steps, axis=1)))
    direction = centroids[-1] - centroids[-3]
    return np.asarray(centroids[-1] + direction * length / max(float(np.linalg.norm(direction)), 1e-6))


def _levels_apart(one: LevelShape, other: LevelShape) -> int:
    """Return how many levels lie from one to the other; T13 counts only where it is one of them."""
    first, last = sorted((rank(one.vertebra.label), rank(other.vertebra.label)))
    return last - first - sum(level.name == "T13" for level in VERTEBRAE[first + 1 : last])


def _in_view(point_lps: NDArray[np.float64], grid: Grid) -> bool:
    index_xyz = to_index(grid.affine_lps, point_lps[None])[0]
    margin_xyz = IN_VIEW_MM / np.array(grid.spacing_xyz) - 0.5
    last_xyz = np.array(grid.shape_zyx[::-1]) - 1
    return bool(np.all((index_xyz >= margin_xyz) & (index_xyz <= last_xyz - margin_xyz)))


def check_volumes(shapes: tuple[LevelShape, ...]) -> AnatomyCheck:
    """Check that complete vertebrae have volumes of adults; the value is the share that has.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found.
    """
    judged = complete_shapes(shapes)
    if not judged:
        return _not_applicable("volumes", "no complete vertebra")
    faults = []
    for shape in judged:
        least, most = plausible_ml(shape.vertebra)
        if not least <= shape.volume_mm3 / 1000 <= most:
            faults.append(f"{shape.vertebra.name} {shape.volume_mm3 / 1000:.1f} ml")
    return _judge("volumes", 1 - len(faults) / len(judged), faults)


def distances_mm(shapes: tuple[LevelShape, ...]) -> dict[str, float]:
    """Return the distance from each complete vertebra's centroid to that of the next level, by the upper level's name.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found.
    """
    return {
        upper.vertebra.name: float(np.linalg.norm(upper.centroid_lps - lower.centroid_lps))
        for upper, lower in pairwise(shapes)
        if _levels_apart(upper, lower) == 1 and not (upper.touches_edge or lower.touches_edge)
    }


def check_spacing(shapes: tuple[LevelShape, ...]) -> AnatomyCheck:
    """Check the distances between neighbours, and that none changes abruptly; the value is the largest change.

    A jump is the factor between a distance and the median of the others near it, without C1 to C2.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found.
    """
    distances = distances_mm(shapes)
    if not distances:
        return _not_applicable("spacing", "no two adjacent complete vertebrae")
    faults = []
    for name, distance in distances.items():
        least, most = AUDITED_ATLAS_DISTANCE_MM if name == "C1" else AUDITED_DISTANCE_MM[vertebra(name).region]
        if not least <= distance <= most:
            faults.append(f"{name} to next {distance:.0f} mm")
    regular = {name: distance for name, distance in distances.items() if name != "C1"}
    jumps = {}
    for name, distance in regular.items():
        place = rank(vertebra(name).label)
        others = [d for other, d in regular.items() if 0 < abs(rank(vertebra(other).label) - place) <= JUMP_LEVELS]
        if len(others) >= 2 and distance > 0:
            median = float(np.median(others))
            jumps[name] = max(distance / median, median / distance)
    faults += [f"{name} to next changes by a factor of {jump:.1f}" for name, jump in jumps.items() if jump > MAX_JUMP]
    return _judge("spacing", max(jumps.values(), default=None), faults)


# --- one vertebra -----------------------------------------------------------------------------------------------------


def check_symmetry(dices: Mapping[str, float]) -> AnatomyCheck:
    """Check that complete vertebrae are symmetric; the value is the lowest Dice.

    Parameters
    ----------
    dices : mapping of str to float
        From `mirror_dices`.
    """
    if not dices:
        return _not_applicable("symmetry", "no complete vertebra")
    faults = [f"{name} {dice:.2f}" for name, dice in dices.items() if dice < MIN_SYMMETRY]
    return _judge("symmetry", min(dices.values()), faults)


# --- neighbours in the neck -------------------------------------------------------------------------------------------


def check_cord_ring(rings: Mapping[str, Ring] | None) -> AnatomyCheck:
    """Check that the cord runs through the vertebrae; the value is the share of levels that it does.

    Parameters
    ----------
    rings : mapping of str to Ring, or None
        From `cord_rings`; None where there is no cord.
    """
    if not rings:
        why = "no cord" if rings is None else "no spinal cord of plausible size at a complete vertebra"
        return _not_applicable("cord_ring", why)
    faults = [
        f"{name} {ring.closed:.0%} closed, {ring.overlap:.0%} in bone" for name, ring in rings.items() if not ring.holds
    ]
    share = 1 - len(faults) / len(rings)
    outcome = CheckOutcome.PASS if share >= MIN_RINGING_LEVELS else CheckOutcome.FAIL
    return AnatomyCheck("cord_ring", outcome, share, ", ".join(faults))


def position_at(height_mm: float, shapes: tuple[LevelShape, ...]) -> float | None:
    """Return which level lies at a height, as a number: 1 = C1, 4.5 between C4 and C5; None with fewer than two levels.

    Parameters
    ----------
    height_mm : float
        Along the patient's axis (LPS z).
    shapes : tuple of LevelShape
        The predicted levels; beyond them the last distance is extrapolated.
    """
    judged = complete_shapes(shapes)
    if len(judged) < 2:
        return None
    heights = np.array([shape.centroid_lps[2] for shape in judged])
    places = np.array([rank(shape.vertebra.label) + 1.0 for shape in judged])
    order = np.argsort(heights)
    heights, places = heights[order], places[order]
    if height_mm < heights[0] or height_mm > heights[-1]:
        end, inner = (0, 1) if height_mm < heights[0] else (-1, -2)
        slope = (places[end] - places[inner]) / max(abs(heights[end] - heights[inner]), 1.0)
        return float(places[end] + slope * abs(height_mm - heights[end]))
    return float(np.interp(height_mm, heights, places))


def level_at(position: float) -> str:
    """Return the level of a position of `position_at` in words: ``"at C5"``, ``"above C1"``."""
    place = min(max(round(position) - 1, 0), len(VERTEBRAE) - 1)
    return "above C1" if position < 0.5 else f"at {VERTEBRAE[place].name}"


def check_organ(
    name: str, mask_zyx: NDArray[np.bool_] | None, labels: LabelVolume, shapes: tuple[LevelShape, ...]
) -> AnatomyCheck:
    """Check that an organ's centre lies at the height of the levels of `ORGAN_POSITIONS`; the value is its position.

    Parameters
    ----------
    name : str
        Organ of `ORGAN_POSITIONS`.
    mask_zyx : ndarray of bool, shape (z, y, x), or None
        The organ on the grid of ``labels``; None where it was not labelled.
    labels : LabelVolume
        Labels.
    shapes : tuple of LevelShape
        Their levels.
    """
    if mask_zyx is None or not mask_zyx.any():
        return _not_applicable(name, f"no {name}")
    centre_zyx = np.argwhere(mask_zyx).mean(axis=0)
    position = position_at(float(to_lps(labels.affine_lps, centre_zyx[None, ::-1])[0, 2]), shapes)
    if position is None:
        return _not_applicable(name, "fewer than two complete vertebrae")
    least, most = ORGAN_POSITIONS[name]
    outcome = CheckOutcome.PASS if least <= position <= most else CheckOutcome.FAIL
    return AnatomyCheck(name, outcome, position, level_at(position))
