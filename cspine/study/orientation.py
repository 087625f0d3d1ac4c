"""Labels that are turned or mirrored against the patient: a reference and a prediction that are turned alike agree.

Head and foot, front and back follow from the vertebrae themselves. Left and right do not, because a vertebra is
symmetric: only the image can show that they are exchanged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from cspine.core.errors import CaseGridError
from cspine.core.geometry import reorientation, to_lps
from cspine.core.shape import LevelShape, shapes_of, vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.tables import counted
from cspine.study.grids import on_grid

UPSIDE_DOWN, BACK_TO_FRONT, MIRRORED, DISPLACED = (
    "upside down",
    "back to front",
    "mirrored",
    "not on the voxels of the image",
)
_MIN_VERTEBRAE = 3
#: The centroid lies in front of the middle of a vertebra: by 3 to 11 mm in four people, by 0 if inclined by 60 degrees.
_MIN_OFFSET_MM = 2.5
#: In HU; cancellous bone lies above, muscle and fat below.
_BONE_HU = 150.0
#: Share of bone that mirrored labels must gain.
_MIN_GAIN = 0.15


def orientation_doubt(labels: LabelVolume, ct: CtVolume | None = None) -> str:
    """Return how labels are turned against the patient; empty if nothing shows that they are.

    Parameters
    ----------
    labels : LabelVolume
        Labels of `cspine.core.anatomy`; others are left aside.
    ct : CtVolume, optional
        The image of the labels.
    """
    only = vertebrae_only(labels.labels_zyx)
    shapes = shapes_of(only, labels.grid)
    if len(shapes) < _MIN_VERTEBRAE:
        return ""
    if all(upper.centroid_lps[2] < lower.centroid_lps[2] for upper, lower in pairwise(shapes)):
        return UPSIDE_DOWN
    offsets = [_offset_mm(labels, shape) for shape in shapes if not shape.touches_edge]
    if len(offsets) >= _MIN_VERTEBRAE and np.mean(offsets) < -_MIN_OFFSET_MM:
        return BACK_TO_FRONT
    return "" if ct is None else _against_image(LabelVolume(only, labels.affine_lps), ct)


def _offset_mm(labels: LabelVolume, shape: LevelShape) -> float:
    """Return how far the centroid of a vertebra lies in front of the middle of its extent from front to back."""
    start_zyx = np.array([part.start for part in shape.box_zyx])
    index_zyx = np.argwhere(labels.labels_zyx[shape.box_zyx] == shape.vertebra.label) + start_zyx
    y = to_lps(labels.affine_lps, index_zyx[:, ::-1].astype(np.float64))[:, 1]
    return float((y.max() + y.min()) / 2 - shape.centroid_lps[1])


def _against_image(labels: LabelVolume, ct: CtVolume) -> str:
    """Return whether the labels lie on bone only if left and right of the image are exchanged."""
    try:
        placed = on_grid(labels, ct.grid)
    except CaseGridError:
        return DISPLACED
    to_patient = reorientation(ct.affine_lps, "LPS")
    is_bone, is_vertebra = to_patient.apply(ct.hu_zyx > _BONE_HU), to_patient.apply(placed.labels_zyx > 0)
    share, mirrored = is_bone[is_vertebra].mean(), is_bone[:, :, ::-1][is_vertebra].mean()
    return MIRRORED if mirrored - share > _MIN_GAIN else ""


def orientation_notes(doubts: Iterable[tuple[str, str]]) -> list[str]:
    """Return a sentence for each way in which references are turned.

    Parameters
    ----------
    doubts : iterable of (str, str)
        Name and doubt of each case.
    """
    named = [(case, doubt) for case, doubt in doubts if doubt]
    counts = Counter(doubt for _, doubt in named)
    return [
        f"{counted(count, 'reference')} {'is' if count == 1 else 'are'} {doubt} "
        f"(first: {next(case for case, of in named if of == doubt)}): no figure of them can be trusted."
        for doubt, count in counts.items()
    ]
