"""One label on two vertebrae: a level that is much larger, and longer along the spine, than those beside it.

Where a network gives one name to two vertebrae, everything beyond may be one level off, and no level is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.findings import MERGED_LEVELS, Finding
from cspine.core.geometry import Grid, to_lps
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelArray
from cspine.postprocessing.order import ANCHORS, is_next

#: A level counts as two where it has more than this times the volume of the larger one of its two neighbours, ...
MERGED_VOLUME_RATIO = 1.5
#: ... or of the only one: sizes change faster at the ends of the regions.
MERGED_VOLUME_RATIO_OF_ONE = 1.6
#: ... and is longer than this times the longer neighbour.
MERGED_LENGTH_RATIO = 1.2
#: Single voxels at the ends do not count as length.
_ENDS_PERCENT = 1.0


def merged_level_findings(shapes: tuple[LevelShape, ...], labels_zyx: LabelArray, grid: Grid) -> tuple[Finding, ...]:
    """Return which levels may be two vertebrae.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The levels found, from head to foot by name.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Their labels.
    grid : Grid
        Grid of the array.

    Returns
    -------
    tuple of Finding
    """
    findings = []
    for place, shape in enumerate(shapes):
        beside = [] if shape.vertebra.name in ANCHORS else _beside(shapes, place)
        times = MERGED_VOLUME_RATIO if len(beside) > 1 else MERGED_VOLUME_RATIO_OF_ONE
        most = max((other.volume_mm3 for other in beside), default=shape.volume_mm3)
        if shape.volume_mm3 <= times * most:
            continue
        along = _direction(shape, beside)
        own = _length_mm(shape, labels_zyx, grid, along)
        length = max(_length_mm(other, labels_zyx, grid, along) for other in beside)
        if own > MERGED_LENGTH_RATIO * length > 0:
            name, names = shape.vertebra.name, " and ".join(other.vertebra.name for other in beside)
            larger, longer = shape.volume_mm3 / most, own / length
            sentence = f"{name} has {larger:.1f} times the volume and {longer:.1f} times the length of {names}."
            findings.append(MERGED_LEVELS.about(sentence, name))
    return tuple(findings)


def _beside(shapes: tuple[LevelShape, ...], place: int) -> list[LevelShape]:
    """Return the next levels above and below that are whole and of a like form."""
    pairs = [shapes[i : i + 2] for i in (place - 1, place) if 0 <= i < len(shapes) - 1]
    others = [next(s for s in pair if s is not shapes[place]) for pair in pairs if is_next(*pair)]
    return [other for other in others if not other.touches_edge and other.vertebra.name not in ANCHORS]


def _direction(shape: LevelShape, beside: list[LevelShape]) -> NDArray[np.float64]:
    """Return the direction of the spine here, a unit vector."""
    ends = [other.centroid_lps for other in beside] + [shape.centroid_lps]
    along = np.asarray(ends[0] - ends[1], dtype=np.float64)
    return along / max(float(np.linalg.norm(along)), np.finfo(np.float64).tiny)


def _length_mm(shape: LevelShape, labels_zyx: LabelArray, grid: Grid, along_lps: NDArray[np.float64]) -> float:
    index_zyx = np.argwhere(labels_zyx[shape.box_zyx] == shape.vertebra.label) + [s.start for s in shape.box_zyx]
    ways = to_lps(grid.affine_lps, index_zyx[:, ::-1].astype(np.float64)) @ along_lps
    low, high = np.percentile(ways, (_ENDS_PERCENT, 100 - _ENDS_PERCENT))
    return float(high - low)
