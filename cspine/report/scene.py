"""What pictures of a result show: image and labels around the vertebrae, in one orientation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import Vertebra, vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.geometry import Grid, reorientation
from cspine.core.geometry import to_lps as position_of
from cspine.core.shape import Box, label_boxes
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.planes import body_centre

MARGIN_MM = 32.0
#: Ratio of the width of a sagittal and a coronal picture together to their height.
WIDE_TO_HIGH = 1.42


@dataclass(frozen=True, eq=False)
class Scene:
    """Image and labels in LPS orientation, cropped to the vertebrae.

    Parameters
    ----------
    hu_zyx, labels_zyx : ndarray, shape (z, y, x)
        Hounsfield units and labels.
    grid : Grid
        Grid of both.
    levels : tuple of Vertebra
        Levels that are present, from head to foot.
    centres_zyx : ndarray, shape (levels, 3)
        Index of the centre of each level; y is that of the body.
    """

    hu_zyx: NDArray[Any]
    labels_zyx: NDArray[np.uint8]
    grid: Grid
    levels: tuple[Vertebra, ...]
    centres_zyx: NDArray[np.float64]

    @property
    def spacing_xyz(self) -> tuple[float, float, float]:
        """Voxel spacing along x, y, z, millimetres."""
        return self.grid.spacing_xyz


def scene_of(ct: CtVolume, labels: LabelVolume) -> Scene:
    """Return the part of an image that pictures show, in LPS.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Labels on its grid.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    """
    to_lps = reorientation(ct.affine_lps, "LPS")
    grid = to_lps.grid(ct.grid)
    spacing = grid.spacing_xyz
    lps_labels, lps_hu = to_lps.apply(labels.labels_zyx), to_lps.apply(ct.hu_zyx)
    boxes = label_boxes(np.ascontiguousarray(lps_labels))
    if not boxes:
        raise NoVertebraError("there is no vertebra to show in the preview")
    crop = _crop(list(boxes.values()), lps_labels.shape, spacing)
    cropped_labels = np.ascontiguousarray(lps_labels[crop])
    return Scene(
        hu_zyx=np.ascontiguousarray(lps_hu[crop]),
        labels_zyx=cropped_labels,
        grid=_part(grid, crop),
        levels=tuple(vertebra(label) for label in boxes),
        centres_zyx=np.array([body_centre(cropped_labels, label, spacing) for label in boxes]),
    )


def _crop(boxes: list[Box], shape: tuple[int, ...], spacing_xyz: tuple[float, float, float]) -> Box:
    """Return the bounding box of all vertebrae with a margin; taller if there are few levels, to fill the picture."""
    spans = []
    for axis, step in enumerate(reversed(spacing_xyz)):
        start, stop = min(box[axis].start for box in boxes), max(box[axis].stop for box in boxes)
        margin = int(np.ceil(MARGIN_MM / step))
        spans.append((max(start - margin, 0), min(stop + margin, shape[axis])))
    width_mm = sum((stop - start) * mm for (start, stop), mm in zip(spans[1:], spacing_xyz[1::-1], strict=True))
    bottom, top = spans[0]
    lacking = int((width_mm / WIDE_TO_HIGH / spacing_xyz[2] - (top - bottom)) / 2)
    if lacking > 0:
        spans[0] = (max(bottom - lacking, 0), min(top + lacking, shape[0]))
    z, y, x = (slice(start, stop) for start, stop in spans)
    return z, y, x


def _part(grid: Grid, crop: Box) -> Grid:
    first = np.array([[float(side.start) for side in reversed(crop)]])
    affine = grid.affine_lps.copy()
    affine[:3, 3] = position_of(grid.affine_lps, first)[0]
    z, y, x = (side.stop - side.start for side in crop)
    return Grid((z, y, x), affine)
