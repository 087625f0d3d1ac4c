"""A row of a picture sheet: planes through the column of one case as pixels, with the names of the levels."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE, rank, vertebra
from cspine.core.geometry import reorientation
from cspine.core.shape import label_boxes, vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.report.planes import body_centre, curve
from cspine.report.preview import BONE_WINDOW_HU

ROW_PIXELS = 300
#: Largest height of a row that shows the full column; it grows with the length of the column.
COLUMN_PIXELS = 720
#: Pixels per millimetre of the long planes and of the axial ones; a longer column is scaled down to fit.
SCALE, AXIAL_SCALE = 1.6, 2.6
#: Margin above and below the labels, where a vertebra may have been missed.
MARGIN_MM = 25.0
_SAGITTAL_PIXELS, _CORONAL_PIXELS, _AXIAL_PIXELS = 210, 190, 270
#: Pixels between pictures and between rows.
GAP = 6
_TINT = 0.42
_NAME_PIXELS = 26
#: Levels of the axial planes, one above the other in a row that is tall enough.
_AXIAL_LEVELS = ("C4", "T6", "L3")
_MIN_AXIAL_PIXELS = 200
_LAST = vertebra("T1").label
_CORD_RGB = (0, 255, 255)
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class SheetRow:
    """A case of a sheet.

    Parameters
    ----------
    name : str
        Name of the case.
    good : bool
        Whether the headline is green or red.
    headline : str
        The outcome in a few words.
    lines : tuple of str
        Failures and other remarks.
    ct : CtVolume or None
        The image; black if None.
    labels : LabelVolume
        Predicted vertebrae; numbers that no level has are not shown, here and in the reference.
    reference : LabelVolume or None
        Reference labels, shown beside the prediction.
    outline_zyx : ndarray of bool or None
        Another structure to outline, such as the spinal cord.
    caption : str
        Name of ``labels``, above their pictures.
    full_column : bool
        True to show every level, in a taller row; otherwise only the neck, if there is one.
    """

    name: str
    good: bool
    headline: str
    lines: tuple[str, ...]
    ct: CtVolume | None
    labels: LabelVolume | None
    reference: LabelVolume | None = None
    outline_zyx: NDArray[np.bool_] | None = None
    caption: str = "predicted"
    full_column: bool = False


@dataclass(frozen=True)
class Word:
    """The name of a level in a row.

    Parameters
    ----------
    text : str
        The name.
    x, y : float
        Right end and middle of the text, pixels from the left and the top edge of the row.
    rgb : tuple of float
        Colour, each part from 0 to 1.
    """

    text: str
    x: float
    y: float
    rgb: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Strip:
    """A row as it is drawn.

    Parameters
    ----------
    row : SheetRow
        The case.
    panels : ndarray of uint8, shape (height, width, 3)
        The planes side by side.
    words : tuple of Word
        Names of the levels.
    captions : tuple of (str, float)
        Caption of each panel, and its centre in pixels from the left.
    """

    row: SheetRow
    panels: Pixels
    words: tuple[Word, ...]
    captions: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class _Plane:
    """A plane: rows from bottom to top or front to back, with the spacing along rows and columns."""

    hu: NDArray[np.float32]
    labels: Pixels
    outline: NDArray[np.bool_] | None
    steps_mm: tuple[float, float]
    centre: tuple[float, float]  # index (row, column) at the centre of the panel
    upwards: bool  # True if the row index increases towards the top of the picture


@dataclass(frozen=True, eq=False)
class _Panel:
    """Planes, one above the other, with the size of their panel in pixels, its scale and its caption."""

    planes: tuple[_Plane, ...]
    width: int
    height: int
    scale: float
    caption: str
    named: bool = False


@dataclass(frozen=True, eq=False)
class _Neck:
    """Image, labels and outline in LPS orientation."""

    hu_zyx: NDArray[Any]
    labels_zyx: Pixels
    outline_zyx: NDArray[np.bool_] | None
    spacing_xyz: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class _Course:
    """The course of the column: for each z the y of the bodies and the x of the centroids."""

    y: NDArray[np.intp]
    x: NDArray[np.intp]
    centre_zyx: tuple[float, float, float]
    axial_zyx: tuple[tuple[float, float, float], ...]
    scale: float
    pixels: int


def below_neck(levels: Iterable[str]) -> bool:
    """Return whether some of the levels are below T1, so that a row should show the full column.

    Parameters
    ----------
    levels : iterable of str
        Names of levels.
    """
    return not {level.name for level in CERVICAL_LEVELS}.issuperset(levels)


def draw_row(row: SheetRow) -> Strip:
    """Return the planes of a case as pixels.

    Parameters
    ----------
    row : SheetRow
        The case; without labels its planes are black.
    """
    if row.labels is None:
        return Strip(row, np.zeros((ROW_PIXELS, GAP, 3), dtype=np.uint8), ())
    predicted = _neck(row, row.labels)
    reference = _neck(row, row.reference) if row.reference is not None else None
    course = _course(predicted, reference, row.full_column)
    shown = [(row.caption, predicted)] + ([("reference", reference)] if reference is not None else [])
    high, scale = course.pixels, course.scale
    sagittal = [
        _Panel((_sagittal(neck, course),), _SAGITTAL_PIXELS, high, scale, f"sagittal, {kind}", named=True)
        for kind, neck in shown
    ]
    if reference is None:
        bare = _bare(sagittal[0].planes[0])
        sagittal.append(_Panel((bare,), _SAGITTAL_PIXELS, high, scale, "without labels"))
    coronal = [
        _Panel((_coronal(neck, course),), _CORONAL_PIXELS, high, scale, f"coronal, {kind}") for kind, neck in shown
    ]
    axial = [_Panel(_axial(neck, course), _AXIAL_PIXELS, high, AXIAL_SCALE, f"axial, {kind}") for kind, neck in shown]
    images, words, captions, left = [], [], [], 0
    for panel in [*sagittal, *coronal, *axial]:
        images += [_picture(panel), np.zeros((high, GAP, 3), dtype=np.uint8)]
        words += _names(panel, left) if panel.named else []
        captions.append((panel.caption, left + panel.width / 2))
        left += panel.width + GAP
    return Strip(row, np.concatenate(images, axis=1), tuple(words), tuple(captions))


def _neck(row: SheetRow, labels: LabelVolume) -> _Neck:
    to_lps = reorientation(labels.affine_lps, "LPS")
    lps_labels = np.ascontiguousarray(to_lps.apply(vertebrae_only(labels.labels_zyx)))
    hu = np.full(lps_labels.shape, BONE_WINDOW_HU[0], dtype=np.int16) if row.ct is None else to_lps.apply(row.ct.hu_zyx)
    outline = None if row.outline_zyx is None else to_lps.apply(row.outline_zyx)
    return _Neck(hu, lps_labels, outline, to_lps.grid(labels.grid).spacing_xyz)


def _course(predicted: _Neck, reference: _Neck | None, full_column: bool) -> _Course:
    """Return the course of the reference, else of the prediction, else the centre of the image."""
    guide = reference if reference is not None and reference.labels_zyx.any() else predicted
    shape, step_z = predicted.labels_zyx.shape, predicted.spacing_xyz[2]
    boxes = label_boxes(guide.labels_zyx)
    if boxes:
        centres = {label: body_centre(guide.labels_zyx, label, predicted.spacing_xyz) for label in boxes}
        placed = [*boxes.items(), *label_boxes(predicted.labels_zyx).items()]
        # A reference may extend to the sacrum, but the sheet is about the neck, if there is one.
        last = rank(VERTEBRAE[-1].label if full_column else _LAST)
        every = [box for label, box in placed if rank(label) <= last] or [box for _, box in placed]
        bottom, top = min(box[0].start for box in every), max(box[0].stop for box in every)
    else:
        centres = {0: (shape[0] / 2, shape[1] / 2, shape[2] / 2)}
        bottom, top = 0, shape[0]
    points = np.array(list(centres.values()))
    height_mm = (top - bottom) * step_z + 2 * MARGIN_MM
    y, x = curve(points, 1, shape), curve(points, 2, shape)
    centre = ((bottom + top - 1) / 2, float(y[bottom:top].mean()), float(x[bottom:top].mean()))
    pixels = min(max(round(height_mm * SCALE), ROW_PIXELS), COLUMN_PIXELS) if full_column else ROW_PIXELS
    axial = _axial_centres(centres, pixels // _MIN_AXIAL_PIXELS) if boxes else (centres[0],)
    return _Course(y, x, centre, axial, min(SCALE, pixels / height_mm), pixels)


def _axial_centres(centres: dict[int, tuple[float, float, float]], most: int) -> tuple[tuple[float, float, float], ...]:
    """Return the centres of the axial planes: those of `_AXIAL_LEVELS`, or of the nearest levels."""
    wanted = [rank(vertebra(name).label) for name in _AXIAL_LEVELS[:most]]
    nearest = [min(centres, key=lambda label: abs(rank(label) - target)) for target in wanted]
    return tuple(centres[label] for label in dict.fromkeys(nearest))


def _sagittal(neck: _Neck, course: _Course) -> _Plane:
    z = np.arange(neck.labels_zyx.shape[0])
    x = course.x
    outline = None if neck.outline_zyx is None else neck.outline_zyx[z, :, x]
    _, step_y, step_z = neck.spacing_xyz
    back = course.centre_zyx[1] + 22.0 / step_y  # the spinous processes extend behind the bodies
    hu = neck.hu_zyx[z, :, x].astype(np.float32)
    return _Plane(hu, neck.labels_zyx[z, :, x], outline, (step_z, step_y), (course.centre_zyx[0], back), True)


def _bare(plane: _Plane) -> _Plane:
    return _Plane(plane.hu, np.zeros_like(plane.labels), None, plane.steps_mm, plane.centre, plane.upwards)


def _coronal(neck: _Neck, course: _Course) -> _Plane:
    z = np.arange(neck.labels_zyx.shape[0])
    y = course.y
    step_x, _, step_z = neck.spacing_xyz
    hu = neck.hu_zyx[z, y, :].astype(np.float32)
    centre = (course.centre_zyx[0], course.centre_zyx[2])
    return _Plane(hu, neck.labels_zyx[z, y, :], None, (step_z, step_x), centre, True)


def _axial(neck: _Neck, course: _Course) -> tuple[_Plane, ...]:
    return tuple(_axial_plane(neck, centre) for centre in course.axial_zyx)


def _axial_plane(neck: _Neck, centre_zyx: tuple[float, float, float]) -> _Plane:
    z = min(max(round(centre_zyx[0]), 0), neck.labels_zyx.shape[0] - 1)
    step_x, step_y, _ = neck.spacing_xyz
    outline = None if neck.outline_zyx is None else neck.outline_zyx[z]
    centre = (centre_zyx[1] + 14.0 / step_y, centre_zyx[2])
    return _Plane(neck.hu_zyx[z].astype(np.float32), neck.labels_zyx[z], outline, (step_y, step_x), centre, False)


def _indices(plane: _Plane, height: int, width: int, scale: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the row and column index of the plane for each row and column of its picture."""
    down = (np.arange(height) - (height - 1) / 2) / scale / plane.steps_mm[0]
    along = (np.arange(width) - (width - 1) / 2) / scale / plane.steps_mm[1]
    return plane.centre[0] + (-down if plane.upwards else down), plane.centre[1] + along


