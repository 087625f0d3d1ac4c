"""Measurements as a table: one row per vertebra, in the form that pandas, polars and csv.DictWriter take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import overload

from cspine.measurements.quantities import Scope, quantities_of
from cspine.measurements.vertebra import VertebraMeasurement

Value = str | int | float | bool | None
Row = dict[str, Value]

#: Columns, in order.
COLUMNS = (
    "level",
    "label",
    "volume_ml",
    "mean_hu",
    "std_hu",
    "centroid_left_mm",
    "centroid_posterior_mm",
    "centroid_superior_mm",
    "extent_right_left_mm",
    "extent_front_back_mm",
    "extent_foot_head_mm",
    "touches_edge",
    *(each.name for each in quantities_of(Scope.VERTEBRA) if each.name not in ("volume_ml", "mean_hu", "std_hu")),
)


class MeasurementTable(Sequence[Row]):
    """A table of measurements; its rows are dictionaries, from head to foot.

    Parameters
    ----------
    measurements : iterable of VertebraMeasurement
        One a vertebra; what was not measured is None.

    Examples
    --------
    >>> import pandas
    >>> pandas.DataFrame(seg.measurements).set_index("level")["volume_ml"]  # doctest: +SKIP
    """

    columns = COLUMNS

    def __init__(self, measurements: Iterable[VertebraMeasurement]) -> None:
        self._rows = [_row(measurement) for measurement in measurements]

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        return self._rows[index]

    def to_dict(self) -> dict[str, list[Value]]:
        """Return the columns: name to values."""
        return {column: [row[column] for row in self._rows] for column in COLUMNS}

    def __repr__(self) -> str:
        rows = [COLUMNS, *(tuple(_text(row[column]) for column in COLUMNS) for row in self._rows)]
        widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{escape(_text(row[column]))}</td>" for column in COLUMNS) + "</tr>"
            for row in self._rows
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _row(measured: VertebraMeasurement) -> Row:
    left, posterior, superior = measured.centroid_lps_mm
    right_left, front_back, foot_head = measured.extent_mm
    values: tuple[Value, ...] = (
        measured.level,
        measured.label,
        measured.volume_ml,
        measured.mean_hu,
        measured.std_hu,
        left,
        posterior,
        superior,
        right_left,
        front_back,
        foot_head,
        measured.touches_edge,
    )
    return {
        **dict(zip(COLUMNS, values, strict=False)),
        **{name: measured.values.get(name) for name in COLUMNS[len(values) :]},
    }


def _text(value: Value) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)
