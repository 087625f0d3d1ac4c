"""The order of the levels along the spine: what is missing, out of order, too close or too far apart.

Reports and never relabels: which of two swapped vertebrae is which cannot be told from the labels alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Region, rank
from cspine.core.findings import (
    LEVEL_UNCERTAIN,
    MISSING_LEVEL,
    ORDER_BROKEN,
    THORACIC_VARIANT,
    TOO_CLOSE,
    WIDE_GAP,
    Finding,
)
from cspine.core.norms import MAX_DISTANCE_MM, MIN_DISTANCE_MM, TYPICAL_THORACOLUMBAR_STEP_MM
from cspine.core.shape import LevelShape

#: A centroid may lie this far on the wrong side of its neighbour before the order counts as broken.
ORDER_TOLERANCE_MM = 2.0
#: Below T1 a gap is wide, too, where it is this many times the steps above and below it: those grow slowly.
WIDENED = 1.6
#: T11 and L1 are neighbours where their distance is less than this times the steps above and below them.
ONE_STEP = 1.5
#: Levels that have a form of their own, from which the others are counted. T1 differs from T2 and C7 by its ribs, which
#: may be variants or hardly seen: networks were seen to be one level off where it was the only one.
ANCHORS = frozenset({"C1", "C2"})


def head_axis(centroids_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of the spine towards the head.

    Follows the centroids (first principal axis), so that a flexed neck, or a patient who lies obliquely in the
    scanner, is not taken for a broken order; the patient's own axis decides which end is the head.

    Parameters
    ----------
    centroids_lps : ndarray, shape (n, 3)
        Centroids of the levels in millimetres (LPS).

    Returns
    -------
    ndarray, shape (3,)
        A unit vector.
    """
    superior = np.array([0.0, 0.0, 1.0])
    if len(centroids_lps) < 3:
        return superior
    _, _, axes = np.linalg.svd(centroids_lps - centroids_lps.mean(axis=0), full_matrices=False)
    axis = np.asarray(axes[0], dtype=np.float64)
    # Beyond 75 degrees the principal axis says nothing about head and foot.
    return axis * np.sign(axis[2]) if abs(axis[2]) > np.cos(np.deg2rad(75)) else superior


def order_findings(shapes: tuple[LevelShape, ...], on_sacrum: bool | None = None) -> tuple[Finding, ...]:
    """Return what is wrong with the sequence of levels, and how many thoracic vertebrae there are if not 12.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found, from head to foot by name.
    on_sacrum : bool, optional
        Whether the lowest of them stands on the sacrum, which is an anchor to count from; None where that is not known.

    Returns
    -------
    tuple of Finding
    """
    findings: list[Finding] = []
    names = {shape.vertebra.name for shape in shapes}
    if shapes:
        first, last = rank(shapes[0].vertebra.label), rank(shapes[-1].vertebra.label)
        eleven = has_eleven_thoracic(shapes)
        for level in VERTEBRAE[first : last + 1]:
            # T13 is a rare variant: its absence is the rule.
            if level.name not in names and level.name != "T13" and not (level.name == "T12" and eleven):
                between = f"{shapes[0].vertebra.name} and {shapes[-1].vertebra.name} were"
                findings.append(MISSING_LEVEL.about(f"{level.name} was not found although {between}.", level.name))
    if len(shapes) > 1:
        axis = head_axis(np.array([shape.centroid_lps for shape in shapes]))
        for place, (upper, lower) in enumerate(pairwise(shapes)):
            found = _pair_findings(upper, lower, axis)
            findings += found or _widened(shapes, place)
        if eleven:
            findings.append(THORACIC_VARIANT.about("11 thoracic vertebrae: L1 stands next below T11.", "L1"))
        if "T13" in names and "T12" in names:
            findings.append(THORACIC_VARIANT.about("13 thoracic vertebrae: T13 was found below T12.", "T13"))
    if shapes and not names & ANCHORS and not on_sacrum:
        listed = ", ".join(shape.vertebra.name for shape in shapes)
        other = " T1, found, is told by its ribs alone." if "T1" in names else ""
        anchors = "neither C1 nor C2" if on_sacrum is None else "neither C1, C2 nor the sacrum"
        findings.append(LEVEL_UNCERTAIN.about(f"Found {listed}, but {anchors} to count from.{other}"))
    return tuple(findings)


