"""The plots of a comparison, as SVG and PNG: spread per vertebra, paired differences, volumes against the reference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context, style
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from cspine.io.files import write_atomic
from cspine.io.tables import counted
from cspine.study.comparison.measures import DICE, HD95, MAIN_MEASURES, Measure
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import DIFFERENT, DIFFERENT_WITHIN, EQUIVALENT, UNDECIDED
from cspine.study.comparison.words import fixed, subset_title

_GREY = "#6b7280"
#: Okabe-Ito, in the order of the models; each has its own marker too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = "osD^vP"
VERDICT_COLOURS = {
    EQUIVALENT: "#009E73",
    DIFFERENT: "#D55E00",
    DIFFERENT_WITHIN: "#0072B2",
    UNDECIDED: _GREY,
    "": _GREY,
}
_VERDICT_MARKERS = {EQUIVALENT: "o", DIFFERENT: "D", DIFFERENT_WITHIN: "s", UNDECIDED: "v", "": "v"}
_INK, _GRID, _BAND = "#1f2933", "#e3e7eb", "#e6f3ee"
_DPI = 130
#: Where the stretched scale of the Dice would end, and its ticks.
_BEYOND, _DICE_TICKS = 1.03, (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0)
#: So many points are drawn one by one beside their box.
_MAX_POINTS = 60
_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "cspine", "font.size": 9, "axes.edgecolor": "#9aa5b1", "axes.labelcolor": _INK, "text.color": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.axisbelow": True, "axes.grid": True, "grid.color": _GRID, "axes.titlesize": 10, "axes.titleweight": "bold",
    "legend.frameon": False, "text.parse_math": False, "axes.unicode_minus": True,
}  # fmt: skip


@dataclass(frozen=True)
class Plot:
    """A plot with its files.

    Parameters
    ----------
    name : str
        Of its files.
    title : str
        Stands above it in the report.
    caption : str
        What it shows.
    """

    name: str
    title: str
    caption: str


def write_plots(results: Results, folder: Path) -> list[Plot]:
    """Write every plot as NAME.svg and NAME.png; OutputError if that fails.

    Parameters
    ----------
    results : Results
        What was found.
    folder : Path
        Where the files go.

    Returns
    -------
    list of Plot
        In the order of the report.
    """
    plots = []
    for measure in MAIN_MEASURES:
        name = f"spread-{measure.key.removesuffix('_mm')}"
        _save(folder, name, lambda measure=measure: _spread(results, measure))  # type: ignore[misc]
        plots.append(Plot(name, f"{measure.title} per vertebra", _spread_caption(measure)))
    for number, title in enumerate(results.titles[1:], 2):
        name = "differences" if len(results.titles) == 2 else f"differences-{number}"
        _save(folder, name, lambda title=title: _forest(results, title))  # type: ignore[misc]
        plots.append(Plot(name, f"Differences: {title} minus {results.titles[0]}", _forest_caption(results)))
    _save(folder, "volumes", lambda: _bland_altman(results))
    plots.append(Plot("volumes", "Volumes against the reference (Bland-Altman)", _VOLUME_CAPTION))
    return plots


def _save(folder: Path, name: str, draw: Callable[[], Figure]) -> None:
    # A matplotlibrc on the machine must not change the picture.
    with style.context("default"), rc_context(_STYLE):
        figure = draw()
        for suffix, metadata in ((".svg", {"Date": None, "Creator": None}), (".png", {"Software": None})):

            def save(partial: Path, suffix: str = suffix, metadata: dict[str, None] = metadata) -> None:
                with partial.open("wb") as file:
                    figure.savefig(file, format=suffix[1:], metadata=metadata, dpi=_DPI)

            write_atomic(folder / f"{name}{suffix}", save)


def _figure(width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _short(title: str, most: int = 44) -> str:
    return title if len(title) <= most else f"{title[: most - 1]}…"


# --- spread -----------------------------------------------------------------------------------------------------------


def _spread_caption(measure: Measure) -> str:
    scale = (
        " The scale is logarithmic."
        if measure == HD95
        else " The scale is stretched towards 1; a missed vertebra has Dice 0."
    )
    return (
        "Boxes: quartiles, with the median as a line; whiskers: 1.5 times their distance; dots: single vertebrae, "
        f"or those beyond the whiskers where there are more than {_MAX_POINTS}; diamond: mean.{scale}"
    )


def _spread(results: Results, measure: Measure) -> Figure:
    cohort = results.cohort
    groups = [group for group in cohort.groups if group.single]
    models, subsets = cohort.models, cohort.subsets
    figure = _figure(max(8.6, 1.6 + 0.36 * len(groups) * len(models)), 0.7 + 2.5 * len(subsets))
    axes = figure.subplots(len(subsets), 1, sharex=True, sharey=True, squeeze=False)[:, 0]
    generator = np.random.default_rng(0)
    width = 0.8 / len(models)
    every: list[float] = []
    for own, subset in zip(axes, subsets, strict=True):
        for place, model in enumerate(models):
            offset = (place - (len(models) - 1) / 2) * width
            for x, group in enumerate(groups):
                if cohort.outside(model, group):
                    continue
                values = [v for row in cohort.rows(model, subset, group) if (v := measure.value(row)) is not None]
                if measure == HD95:
                    values = [max(value, 0.05) for value in values]  # 0 has no place on a logarithmic scale
                if values:
                    every += values
                    _box(own, x + offset, values, width, place, generator)
        cases = counted(len(cohort.cases(subset, models[0])), "case")
        own.set_title(f"{subset_title(subset)}, {cases}", loc="left")
        own.set_ylabel(measure.title)
        own.grid(axis="x", visible=False)
    axes[-1].set_xticks(range(len(groups)), [group.name for group in groups])
    axes[-1].set_xlim(-0.6, len(groups) - 0.4)
    if measure == DICE:
        lowest = min([*every, 0.9])
        for own in axes:
            own.set_yscale("function", functions=(_stretch, _unstretch))
            own.set_yticks([tick for tick in _DICE_TICKS if tick >= lowest - 0.1 or tick >= 0.8])
        axes[0].set_ylim(max(lowest - 0.02, -0.02), 1.0)
    else:
        axes[0].set_yscale("log")
        for own in axes:
            own.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            own.yaxis.set_minor_formatter(NullFormatter())
            own.set_yticks([tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100) if _near(tick, every)])
    handles = [Patch(facecolor=_tint(i), edgecolor=_colour(i), label=_short(m.title)) for i, m in enumerate(models)]
    figure.legend(handles=handles, loc="outside upper left", ncols=min(len(models), 2))
    return figure


def _stretch(dice: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the height of a Dice: good models differ above 0.9, and a missed vertebra has 0."""
    return np.asarray(-np.log10(np.maximum(_BEYOND - dice, 1e-6)))


