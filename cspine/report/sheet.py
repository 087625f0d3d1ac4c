"""Picture sheets of many cases, one row per case, for a quick review of a study.

A row has curved sagittal and coronal planes through the column and axial planes, in true proportions. The patient's
front is on the left of sagittal planes; the patient's left is on the viewer's right of the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from cspine.core.errors import OutputError
from cspine.io.files import write_atomic
from cspine.report.sheet_rows import GAP, Pixels, SheetRow, Strip, draw_row

#: Number of cases per sheet.
ROWS_A_SHEET = 16
_WORDS_PIXELS, _HEAD_PIXELS = 300, 66
_BACKGROUND, _TEXT, _DIM, _GOOD, _BAD = "#101418", "#f2f2f2", "#aab2ba", "#63d297", "#ff6b5e"
_DPI = 100
_LETTERS_A_LINE, _MAX_LINES = 40, 15


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
    strips = map(draw_row, rows)
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


def _write(strips: Sequence[Strip], title: str, path: Path) -> None:
    width = _WORDS_PIXELS + max(strip.panels.shape[1] for strip in strips)
    height = _HEAD_PIXELS + sum(strip.panels.shape[0] + GAP for strip in strips)
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


def _tops(strips: Sequence[Strip]) -> list[int]:
    """Return the top of each row, pixels from above."""
    return [_HEAD_PIXELS + sum(strip.panels.shape[0] + GAP for strip in strips[:index]) for index in range(len(strips))]


def _figure(canvas: Pixels, strips: Sequence[Strip], title: str) -> Figure:
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