def has_eleven_thoracic(shapes: tuple[LevelShape, ...]) -> bool:
    """Tell whether L1 is the next vertebra below T11: T12 was not found, and there is no room for it.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found, from head to foot by name.
    """
    names = [shape.vertebra.name for shape in shapes]
    places = [i for i, pair in enumerate(pairwise(names)) if pair == ("T11", "L1")]
    if not places:
        return False
    steps = _steps_beside(shapes, places[0])
    distance = _distance_mm(shapes[places[0]], shapes[places[0] + 1])
    return distance < ONE_STEP * (float(np.mean(steps)) if steps else TYPICAL_THORACOLUMBAR_STEP_MM)


def _steps_beside(shapes: tuple[LevelShape, ...], place: int) -> list[float]:
    """Distances of the pairs of neighbours above and below a pair, where those are whole."""
    pairs = [shapes[i : i + 2] for i in (place - 1, place + 1) if 0 <= i < len(shapes) - 1]
    return [
        _distance_mm(a, b)
        for a, b in pairs
        if rank(b.vertebra.label) - rank(a.vertebra.label) == 1 and not (a.touches_edge or b.touches_edge)
    ]


def _distance_mm(a: LevelShape, b: LevelShape) -> float:
    return float(np.linalg.norm(a.centroid_lps - b.centroid_lps))


def _widened(shapes: tuple[LevelShape, ...], place: int) -> list[Finding]:
    """Tell where neighbours of the trunk lie much further apart than those above and below them."""
    upper, lower = shapes[place : place + 2]
    if upper.vertebra.region is Region.CERVICAL or not is_next(upper, lower):
        return []
    steps, distance = _steps_beside(shapes, place), _distance_mm(upper, lower)
    if len(steps) < 2 or distance <= WIDENED * float(np.mean(steps)) or upper.touches_edge or lower.touches_edge:
        return []
    names = f"{upper.vertebra.name} and {lower.vertebra.name}"
    beside = " and ".join(f"{step:.0f}" for step in steps)
    return [WIDE_GAP.about(f"{names} lie {distance:.0f} mm apart, those beside them {beside} mm.", lower.vertebra.name)]


def is_next(upper: LevelShape, lower: LevelShape) -> bool:
    """Tell whether no level but T13, which few patients have, stands between two."""
    between = VERTEBRAE[rank(upper.vertebra.label) + 1 : rank(lower.vertebra.label)]
    return all(level.name == "T13" for level in between)


def _pair_findings(upper: LevelShape, lower: LevelShape, axis_lps: NDArray[np.float64]) -> list[Finding]:
    names = f"{upper.vertebra.name} and {lower.vertebra.name}"
    way = upper.centroid_lps - lower.centroid_lps
    distance = float(np.linalg.norm(way))
    height = float(way @ axis_lps)
    if distance < MIN_DISTANCE_MM[upper.vertebra.region]:
        return [TOO_CLOSE.about(f"{names} lie {distance:.0f} mm apart.", lower.vertebra.name)]
    if height < -ORDER_TOLERANCE_MM:
        return [ORDER_BROKEN.about(f"{names} are in the wrong order: {-height:.0f} mm.", lower.vertebra.name)]
    greatest = MAX_DISTANCE_MM[lower.vertebra.region]
    if is_next(upper, lower) and distance > greatest and not (upper.touches_edge or lower.touches_edge):
        return [
            WIDE_GAP.about(f"{names} lie {distance:.0f} mm apart, more than {greatest:.0f} mm.", lower.vertebra.name)
        ]
    return []
