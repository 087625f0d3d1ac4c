"""measurements.csv: one row per value, with its uncertainty, what it is compared with, and its change."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.io.tables import write_csv
from cspine.measurements.change import Change

if TYPE_CHECKING:
    from cspine.measurements.spine import MeasuredValue

#: Columns, in order.
COLUMNS = (
    "site", "scope", "name", "value", "unit", "uncertainty", "z_score", "published_mean", "published_sd",
    "published_low", "published_high", "published_source", "earlier_value", "change", "change_uncertainty",
    "earlier_date",
)  # fmt: skip


def write_measurement_table(values: Iterable[MeasuredValue], changes: Sequence[Change], path: Path) -> None:
    """Write measurements.csv; raise OutputError if it cannot be written.

    Parameters
    ----------
    values : iterable of MeasuredValue
        The rows.
    changes : sequence of Change
        Changes since an earlier result.
    path : Path
        The file.
    """
    by_value = {(change.site, change.quantity.name): change for change in changes}
    write_csv(path, COLUMNS, [_row(each, by_value.get((each.site, each.quantity.name))) for each in values])


def _row(measured: MeasuredValue, change: Change | None) -> list[str]:
    published, quantity = measured.published, measured.quantity
    low, high = published.range if published is not None else (None, None)
    numbers = (measured.z_score, published.mean if published else None, published.sd if published else None, low, high)
    return [
        measured.site,
        quantity.scope.value,
        quantity.name,
        f"{measured.value:.{quantity.digits}f}",
        quantity.unit,
        _text(measured.uncertainty),
        *(_text(number) for number in numbers),
        published.citation if published is not None else "",
        *_change(change),
    ]


def _change(change: Change | None) -> list[str]:
    if change is None:
        return ["", "", "", ""]
    return [_text(change.before), _text(change.difference), _text(change.uncertainty), change.before_date]


def _text(value: float | None) -> str:
    return "" if value is None else f"{round(value, 4):g}"
