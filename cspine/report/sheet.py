"""Picture sheets of many cases, one row per case, for a quick review of a study.

A row has curved sagittal and coronal planes through the column and axial planes, in true proportions. The patient's
front is on the left of sagittal planes; the patient's left is on the viewer's right of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray
from scipy import ndimage

from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE, rank, vertebra
from cspine.core.errors import OutputError
from cspine.core.geometry import reorientation
from cspine.core.shape import label_boxes, vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.files import write_atomic
from cspine.report.planes import body_centre, curve
from cspine.report.preview import BONE_WINDOW_HU

#: Number of cases per sheet.
ROWS_A_SHEET = 16
ROW_PIXELS = 300
#: Largest height of a row that shows the full column; it grows with the length of the column.
COLUMN_PIXELS = 720
#: Pixels per millimetre of the long planes and of the axial ones; a longer column is scaled down to fit.
SCALE, AXIAL_SCALE = 1.6, 2.6
#: Margin above and below the labels, where a vertebra may have been missed.
MARGIN_MM = 25.0
_SAGITTAL_PIXELS, _CORONAL_PIXELS, _AXIAL_PIXELS = 210, 190, 270
_WORDS_PIXELS, _GAP, _HEAD_PIXELS = 300, 6, 66
_TINT = 0.42
_NAME_PIXELS = 26
#: Levels of the axial planes, one above the other in a row that is tall enough.
_AXIAL_LEVELS = ("C4", "T6", "L3")
_MIN_AXIAL_PIXELS = 200
_LAST = vertebra("T1").label
_BACKGROUND, _TEXT, _DIM, _GOOD, _BAD = "#101418", "#f2f2f2", "#aab2ba", "#63d297", "#ff6b5e"
_CORD_RGB = (0, 255, 255)
_DPI = 100
_LETTERS_A_LINE, _MAX_LINES = 40, 15

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
class _Word:
    """The name of a level in a row: pixels from the left and top edge of the row."""

    text: str
    x: float
    y: float
    rgb: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Strip:
    row: SheetRow
    panels: Pixels
    words: tuple[_Word, ...]
    captions: tuple[tuple[str, float], ...] = ()  # text and its centre, pixels from the left


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


def write_sheets(rows: Iterable[SheetRow], count: int, title: str, folder: Path, stem: str = "sheet") -> list[Path]:
    """Write the sheets: one file ``sheet.png``, or ``sheet-1.png`` and so on for more than `ROWS_A_SHEET` cases.

    Parameters
    ----------
    rows : iterable of SheetRow
        The cases in order; each is released once drawn, so that a generator may read one at a time.
    count : int
        Number of rows.
    title : str
        Title of each sheet.
    folder : Path
        Folder to write to; sheets of an earlier run are removed.
    stem : str
        First part of the file names.

    Returns
    -------
    list of Path

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    written: list[Path] = []
    sheets = -(-count // ROWS_A_SHEET)
    strips = map(_draw_row, rows)
    number = 0
    while part := tuple(islice(strips, ROWS_A_SHEET)):
        number += 1
        path = folder / (f"{stem}.png" if sheets <= 1 else f"{stem}-{number}.png")
        _write(part, f"{title}   sheet {number} of {sheets}" if sheets > 1 else title, path)
        written.append(path)
    _remove_others(folder, stem, written)
    return written


def _remove_others(folder: Path, stem: str, written: list[Path]) -> None:
    """Remove sheets of an earlier run, ``sheet.png`` or ``sheet-2.png``, and no other file."""
    try:
        for path in sorted(folder.glob(f"{stem}*.png")):
            if re.fullmatch(rf"{re.escape(stem)}(-[1-9]\d*)?\.png", path.name) and path not in written:
                path.unlink()
    except OSError as error:
        raise OutputError(f"a sheet of an earlier run cannot be removed: {error.strerror}") from error


# --- one row ----------------------------------------------------------------------------------------------------------


def _draw_row(row: SheetRow) -> _Strip:
    if row.labels is None:
        return _Strip(row, np.zeros((ROW_PIXELS, _GAP, 3), dtype=np.uint8), ())
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
        images += [_picture(panel), np.zeros((high, _GAP, 3), dtype=np.uint8)]
        words += _names(panel, left) if panel.named else []
        captions.append((panel.caption, left + panel.width / 2))
        left += panel.width + _GAP
    return _Strip(row, np.concatenate(images, axis=1), tuple(words), tuple(captions))


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


# --- pixels -----------------------------------------------------------------------------------------------------------


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


def _names(panel: _Panel, left: int) -> list[_Word]:
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
        words.append(_Word(vertebra(label).name, left + max(x - 5, _NAME_PIXELS), y, colour))
    return words


def _write(strips: Sequence[_Strip], title: str, path: Path) -> None:
    width = _WORDS_PIXELS + max(strip.panels.shape[1] for strip in strips)
    height = _HEAD_PIXELS + sum(strip.panels.shape[0] + _GAP for strip in strips)
    canvas = np.empty((height, width, 3), dtype=np.uint8)
    canvas[:] = [int(_BACKGROUND[i : i + 2], 16) for i in (1, 3, 5)]
    for top, strip in zip(_tops(strips), strips, strict=True):
        high, wide = strip.panels.shape[:2]
        canvas[top : top + high, _WORDS_PIXELS : _WORDS_PIXELS + wide] = strip.panels

    def save(partial: Path) -> None:
        # A matplotlibrc on the machine must not change the picture.
        with style.context("default"), partial.open("wb") as file:
            _figure(canvas, strips, title).savefig(file, format="png", metadata={"Software": None})

    write_atomic(path, save)


def _tops(strips: Sequence[_Strip]) -> list[int]:
    """Return the top of each row, pixels from above."""
    return [
        _HEAD_PIXELS + sum(strip.panels.shape[0] + _GAP for strip in strips[:index]) for index in range(len(strips))
    ]


def _figure(canvas: Pixels, strips: Sequence[_Strip], title: str) -> Figure:
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    figure.figimage(canvas, 0, 0, origin="upper")

    def write(x: float, y: float, text: str, **options: Any) -> None:
        common: dict[str, Any] = {"color": _TEXT, "fontsize": 11, "va": "center", "parse_math": False}
        figure.text(x / width, 1 - y / height, text, **(common | options))

    write(12, 22, title, fontsize=15, fontweight="bold")
    widest = max(strips, key=lambda strip: strip.panels.shape[1])
    for caption, centre in widest.captions:
        write(_WORDS_PIXELS + centre, _HEAD_PIXELS - 12, caption, color=_DIM, ha="center", fontsize=10)
    write(width - 12, 22, "research use only, not a medical device", color=_DIM, ha="right")
    stroke = [withStroke(linewidth=2.0, foreground="black")]
    for top, strip in zip(_tops(strips), strips, strict=True):
        row = strip.row
        write(12, top + 14, row.name, fontweight="bold")
        write(12, top + 36, row.headline, color=_GOOD if row.good else _BAD, fontweight="bold", fontsize=12)
        for number, line in enumerate(_wrapped(row.lines)):
            write(12, top + 60 + number * 16, line, fontsize=9, color=_TEXT if line.startswith("-") else _DIM)
        for word in strip.words:
            write(
                _WORDS_PIXELS + word.x, top + word.y, word.text, color=word.rgb,
                fontsize=10, fontweight="bold", ha="right", path_effects=stroke,
            )  # fmt: skip
    return figure


def _wrapped(lines: Sequence[str]) -> list[str]:
    """Return the lines wrapped at spaces; text that does not fit ends in dots."""
    broken: list[str] = []
    for line in lines:
        rest = line
        while len(rest) > _LETTERS_A_LINE:
            cut = rest.rfind(" ", 8, _LETTERS_A_LINE)
            cut = cut if cut > 0 else _LETTERS_A_LINE
            broken.append(rest[:cut])
            rest = "  " + rest[cut:].strip()
        broken.append(rest)
    return broken if len(broken) <= _MAX_LINES else [*broken[: _MAX_LINES - 1], "..."]
