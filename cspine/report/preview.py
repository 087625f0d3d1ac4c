"""The preview: a picture that shows at a glance whether a result can be trusted.

It has a curved sagittal and a curved coronal plane through the column, and an axial plane through each vertebra,
in true proportions. The patient's left is on the viewer's right, as on radiological displays.
"""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from cspine.core.anatomy import Vertebra, vertebra
from cspine.core.findings import Finding, Severity
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io.files import write_atomic
from cspine.report.planes import curve
from cspine.report.scene import Scene, scene_of

#: Centre 400, width 1800 HU.
BONE_WINDOW_HU = (-500.0, 1300.0)
SIZE_PIXELS = (1800, 1120)
AXIAL_HALF_MM = (58.0, 50.0)  # half width, half height of an axial panel
#: Number of rows of axial panels, by the largest number of levels.
AXIAL_ROWS = {8: 4, 16: 4, 26: 5}
MAX_FINDINGS = 5
NAME_POINTS, MIN_NAME_POINTS = 17.0, 9.0
NOT_FOR_DIAGNOSIS = "NOT FOR DIAGNOSIS"
_DPI = 100
_BACKGROUND, _TEXT, _DIM = "#101418", "#f2f2f2", "#aab2ba"
_SEVERITY = {Severity.SERIOUS: "#ff6b5e", Severity.WARNING: "#ffc14d", Severity.INFO: _DIM}
_STROKE = [withStroke(linewidth=3.0, foreground="black")]

Plane = NDArray[Any]


def render_preview(ct: CtVolume, labels: LabelVolume, title: str, findings: Sequence[Finding], path: Path) -> None:
    """Write the preview as a PNG file; the same arguments give the same bytes.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Vertebrae on the grid of ``ct``.
    title : str
        Title of the picture: that of the model, which marks a DEMONSTRATION model. No patient data.
    findings : sequence of Finding
        Findings, of which the most serious are written below the picture.
    path : Path
        File to write; it appears when complete, or not at all.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    OutputError
        If the file cannot be written.
    """
    png = preview_png(ct, labels, title, findings)
    write_atomic(path, lambda partial: partial.write_bytes(png))


def preview_png(ct: CtVolume, labels: LabelVolume, title: str, findings: Sequence[Finding]) -> bytes:
    """Return the preview as the bytes of a PNG.

    Parameters
    ----------
    ct, labels, title, findings
        As in `render_preview`.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    """
    scene, file = scene_of(ct, labels), BytesIO()
    # A matplotlibrc on the machine must not change the picture.
    with style.context("default"):
        _figure(scene, title, findings).savefig(file, format="png", metadata={"Software": None})
    return file.getvalue()


