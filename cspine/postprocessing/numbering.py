"""Check the number of vertebrae of a full-spine result: anatomical variants, and the sacrum as a lower anchor.

Nothing is relabelled here. The sacrum is not a level: a network predicts it as an auxiliary class.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cc3d
import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE, Region, rank, vertebra
from cspine.core.findings import (
    COUNTED_FROM_SACRUM,
    LUMBAR_COUNT_UNKNOWN,
    LUMBAR_VARIANT,
    MISSING_LEVEL,
    SACRUM_CONTRADICTS,
    Finding,
)
from cspine.core.geometry import Grid, to_lps
from cspine.core.norms import MIN_SACRUM_MM3, TYPICAL_LUMBAR_STEP_MM
from cspine.core.shape import LevelShape
from cspine.postprocessing.order import ANCHORS, head_axis

#: A vertebra is the last above the sacrum if the distance from its centroid to the nearest sacral voxel is less than
#: this times the step between vertebrae: it is 0.7 steps for the last vertebra, and 1.6 with one between.
ON_SACRUM_STEPS = 1.15
#: Voxel size at which the sacrum is examined.
_COARSE_MM = 3.0
#: Levels that can be the last above the sacrum.
_LAST_LEVELS = ("L4", "L5", "L6")


@dataclass(frozen=True)
class Sacrum:
    """The position of the sacrum below the lowest vertebra.

    Parameters
    ----------
    gap_mm : float
        Distance from the centroid of the lowest vertebra to the nearest sacral voxel.
    step_mm : float
        Distance between adjacent vertebrae there.
    """

    gap_mm: float
    step_mm: float

    @property
    def levels_between(self) -> int:
        """Number of vertebrae that fit between the lowest one and the sacrum."""
        return max(0, round((self.gap_mm / self.step_mm) - (ON_SACRUM_STEPS - 0.5)))


def find_sacrum(mask_zyx: NDArray[np.bool_], grid: Grid, shapes: tuple[LevelShape, ...]) -> Sacrum | None:
    """Return the position of the sacrum, or None if it is not in view.

    Parameters
    ----------
    mask_zyx : ndarray of bool, shape (z, y, x)
        Sacrum predicted by the network; only its largest component below the lowest vertebra counts.
    grid : Grid
        Grid of the array.
    shapes : tuple of LevelShape
        The segmented levels, from head to foot.
    """
    if not shapes:
        return None
    steps = [max(1, round(_COARSE_MM / mm)) for mm in reversed(grid.spacing_xyz)]
    coarse = np.ascontiguousarray(mask_zyx[:: steps[0], :: steps[1], :: steps[2]])
    piece = cc3d.largest_k(coarse, k=1, connectivity=26) > 0
    index_zyx = np.argwhere(piece) * steps
    if len(index_zyx) * np.prod(steps) * grid.voxel_mm3 < MIN_SACRUM_MM3:
        return None
    points = to_lps(grid.affine_lps, index_zyx[:, ::-1].astype(np.float64))
    lowest = shapes[-1]
    axis = head_axis(np.array([shape.centroid_lps for shape in shapes[-4:]]))
    if float((points.mean(axis=0) - lowest.centroid_lps) @ axis) >= 0:
        return None
    gap = float(np.linalg.norm(points - lowest.centroid_lps, axis=1).min())
    return Sacrum(gap, _last_step_mm(shapes))


def _last_step_mm(shapes: tuple[LevelShape, ...]) -> float:
    """Return the step between the lowest lumbar vertebrae, or a typical one."""
    distances = [
        float(np.linalg.norm(a.centroid_lps - b.centroid_lps))
        for a, b in pairwise(shapes[-4:])
        if rank(b.vertebra.label) - rank(a.vertebra.label) == 1 and b.vertebra.region is Region.LUMBAR
    ]
    return float(np.median(distances)) if distances else TYPICAL_LUMBAR_STEP_MM


def numbering_findings(shapes: tuple[LevelShape, ...], sacrum: Sacrum | None) -> tuple[Finding, ...]:
    """Return findings about the numbering that follow from the lower end of the spine.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found, from head to foot by name.
    sacrum : Sacrum or None
        From `find_sacrum`; None if it is not in view, or the model does not predict it.

    Returns
    -------
    tuple of Finding
    """
    if not shapes:
        return ()
    last = shapes[-1].vertebra
    counted_from_above = any(shape.vertebra.name in ANCHORS for shape in shapes)
    if sacrum is None:
        if last.region is not Region.LUMBAR:
            return ()
        why = f"{last.name} is the lowest segmented vertebra, without a sacrum below it; the lumbar count is unknown."
        return (*_six(last.name, ""), LUMBAR_COUNT_UNKNOWN.about(why, last.name))
    findings: list[Finding] = []
    if sacrum.levels_between:
        absent = _absent_above_sacrum(last.label, sacrum.levels_between)
        for name in absent:
            why = f"{name} was not segmented; the gap between {last.name} and the sacrum is {sacrum.gap_mm:.0f} mm."
            findings.append(MISSING_LEVEL.about(why, name))
    elif last.name not in _LAST_LEVELS:
        why = f"{last.name} lies directly above the sacrum ({sacrum.gap_mm:.0f} mm), where L4, L5 or L6 is expected."
        findings.append(SACRUM_CONTRADICTS.about(why, last.name))
    elif last.name == "L4":
        where = f"L4 lies directly above the sacrum ({sacrum.gap_mm:.0f} mm)"
        findings.append(LUMBAR_VARIANT.about(f"4 lumbar vertebrae: {where}.{_total(shapes)}", last.name))
    else:
        findings += _six(last.name, _total(shapes))
    if not counted_from_above and not sacrum.levels_between:
        why = f"C1 and C2 are not in view; levels are counted from the sacrum, with {last.name} directly above it."
        findings.append(COUNTED_FROM_SACRUM.about(why, last.name))
    return tuple(findings)


def _six(lowest: str, more: str) -> list[Finding]:
    return [LUMBAR_VARIANT.about(f"6 lumbar vertebrae: L6 was segmented.{more}", "L6")] if lowest == "L6" else []


def _absent_above_sacrum(last_label: int, room: int) -> list[str]:
    """Return the names of the levels missing above the sacrum, assuming five lumbar vertebrae."""
    last, fifth = rank(last_label), rank(vertebra("L5").label)
    names = [level.name for level in VERTEBRAE[last + 1 : fifth + 1] if level.name != "T13"]
    return names or [level.name for level in VERTEBRAE[last + 1 : last + 1 + room]]


def _total(shapes: tuple[LevelShape, ...]) -> str:
    """Return a sentence with the number of vertebrae if C1 was segmented: 24 in most patients."""
    names = [shape.vertebra.name for shape in shapes]
    if names[0] != "C1":
        return ""
    count = len(names)
    usual = "as in most patients" if count == 24 else "24 in most patients"
    return f" There are {count} vertebrae from C1 to the sacrum ({usual})."
