"""Check the order of the levels along the spine: missing, out of order, too close or too far apart.

Nothing is relabelled here: which of two swapped vertebrae is which cannot be decided from the labels alone.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Region, rank
from cspine.core.findings import (
    LEVEL_UNCERTAIN,
    MISSING_LEVEL,
    OUT_OF_ORDER,
    THORACIC_VARIANT,
    TOO_CLOSE,
    WIDE_GAP,
    Finding,
)
from cspine.core.norms import MAX_DISTANCE_MM, MIN_DISTANCE_MM, TYPICAL_THORACOLUMBAR_STEP_MM
from cspine.core.shape import LevelShape

#: A centroid may lie this far on the wrong side of its neighbour before the order is reported as wrong.
ORDER_TOLERANCE_MM = 2.0
#: Below T1 a step is also too wide if it exceeds the steps above and below it by this factor: steps change slowly.
WIDE_GAP_RATIO = 1.6
#: T11 and L1 are adjacent if their distance is less than this times the steps above and below them.
ONE_STEP = 1.5
#: Levels of unmistakable shape, from which the others are counted. T1 differs from T2 and C7 by its ribs alone, which
#: may be variants or barely visible: networks were one level off where T1 was the only anchor.
ANCHORS = frozenset({"C1", "C2"})


def head_axis(centroids_lps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the direction of the spine towards the head.

    It follows the centroids (first principal axis), so that a flexed neck, or a patient who lies obliquely in the
    scanner, is not mistaken for a wrong order; the patient's axis decides which end is the head.

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
    """Return findings about the sequence of levels, and about the number of thoracic vertebrae if it is not 12.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The segmented levels, from head to foot by name.
    on_sacrum : bool, optional
        Whether the lowest of them is the last above the sacrum, which then is an anchor; None if unknown.

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
            # T13 is a rare variant and normally absent.
            if level.name not in names and level.name != "T13" and not (level.name == "T12" and eleven):
                between = f"{shapes[0].vertebra.name} and {shapes[-1].vertebra.name} were"
                findings.append(MISSING_LEVEL.about(f"{level.name} was not segmented although {between}.", level.name))
    if len(shapes) > 1:
        axis = head_axis(np.array([shape.centroid_lps for shape in shapes]))
        for index, (upper, lower) in enumerate(pairwise(shapes)):
            found = _pair_findings(upper, lower, axis)
            findings += found or _widened_gap(shapes, index)
        if eleven:
            findings.append(THORACIC_VARIANT.about("11 thoracic vertebrae: L1 lies directly below T11.", "L1"))
        if "T13" in names and "T12" in names:
            findings.append(THORACIC_VARIANT.about("13 thoracic vertebrae: T13 was segmented below T12.", "T13"))
    if shapes and not names & ANCHORS and not on_sacrum:
        listed = ", ".join(shape.vertebra.name for shape in shapes)
        other = " T1 alone is not a reliable anchor." if "T1" in names else ""
        anchors = "without C1 and C2" if on_sacrum is None else "without C1, C2 and the sacrum"
        sentence = f"The numbering of {listed} may be off by one or more levels {anchors} as anchors.{other}"
        findings.append(LEVEL_UNCERTAIN.about(sentence))
    return tuple(findings)


def has_eleven_thoracic(shapes: tuple[LevelShape, ...]) -> bool:
    """Return whether L1 is the next vertebra below T11: T12 was not segmented, and there is no space for it.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The segmented levels, from head to foot by name.
    """
    names = [shape.vertebra.name for shape in shapes]
    indices = [i for i, pair in enumerate(pairwise(names)) if pair == ("T11", "L1")]
    if not indices:
        return False
    steps = _steps_beside(shapes, indices[0])
    distance = _distance_mm(shapes[indices[0]], shapes[indices[0] + 1])
    return distance < ONE_STEP * (float(np.mean(steps)) if steps else TYPICAL_THORACOLUMBAR_STEP_MM)


def _steps_beside(shapes: tuple[LevelShape, ...], index: int) -> list[float]:
    """Return the distances of the adjacent pairs above and below a pair, where those are complete."""
    pairs = [shapes[i : i + 2] for i in (index - 1, index + 1) if 0 <= i < len(shapes) - 1]
    return [
        _distance_mm(a, b)
        for a, b in pairs
        if rank(b.vertebra.label) - rank(a.vertebra.label) == 1 and not (a.touches_edge or b.touches_edge)
    ]


def _distance_mm(a: LevelShape, b: LevelShape) -> float:
    return float(np.linalg.norm(a.centroid_lps - b.centroid_lps))


def _widened_gap(shapes: tuple[LevelShape, ...], index: int) -> list[Finding]:
    """Return a finding if two adjacent vertebrae of the trunk are much further apart than those above and below."""
    upper, lower = shapes[index : index + 2]
    if upper.vertebra.region is Region.CERVICAL or not is_next(upper, lower):
        return []
    steps, distance = _steps_beside(shapes, index), _distance_mm(upper, lower)
    if len(steps) < 2 or distance <= WIDE_GAP_RATIO * float(np.mean(steps)) or upper.touches_edge or lower.touches_edge:
        return []
    names = f"{upper.vertebra.name} and {lower.vertebra.name}"
    beside = " and ".join(f"{step:.0f}" for step in steps)
    sentence = f"{names} are {distance:.0f} mm apart, the adjacent pairs {beside} mm; a vertebra may have been missed."
    return [WIDE_GAP.about(sentence, lower.vertebra.name)]


def is_next(upper: LevelShape, lower: LevelShape) -> bool:
    """Return whether no level, or only the rare T13, lies between two levels.

    Parameters
    ----------
    upper, lower : LevelShape
        The levels, the one nearer the head first.
    """
    between = VERTEBRAE[rank(upper.vertebra.label) + 1 : rank(lower.vertebra.label)]
    return all(level.name == "T13" for level in between)


def _pair_findings(upper: LevelShape, lower: LevelShape, axis_lps: NDArray[np.float64]) -> list[Finding]:
    names = f"{upper.vertebra.name} and {lower.vertebra.name}"
    upward = upper.centroid_lps - lower.centroid_lps
    distance = float(np.linalg.norm(upward))
    height = float(upward @ axis_lps)
    if distance < MIN_DISTANCE_MM[upper.vertebra.region]:
        sentence = f"{names} are only {distance:.0f} mm apart; one vertebra probably carries both labels."
        return [TOO_CLOSE.about(sentence, lower.vertebra.name)]
    if height < -ORDER_TOLERANCE_MM:
        return [OUT_OF_ORDER.about(f"{names} are in the wrong order, by {-height:.0f} mm.", lower.vertebra.name)]
    max_mm = MAX_DISTANCE_MM[lower.vertebra.region]
    if is_next(upper, lower) and distance > max_mm and not (upper.touches_edge or lower.touches_edge):
        return [
            WIDE_GAP.about(
                f"{names} are {distance:.0f} mm apart, more than {max_mm:.0f} mm; a vertebra may have been missed.",
                lower.vertebra.name,
            )
        ]
    return []