def _unstretch(height: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(_BEYOND - 10.0 ** (-height))


def _near(tick: float, values: list[float]) -> bool:
    return bool(values) and min(values) / 1.6 <= tick <= max(values) * 1.6


def _colour(place: int) -> str:
    return COLOURS[place % len(COLOURS)]


def _tint(place: int) -> str:
    channels = (int(_colour(place)[i : i + 2], 16) for i in (1, 3, 5))
    return "#" + "".join(f"{round(255 - 0.3 * (255 - c)):02x}" for c in channels)


def _box(axes: Axes, x: float, values: list[float], width: float, place: int, generator: np.random.Generator) -> None:
    colour, few = _colour(place), len(values) <= _MAX_POINTS
    axes.boxplot(
        [values], positions=[x], widths=width * 0.78, patch_artist=True, showfliers=not few, manage_ticks=False,
        boxprops={"facecolor": _tint(place), "edgecolor": colour, "linewidth": 0.9},
        medianprops={"color": colour, "linewidth": 1.6}, whiskerprops={"color": colour, "linewidth": 0.9},
        capprops={"color": colour, "linewidth": 0.9},
        flierprops={"marker": ".", "markersize": 3, "markerfacecolor": colour, "markeredgecolor": "none", "alpha": 0.7},
    )  # fmt: skip
    if few:
        spread = generator.uniform(-0.25, 0.25, len(values)) * width
        axes.plot(x + spread, values, ".", markersize=3, color=colour, alpha=0.55, markeredgewidth=0)
    axes.plot([x], [np.mean(values)], marker="D", markersize=2.8, color="white", markeredgecolor=colour, zorder=4)


# --- differences ------------------------------------------------------------------------------------------------------


def _forest_caption(results: Results) -> str:
    alpha = results.settings.alpha
    return (
        f"Mean difference over paired cases, with its {1 - alpha:.0%} (thin) and {1 - 2 * alpha:.0%} (thick) "
        "bootstrap interval. The band is the margin of equivalence: the thick line must lie within it for the "
        "verdict equivalent. Colour and shape show the verdict."
    )


def _forest(results: Results, title: str) -> Figure:
    cohort, subsets = results.cohort, results.cohort.subsets
    groups = cohort.groups
    figure = _figure(max(8.6, 1.2 + 3.1 * len(subsets)), 1.2 + 2 * (0.75 + 0.23 * len(groups)))
    axes = figure.subplots(len(MAIN_MEASURES), len(subsets), sharey=True, sharex="row", squeeze=False)
    seen: set[str] = set()
    for row, measure in zip(axes, MAIN_MEASURES, strict=True):
        reach = results.settings.margins[measure.key]
        for own, subset in zip(row, subsets, strict=True):
            margin = results.settings.margins[measure.key]
            own.axvspan(-margin, margin, color=_BAND, zorder=0)
            own.axvline(0, color="#7b8794", linewidth=0.8, zorder=1)
            for y, group in enumerate(groups):
                found = results.comparison(title, subset, group.name, measure.key)
                result = found.result
                if result.difference is None:
                    own.text(0, y, "no pair", fontsize=7, color=_GREY, ha="center", va="center")
                    continue
                colour = VERDICT_COLOURS[found.verdict]
                seen.add(found.verdict)
                if result.interval is not None and result.inner is not None:
                    own.plot([result.interval.low, result.interval.high], [y, y], color=colour, linewidth=1.1)
                    own.plot([result.inner.low, result.inner.high], [y, y], color=colour, linewidth=3.2)
                    reach = max(reach, abs(result.interval.low), abs(result.interval.high))
                reach = max(reach, abs(result.difference))
                marker = _VERDICT_MARKERS[found.verdict]
                own.plot(
                    [result.difference], [y], marker, color="white", markeredgecolor=colour, markersize=5, zorder=4
                )
            own.set_title(f"{subset_title(subset)}", loc="left")
            unit = f" ({measure.unit})" if measure.unit else ""
            better = "right" if measure.higher_is_better else "left"
            own.set_xlabel(f"{measure.title.removesuffix(' (mm)')} difference{unit}; better: {better}")
            own.set_xlim(-1.12 * reach, 1.12 * reach)
            own.grid(axis="y", visible=False)
    axes[0, 0].set_yticks(range(len(groups)), [group.name for group in groups])
    axes[0, 0].set_ylim(len(groups) - 0.5, -0.5)
    handles = [
        Line2D(
            [],
            [],
            color=VERDICT_COLOURS[v],
            marker=_VERDICT_MARKERS[v],
            markerfacecolor="white",
            label=v or "no verdict",
        )
        for v in (EQUIVALENT, DIFFERENT_WITHIN, DIFFERENT, UNDECIDED, "")
        if v in seen
    ]
    handles.append(Patch(facecolor=_BAND, label="margin"))  # type: ignore[arg-type]
    figure.legend(handles=handles, loc="outside upper left", ncols=len(handles))
    return figure


# --- volumes ----------------------------------------------------------------------------------------------------------

_VOLUME_CAPTION = (
    "Each dot is a vertebra that both contain: predicted minus reference over their mean. Solid line: mean difference "
    "(bias); dashed: bias ± 1.96 SD (limits of agreement). Vertebrae of one case are not independent: read the "
    "limits as a guide."
)


def _bland_altman(results: Results) -> Figure:
    cohort = results.cohort
    models, subsets = cohort.models, cohort.subsets
    columns = min(len(models), 3)
    lines = -(-len(models) // columns)
    figure = _figure(max(8.6, 1 + 3.6 * columns), 0.4 + 3.0 * lines)
    axes = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for own in axes[len(models) :]:
        own.set_visible(False)
    for place, (own, model) in enumerate(zip(axes, models, strict=False)):
        every: list[float] = []
        for number, subset in enumerate(subsets):
            rows = [
                row
                for group in cohort.groups
                if group.single
                for row in cohort.rows(model, subset, group)
                if row.reference_ml and row.predicted_ml
            ]
            reference = np.array([row.reference_ml for row in rows], dtype=np.float64)
            found = np.array([row.predicted_ml for row in rows], dtype=np.float64)
            every += list(found - reference)
            dots: dict[str, Any] = {"linestyle": "none", "color": _colour(number + 2), "rasterized": True}
            dots |= {"marker": _MARKERS[number % len(_MARKERS)], "markersize": 3, "alpha": 0.5, "markeredgewidth": 0}
            own.plot((found + reference) / 2, found - reference, label=subset_title(subset), **dots)
        own.axhline(0, color="#9aa5b1", linewidth=0.8)
        text = "no volumes"
        if every:
            bias, sd = float(np.mean(every)), float(np.std(every, ddof=1)) if len(every) > 1 else 0.0
            own.axhline(bias, color=_INK, linewidth=1.2)
            for limit in (bias - 1.96 * sd, bias + 1.96 * sd):
                own.axhline(limit, color=_INK, linewidth=1, linestyle=(0, (5, 3)))
            text = (
                f"bias {fixed(bias, 2, sign=True)} ml, limits {fixed(bias - 1.96 * sd, 2, sign=True)} to "
                f"{fixed(bias + 1.96 * sd, 2, sign=True)} ml, n = {len(every)}"
            )
        own.set_title(f"{_short(model.title)}\n", loc="left", color=_INK)
        own.text(0, 1.02, text, transform=own.transAxes, fontsize=8)
        own.set_xlabel("mean of predicted and reference (ml)")
        if place % columns == 0:
            own.set_ylabel("predicted − reference (ml)")
    handles = [
        Line2D(
            [], [], linestyle="none", marker=_MARKERS[i % len(_MARKERS)], color=_colour(i + 2), label=subset_title(p)
        )
        for i, p in enumerate(subsets)
    ]
    figure.legend(handles=handles, loc="outside lower left", ncols=len(subsets))
    return figure
