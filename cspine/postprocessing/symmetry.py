"""Findings about a vertebra whose right and left halves differ grossly: one side was not segmented."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cspine.core.findings import ONE_SIDED, Finding
from cspine.core.geometry import Affine, to_lps
from cspine.core.norms import MAX_SIDE_RATIO, MIN_SIDE_VOLUME_MM3
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelArray

#: The midline at a level is extrapolated from this many of its nearest levels.
_NEIGHBOURS = 4


def side_findings(shapes: Sequence[LevelShape], labels_zyx: LabelArray, affine_lps: Affine) -> tuple[Finding, ...]:
    """Return a finding for each vertebra that lies on one side of the midline of its neighbours.

    The midline is the straight line through the median right-left positions of the nearest levels; a bent or rotated
    neck moves it by some millimetres, a missing half moves the volume from one side to the other.

    Parameters
    ----------
    shapes : sequence of LevelShape
        Shapes of the levels, from head to foot.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Labels.
    affine_lps : ndarray, shape (4, 4)
        Index (x, y, z) to millimetres (LPS).
    """
    points = [_points(shape, labels_zyx, affine_lps) for shape in shapes]
    middles = np.array([_middle(level) for level in points]).reshape(-1, 2)
    findings = []
    for index, (shape, points_lps) in enumerate(zip(shapes, points, strict=True)):
        midline = _midline(middles, index)
        if midline is None or shape.volume_mm3 < MIN_SIDE_VOLUME_MM3:
            continue
        left = float((points_lps[:, 0] > midline).mean())
        smaller, larger = sorted((left, 1.0 - left))
        if larger > MAX_SIDE_RATIO * smaller:
            side = "left" if left < 0.5 else "right"
            name = shape.vertebra.name
            sentence = f"Only {100 * smaller:.0f} % of {name} lie {side} of the midline; that half is incomplete."
            findings.append(ONE_SIDED.about(sentence, name))
    return tuple(findings)


def _points(shape: LevelShape, labels_zyx: LabelArray, affine_lps: Affine) -> NDArray[np.float64]:
    start_xyz = np.array([part.start for part in reversed(shape.box_zyx)])
    index_xyz = np.argwhere(labels_zyx[shape.box_zyx] == shape.vertebra.label)[:, ::-1] + start_xyz
    return to_lps(affine_lps, index_xyz.astype(np.float64))


def _middle(points_lps: NDArray[np.float64]) -> tuple[float, float]:
    """Return the height and the right-left middle of a level, millimetres; stray voxels do not move it."""
    low, high = np.percentile(points_lps[:, 0], (2, 98))
    return float(np.median(points_lps[:, 2])), float(low + high) / 2


def _midline(middles: NDArray[np.float64], index: int) -> float | None:
    """Return the right-left position of the midline at a level, from its neighbours alone; None for lack of them."""
    others = np.delete(middles, index, axis=0)
    if len(others) < 2:
        return None
    height = middles[index, 0]
    nearest = others[np.argsort(np.abs(others[:, 0] - height), kind="stable")[:_NEIGHBOURS]]
    spread = np.ptp(nearest[:, 0])
    if spread < 1.0:
        return None
    return _repeated_medians(nearest, height)


def _repeated_medians(points: NDArray[np.float64], at: float) -> float:
    """Return Siegel's line through points (position, value) at a position: one outlier does not move it.

    SciPy has it in `scipy.stats`, which takes longer to import than all vertebrae to check.
    """
    position, value = points.T
    steps = position[:, None] - position
    steps[steps == 0] = np.nan
    slope = np.median(np.nanmedian((value[:, None] - value) / steps, axis=1))
    return float(np.median(value - slope * position) + slope * at)
