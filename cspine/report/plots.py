"""Small plots of measurements as plain shapes: a row for each level, a bar for its range, a mark for its value."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from cspine.report.measures import Measure, Value

WIDTH, ROW, TOP = 320.0, 20.0, 6.0
_LEFT, _RIGHT = 34.0, 66.0
_AXIS = 22.0


@dataclass(frozen=True)
class PlotRow:
    """A level of a plot, in its units; y grows downwards.

    Parameters
    ----------
    level, text : str
        The level, and its value with a remark.
    y, x : float
        Centre of the mark.
    bar : tuple of float or None
        Left end and width of the range.
    is_outside : bool
        True if the value is outside the range.
    """

    level: str
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


def plot_of(measure: Measure) -> Plot:
    """Return the plot of a quantity."""
    edges = [value.value for value in measure.values]
    edges += [limit for value in measure.values for limit in value.limits or ()]
    ticks = MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]).tick_values(min(0.0, *edges), max(edges))
    low, high = float(ticks[0]), float(ticks[-1])

    def x(value: float) -> float:
        return round(_LEFT + (value - low) / (high - low) * (WIDTH - _LEFT - _RIGHT), 1)

    rows = tuple(
        PlotRow(
            value.level,
            value_text(measure, value),
            TOP + (index + 0.5) * ROW,
            x(value.value),
            None if value.limits is None else (x(value.limits[0]), round(x(value.limits[1]) - x(value.limits[0]), 1)),
            value.is_outside,
        )
        for index, value in enumerate(measure.values)
    )
    return Plot(measure, TOP + len(rows) * ROW + _AXIS, rows, tuple((x(float(t)), f"{float(t):g}") for t in ticks))


def value_text(measure: Measure, value: Value) -> str:
    """Return a value with its digits, and marks: ``*`` for truncated, ``!`` for outside of the range."""
    mark = " *" if value.is_truncated else " !" if value.is_outside else ""
    return f"{value.value:.{measure.digits}f}{mark}"
