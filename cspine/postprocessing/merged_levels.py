"""Find merged levels: one label on two vertebrae, larger and longer along the spine than its neighbours.

If a network gives one level to two vertebrae, all levels beyond may be off by one although no level is missing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cspine.core.findings import MERGED_LEVELS, Finding
from cspine.core.geometry import Grid, to_lps
from cspine.core.shape import LevelShape
from cspine.core.volumes import LabelArray
from cspine.postprocessing.order import ANCHORS, is_next

#: A level counts as two vertebrae if it has more than this times the volume of the larger of its two neighbours, ...
MERGED_VOLUME_RATIO = 1.5
#: ... or of its only neighbour: sizes change faster at the ends of the regions, ...
MERGED_VOLUME_RATIO_OF_ONE = 1.6
#: ... and is longer than this times the longer neighbour.
MERGED_LENGTH_RATIO = 1.2
#: C1 and C2 are shaped as no other level: they are compared with complete levels below, by volume alone. C2 has up to
#: 1.7 times the volume of the larger of C3 and C4 in 18 necks of patients and in those of four anatomical models, C1 no
#: more than C2 in the models; together with the next vertebra they have 2.3 times as much.
_ANCHOR_RATIOS = {"C1": (1.7, ("C2",)), "C2": (1.95, ("C3", "C4"))}
#: Share of voxels at either end that do not count as length.
_ENDS_PERCENT = 1.0


def merged_level_findings(shapes: tuple[LevelShape, ...], labels_zyx: LabelArray, grid: Grid) -> tuple[Finding, ...]:
    """Return findings about levels that may contain two vertebrae.

    Parameters
    ----------
    shapes : tuple of LevelShape
        The segmented levels, from head to foot by name.
    labels_zyx : ndarray of uint8, shape (z, y, x)
        Their labels.
    grid : Grid
        Grid of the array.

    Returns
    -------
    tuple of Finding
    """
    findings = _merged_anchors(shapes)
    for index, shape in enumerate(shapes):
        beside = [] if shape.vertebra.name in ANCHORS else _beside(shapes, index)
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
            sentence = (
                f"{name} has {larger:.1f} times the volume and {longer:.1f} times the length of {names}; "
                "it may contain two vertebrae."
            )
            findings.append(MERGED_LEVELS.about(sentence, name))
    return tuple(findings)


def _merged_anchors(shapes: tuple[LevelShape, ...]) -> list[Finding]:
    by_name = {shape.vertebra.name: shape for shape in shapes}
    findings = []
    for name, (times, below) in _ANCHOR_RATIOS.items():
        others = [by_name[other] for other in below if other in by_name and not by_name[other].touches_edge]
        most = max((other.volume_mm3 for other in others), default=0.0)
        if name in by_name and by_name[name].volume_mm3 > times * most > 0:
            larger, names = by_name[name].volume_mm3 / most, " and ".join(other.vertebra.name for other in others)
            sentence = f"{name} has {larger:.1f} times the volume of {names}; it may contain two vertebrae."
            findings.append(MERGED_LEVELS.about(sentence, name))
    return findings


def _beside(shapes: tuple[LevelShape, ...], index: int) -> list[LevelShape]:
    """Return the adjacent levels above and below that are complete and of comparable shape."""
    pairs = [shapes[i : i + 2] for i in (index - 1, index) if 0 <= i < len(shapes) - 1]
    others = [next(s for s in pair if s is not shapes[index]) for pair in pairs if is_next(*pair)]
    return [other for other in others if not other.touches_edge and other.vertebra.name not in ANCHORS]


def _direction(shape: LevelShape, beside: list[LevelShape]) -> NDArray[np.float64]:
    """Return the local direction of the spine, a unit vector."""
    ends = [other.centroid_lps for other in beside] + [shape.centroid_lps]
    along = np.asarray(ends[0] - ends[1], dtype=np.float64)
    return along / max(float(np.linalg.norm(along)), np.finfo(np.float64).tiny)


def _length_mm(shape: LevelShape, labels_zyx: LabelArray, grid: Grid, along_lps: NDArray[np.float64]) -> float:
    index_zyx = np.argwhere(labels_zyx[shape.box_zyx] == shape.vertebra.label) + [s.start for s in shape.box_zyx]
    along = to_lps(grid.affine_lps, index_zyx[:, ::-1].astype(np.float64)) @ along_lps
    low, high = np.percentile(along, (_ENDS_PERCENT, 100 - _ENDS_PERCENT))
    return float(high - low)
