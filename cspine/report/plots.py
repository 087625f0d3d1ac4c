"""Small plots of measurements as plain shapes: a row for each site, a bar for its range, a mark for its value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from cspine.measurements.quantities import Scope
from cspine.report.measures import Measure, Value

WIDTH, ROW, TOP = 320.0, 20.0, 6.0
_LEFT, _RIGHT = 46.0, 66.0
_AXIS = 22.0


@dataclass(frozen=True)
class PlotRow:
    """A level of a plot, in its units; y grows downwards.

    Parameters
    ----------
    site, text : str
        The level, pair or column, and its value with a remark.
    y, x : float
        Centre of the mark.
    bar : tuple of float or None
        Left end and width of the range.
    is_outside : bool
        True if the value is outside the range.
    """

    site: str
    text: str
    y: float
    x: float
    bar: tuple[float, float] | None
    is_outside: bool


@dataclass(frozen=True)
class Plot:
    """A plot of one quantity.

    Parameters
    ----------
    measure : Measure
        What it shows.
    height : float
        Height; the width is `WIDTH`.
    rows : tuple of PlotRow
        From head to foot.
    ticks : tuple of (float, str)
        Position and text of each tick of the axis.
    """

    measure: Measure
    height: float
    rows: tuple[PlotRow, ...]
    ticks: tuple[tuple[float, str], ...]

    @property
    def axis_y(self) -> float:
        """Height of the axis."""
        return self.height - _AXIS

    @property
    def left(self) -> float:
        """Left end of the axis."""
        return _LEFT

    @property
    def right(self) -> float:
        """Right end of the axis."""
        return WIDTH - _RIGHT


@dataclass(frozen=True)
class PlotGroup:
    """The plots of quantities of one scope.

    Parameters
    ----------
    title : str
        What the sites are.
    sites : tuple of str
        Every site of the group, from head to foot.
    plots : tuple of Plot
        One for each quantity.
    """

    title: str
    sites: tuple[str, ...]
    plots: tuple[Plot, ...]

    def cells(self, sites: Sequence[str]) -> list[tuple[str, list[str]]]:
        """Return for each quantity its title with its unit, and its value at each site; a dash where it has none.

        Parameters
        ----------
        sites : sequence of str
            Sites in the order of the columns.
        """
        rows = []
        for measure in (plot.measure for plot in self.plots):
            texts = {value.site: value_text(measure, value) for value in measure.values}
            rows.append((heading(measure), [texts.get(site, "–") for site in sites]))
        return rows


_TITLES = {Scope.VERTEBRA: "Vertebrae", Scope.NEIGHBOURS: "Neighbours", Scope.COLUMN: "Column"}


def grouped(measures: Sequence[Measure]) -> tuple[PlotGroup, ...]:
    """Return the plots of quantities by their scope; a scope without any is omitted.

    Parameters
    ----------
    measures : sequence of Measure
        Quantities of a summary.
    """
    groups = []
    for scope, title in _TITLES.items():
        own = [measure for measure in measures if measure.scope is scope]
        longest = sorted(own, key=lambda measure: -len(measure.values))
        sites = dict.fromkeys(value.site for measure in longest for value in measure.values)
        if own:
            groups.append(PlotGroup(title, tuple(sites), tuple(plot_of(measure) for measure in own)))
    return tuple(groups)


def plot_of(measure: Measure) -> Plot:
    """Return the plot of a quantity.

    Parameters
    ----------
    measure : Measure
        A quantity with at least one value.
    """
    edges = [value.value for value in measure.values]
    edges += [limit for value in measure.values for limit in value.limits or () if limit is not None]
    ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(min(0.0, *edges), max(edges))
    low, high = float(ticks[0]), float(ticks[-1])

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    def bar(value: Value) -> tuple[float, float] | None:
        """Return left end and width of a range; an open end is that of the axis."""
        if value.limits is None:
            return None
        left, right = (x(end if limit is None else limit) for limit, end in zip(value.limits, (low, high), strict=True))
        return left, round(right - left, 1)

    rows = tuple(
        PlotRow(
            value.site,
            value_text(measure, value),
            TOP + (index + 0.5) * ROW,
            x(value.value),
            bar(value),
            value.is_outside,
        )
        for index, value in enumerate(measure.values)
    )
    return Plot(measure, TOP + len(rows) * ROW + _AXIS, rows, tuple((x(float(t)), f"{float(t):g}") for t in ticks))


def heading(measure: Measure) -> str:
    """Return the title of a quantity with its unit."""
    return f"{measure.title}, {measure.unit}" if measure.unit else measure.title


def value_text(measure: Measure, value: Value) -> str:
    """Return a value with its digits, and marks: ``*`` for truncated, ``!`` for outside the range.

    Parameters
    ----------
    measure : Measure
        The quantity, with its digits.
    value : Value
        One of its values.
    """
    mark = " *" if value.is_truncated else " !" if value.is_outside else ""
    return f"{value.value:.{measure.digits}f}{mark}"