def marked_preview(ct: CtVolume, labels: LabelVolume, title: str, findings: Sequence[Finding]) -> NDArray[np.uint8]:
    """Return the preview with the words `NOT_FOR_DIAGNOSIS` burned in, shape (rows, columns, 3).

    Parameters
    ----------
    ct, labels, title, findings
        As in `render_preview`.

    Raises
    ------
    NoVertebraError
        If there are no labels.
    """
    with style.context("default"):
        figure = _figure(scene_of(ct, labels), title, findings)
        colour = _SEVERITY[Severity.SERIOUS]
        figure.text(
            0.5, 0.965, NOT_FOR_DIAGNOSIS, color=colour, fontsize=24, fontweight="bold", va="center", ha="center"
        )
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def _figure(scene: Scene, title: str, findings: Sequence[Finding]) -> Figure:
    figure = Figure(figsize=(SIZE_PIXELS[0] / _DPI, SIZE_PIXELS[1] / _DPI), dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    panels = _lay_out(scene)
    _draw_sagittal(figure.add_axes(panels[0]), scene)
    _draw_coronal(figure.add_axes(panels[1]), scene)
    for index, level in enumerate(scene.levels):
        _draw_axial(figure.add_axes(panels[2 + index]), scene, level, scene.centres_zyx[index])
    _write_texts(figure, title, scene, findings)

    return figure


def _lay_out(scene: Scene) -> list[tuple[float, float, float, float]]:
    """Return the panels (left, bottom, width, height; 0..1): both long ones at one scale, then the axial ones."""
    width, height = SIZE_PIXELS
    left, bottom, top, gap = 20.0, 130.0, height - 105.0, 16.0
    rows = next(rows for most, rows in AXIAL_ROWS.items() if len(scene.levels) <= most)
    row = (top - bottom - (rows - 1) * gap) / rows
    axial = row * AXIAL_HALF_MM[0] / AXIAL_HALF_MM[1]
    z_mm, y_mm, x_mm = (n * mm for n, mm in zip(scene.labels_zyx.shape, reversed(scene.spacing_xyz), strict=True))
    columns = -(-len(scene.levels) // rows)
    room = width - 2 * left - columns * (axial + gap) - gap
    scale = min((top - bottom) / z_mm, room / (y_mm + x_mm))
    panels = [(left, top - z_mm * scale, y_mm * scale, z_mm * scale)]
    panels.append((left + y_mm * scale + gap, top - z_mm * scale, x_mm * scale, z_mm * scale))
    start = width - left - columns * axial - (columns - 1) * gap
    for index in range(len(scene.levels)):
        column, line = divmod(index, rows)
        panels.append((start + column * (axial + gap), top - row - line * (row + gap), axial, row))
    return [(x / width, y / height, w / width, h / height) for x, y, w, h in panels]


def _draw_plane(axes: Axes, hu: Plane, labels: Plane, extent_mm: tuple[float, float, float, float]) -> None:
    """Draw a plane with tinted and outlined labels; ``extent_mm`` is left, right, bottom, top."""
    low, high = BONE_WINDOW_HU
    axes.set_facecolor("black")
    common: dict[str, Any] = {"extent": extent_mm, "origin": "lower", "aspect": "equal"}
    axes.imshow(hu, cmap="gray", vmin=low, vmax=high, interpolation="bilinear", **common)
    tint = np.zeros((*labels.shape, 4), dtype=np.float32)
    for label in (int(i) for i in np.unique(labels) if i):
        red, green, blue = (c / 255 for c in vertebra(label).rgb)
        tint[labels == label] = (red, green, blue, 0.38)
        width = (extent_mm[1] - extent_mm[0]) / labels.shape[1]
        height = (extent_mm[3] - extent_mm[2]) / labels.shape[0]
        x = extent_mm[0] + (np.arange(labels.shape[1]) + 0.5) * width
        y = extent_mm[2] + (np.arange(labels.shape[0]) + 0.5) * height
        mask = (labels == label).astype(np.float32)
        if min(mask.shape) > 1:
            axes.contour(x, y, mask, levels=[0.5], colors=[(red, green, blue)], linewidths=1.3)
    axes.imshow(tint, interpolation="nearest", **common)
    axes.set_xlim(extent_mm[0], extent_mm[1])
    axes.set_ylim(extent_mm[2], extent_mm[3])
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)


def _write(axes: Axes, position: tuple[float, float], text: str, **style: Any) -> None:
    """Write text in the units of the axes (0..1)."""
    options: dict[str, Any] = {"color": _TEXT, "fontsize": 14, "path_effects": _STROKE, "va": "center", "ha": "center"}
    axes.text(position[0], position[1], text, transform=axes.transAxes, **(options | style))


def _name(axes: Axes, x: float, y: float, level: Vertebra, **style: Any) -> None:
    colour = tuple(0.35 + 0.65 * c / 255 for c in level.rgb)
    options: dict[str, Any] = {"fontsize": NAME_POINTS, "fontweight": "bold", "va": "center", "path_effects": _STROKE}
    axes.text(x, y, level.name, color=colour, clip_on=True, **(options | style))


def _name_points(axes: Axes, scene: Scene) -> float:
    """Return the font size of the names beside a long panel, smaller if the vertebrae are closer together."""
    steps_mm = np.abs(np.diff(np.sort(scene.centres_zyx[:, 0]))) * scene.spacing_xyz[2]
    if not len(steps_mm):
        return NAME_POINTS
    pixels_a_mm = axes.get_position().height * SIZE_PIXELS[1] / (scene.labels_zyx.shape[0] * scene.spacing_xyz[2])
    points = float(np.percentile(steps_mm, 10)) * pixels_a_mm * 72 / _DPI
    return float(np.clip(points, MIN_NAME_POINTS, NAME_POINTS))


def _title(axes: Axes, plane: str) -> str:
    """Return the title of a long panel, short if it is narrow."""
    return f"{plane}, along the column" if axes.get_position().width * SIZE_PIXELS[0] > 240 else plane


def _draw_sagittal(axes: Axes, scene: Scene) -> None:
    z_index = np.arange(scene.labels_zyx.shape[0])
    passes = curve(scene.centres_zyx, 2, scene.labels_zyx.shape)
    hu, labels = scene.hu_zyx[z_index, :, passes], scene.labels_zyx[z_index, :, passes]
    _, step_y, step_z = scene.spacing_xyz
    extent = (0.0, hu.shape[1] * step_y, 0.0, hu.shape[0] * step_z)
    _draw_plane(axes, hu, labels, extent)
    points = _name_points(axes, scene)
    for level, (z, y, _) in zip(scene.levels, scene.centres_zyx, strict=True):
        band = labels[max(round(z) - 1, 0) : round(z) + 2] == level.label
        seen = np.flatnonzero(band.any(axis=0))
        front = float(seen[0]) if len(seen) else y
        _name(axes, front * step_y - 3.0, (z + 0.5) * step_z, level, ha="right", fontsize=points)
    axes.set_title(_title(axes, "Sagittal"), color=_DIM, fontsize=13, pad=5)
    _write(axes, (0.035, 0.5), "A")
    _write(axes, (0.965, 0.5), "P")
    _scale_bar(axes, extent)


def _draw_coronal(axes: Axes, scene: Scene) -> None:
    z_index = np.arange(scene.labels_zyx.shape[0])
    passes = curve(scene.centres_zyx, 1, scene.labels_zyx.shape)
    hu, labels = scene.hu_zyx[z_index, passes, :], scene.labels_zyx[z_index, passes, :]
    step_x, _, step_z = scene.spacing_xyz
    extent = (0.0, hu.shape[1] * step_x, 0.0, hu.shape[0] * step_z)
    _draw_plane(axes, hu, labels, extent)
    points = _name_points(axes, scene)
    for level, (z, _, x) in zip(scene.levels, scene.centres_zyx, strict=True):
        seen = np.flatnonzero((labels == level.label).any(axis=0))
        side = float(seen[-1] + 1) if len(seen) else x
        _name(axes, side * step_x + 3.0, (z + 0.5) * step_z, level, ha="left", fontsize=points)
    axes.set_title(_title(axes, "Coronal"), color=_DIM, fontsize=13, pad=5)
    _write(axes, (0.035, 0.5), "R", fontsize=18, fontweight="bold")
    _write(axes, (0.965, 0.5), "L", fontsize=18, fontweight="bold")
    _scale_bar(axes, extent)


def _draw_axial(axes: Axes, scene: Scene, level: Vertebra, centre_zyx: NDArray[np.float64]) -> None:
    step_x, step_y, _ = scene.spacing_xyz
    z = round(float(centre_zyx[0]))
    labels = scene.labels_zyx[z]
    if not (labels == level.label).any():
        z = int(np.argmax((scene.labels_zyx == level.label).sum(axis=(1, 2))))
        labels = scene.labels_zyx[z]
    y, x = np.argwhere(labels == level.label).mean(axis=0)
    extent = (0.0, labels.shape[1] * step_x, 0.0, labels.shape[0] * step_y)
    _draw_plane(axes, scene.hu_zyx[z], labels, extent)
    axes.set_xlim((x + 0.5) * step_x - AXIAL_HALF_MM[0], (x + 0.5) * step_x + AXIAL_HALF_MM[0])
    # The patient's front is up: y grows downwards.
    axes.set_ylim((y + 0.5) * step_y + AXIAL_HALF_MM[1], (y + 0.5) * step_y - AXIAL_HALF_MM[1])
    colour = tuple(0.35 + 0.65 * c / 255 for c in level.rgb)
    _write(axes, (0.03, 0.9), level.name, color=colour, fontsize=17, fontweight="bold", ha="left")
    _write(axes, (0.965, 0.5), "L", fontweight="bold")


def _scale_bar(axes: Axes, extent_mm: tuple[float, float, float, float]) -> None:
    left, bottom = extent_mm[1] * 0.04, extent_mm[3] * 0.03
    axes.plot([left, left + 20], [bottom, bottom], color=_TEXT, linewidth=3, path_effects=_STROKE)
    axes.text(left, bottom + 2, "2 cm", color=_TEXT, fontsize=12, va="bottom", path_effects=_STROKE)


def _write_texts(figure: Figure, title: str, scene: Scene, findings: Sequence[Finding]) -> None:
    first, last = scene.levels[0].name, scene.levels[-1].name
    span = f"{first} to {last}" if first != last else first
    figure.text(0.012, 0.965, f"Vertebrae {span}", color=_TEXT, fontsize=22, fontweight="bold", va="center")
    figure.text(0.988, 0.965, title, color=_TEXT, fontsize=17, va="center", ha="right")
    figure.text(
        0.988,
        0.018,
        "cspine · research use only, not a medical device",
        color=_DIM,
        fontsize=14,
        va="center",
        ha="right",
    )
    order = list(_SEVERITY)
    ranked = sorted(findings, key=lambda finding: order.index(finding.severity))
    if not ranked:
        figure.text(0.012, 0.085, "No findings", color=_DIM, fontsize=14, va="center")
    shown = ranked if len(ranked) <= MAX_FINDINGS else ranked[: MAX_FINDINGS - 1]
    for line, finding in enumerate(shown):
        text = f"{finding.code}  {finding.sentence}"
        colour = _SEVERITY[finding.severity]
        figure.text(0.012, 0.092 - line * 0.0195, text, color=colour, fontsize=13, va="center")
    if len(ranked) > len(shown):
        text = f"and {len(ranked) - len(shown)} more in summary.json"
        figure.text(0.012, 0.092 - len(shown) * 0.0195, text, color=_DIM, fontsize=13, va="center")