def _picture(panel: _Panel) -> Pixels:
    heights = np.diff(np.linspace(0, panel.height, len(panel.planes) + 1).astype(int)).tolist()
    return np.concatenate(
        [
            _plane_picture(plane, height, panel.width, panel.scale)
            for plane, height in zip(panel.planes, heights, strict=True)
        ]
    )


def _plane_picture(plane: _Plane, height: int, width: int, scale: float) -> Pixels:
    rows, columns = _indices(plane, height, width, scale)
    points = np.meshgrid(rows, columns, indexing="ij")
    low, high = BONE_WINDOW_HU
    hu = ndimage.map_coordinates(plane.hu, points, order=1, mode="grid-constant", cval=low)
    grey = np.clip((hu - low) / (high - low), 0, 1) * 255
    rgb = np.repeat(grey[..., None], 3, axis=-1)
    labels = ndimage.map_coordinates(plane.labels, points, order=0, mode="grid-constant", cval=0)
    for label in (int(i) for i in np.unique(labels) if i):
        mask = labels == label
        colour = np.array(vertebra(label).rgb, dtype=np.float64)
        rgb[mask] = (1 - _TINT) * rgb[mask] + _TINT * colour
        rgb[mask & ~ndimage.binary_erosion(mask)] = colour
    if plane.outline is not None:
        smooth = ndimage.map_coordinates(plane.outline.astype(np.float32), points, order=1, mode="grid-constant")
        mask = smooth >= 0.5
        rgb[mask & ~ndimage.binary_erosion(mask)] = _CORD_RGB
    return rgb.astype(np.uint8)


def _names(panel: _Panel, left: int) -> list[Word]:
    """Return the name of each level, in front of its vertebra; levels outside the panel have none."""
    (plane,) = panel.planes
    rows, columns = _indices(plane, panel.height, panel.width, panel.scale)
    words = []
    for label in (int(i) for i in np.unique(plane.labels) if i):
        index = np.argwhere(plane.labels == label)
        row = float(index[:, 0].mean())
        front = float(index[:, 1].min())
        if not rows.min() <= row <= rows.max():
            continue
        y = float(np.interp(row, rows[::-1], np.arange(len(rows))[::-1]))
        x = float(np.interp(front, columns, np.arange(len(columns))))
        colour = tuple(0.35 + 0.65 * c / 255 for c in vertebra(label).rgb)
        words.append(Word(vertebra(label).name, left + max(x - 5, _NAME_PIXELS), y, colour))
    return words
