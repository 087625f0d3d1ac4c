"""The measurements of a summary as rows for people: each quantity over its sites, beside a range where there is one.

Every measured value of a summary, and every number of its rows of vertebrae, becomes a quantity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cspine.core.anatomy import vertebra
from cspine.core.norms import MAX_BONE_HU, MIN_BONE_HU, plausible_ml
from cspine.measurements.quantities import HU, QUANTITIES, Scope
from cspine.report.summary import MeasurementSummary, Summary, VertebraSummary

#: Lower and upper end; None for an open end.
Range = tuple[float | None, float | None]


@dataclass(frozen=True)
class Value:
    """A quantity at one site.

    Parameters
    ----------
    site : str
        Level, pair such as ``"C3/C4"``, or ``"column"``.
    value : float
        The value.
    limits : tuple of float or None
        The range; None where there is none, or where the vertebra is truncated.
    is_truncated : bool
        True if the vertebra is truncated by the edge of the scan.
    """

    site: str
    value: float
    limits: Range | None = None
    is_truncated: bool = False

    @property
    def is_outside(self) -> bool:
        """True if the value is outside the range."""
        low, high = self.limits or (None, None)
        return (low is not None and self.value < low) or (high is not None and self.value > high)


@dataclass(frozen=True)
class Measure:
    """A quantity over all its sites.

    Parameters
    ----------
    name, title, unit : str
        Name in the summary, name for people, unit.
    scope : Scope
        What the sites are.
    digits : int
        Decimal digits that are shown.
    source : str
        Where the range comes from; empty if there is none.
    values : tuple of Value
        From head to foot.
    """

    name: str
    title: str
    unit: str
    scope: Scope
    digits: int
    source: str
    values: tuple[Value, ...]


_VOLUMES = "Wide limits for adults of all sizes, as the finding CS-FND-004 judges them."
_DENSITY = "Wide limits for a whole vertebra, as the findings CS-FND-013 and CS-FND-031 judge them."
#: Ranges of quantities for which nothing is published.
_WIDE: Mapping[str, tuple[str, Callable[[str], Range]]] = {
    "volume_ml": (_VOLUMES, lambda level: plausible_ml(vertebra(level))),
    "mean_hu": (_DENSITY, lambda _: (MIN_BONE_HU, MAX_BONE_HU)),
}
#: Title, unit and digits.
_KNOWN: Mapping[str, tuple[str, str, int]] = {
    **{q.name: (q.title, q.unit, q.digits) for q in QUANTITIES},
    "level_probability": ("Probability that the level is right", "1", 3),
    "expected_dice": ("Expected Dice coefficient", "1", 3),
    "extent_mm[0]": ("Extent from right to left", "mm", 1),
    "extent_mm[1]": ("Extent from front to back", "mm", 1),
    "extent_mm[2]": ("Extent from foot to head", "mm", 1),
}
_SCOPES = {q.name: q.scope for q in QUANTITIES}
#: How people write units of UCUM; two digits more than these are not worth reading.
_UNITS = {HU: ("HU", 0), "ml": ("ml", 1), "mm": ("mm", 1), "mm2": ("mm²", 0), "deg": ("°", 1), "1": ("", 2)}
#: Numbers of the rows of vertebrae that are no quantities.
_LEFT_OUT = ("label", "segment", "centroid_lps_mm")


def measures_of(summary: Summary) -> tuple[Measure, ...]:
    """Return every quantity of a summary: of vertebrae, of neighbours, of the column.

    Parameters
    ----------
    summary : Summary
        The summary of a run.
    """
    truncated = {row.level for row in summary.vertebrae if row.touches_edge}
    values: dict[str, list[Value]] = {}
    sources: dict[str, dict[str, None]] = {}
    for row in summary.measurements:
        value, source = _measured(row, row.site in truncated)
        values.setdefault(row.name, []).append(value)
        sources.setdefault(row.name, {}).update({source: None} if source else {})
    for vertebra_row in summary.vertebrae:
        for name, number in _numbers(vertebra_row):
            rows = values.setdefault(name, [])
            if all(value.site != vertebra_row.level for value in rows):
                value, source = _compared(name, vertebra_row.level, number, vertebra_row.touches_edge)
                rows.append(value)
                sources.setdefault(name, {}).update({source: None} if source else {})
    order = [row.level for row in summary.vertebrae]
    made = (_measure(name, rows, "; ".join(sources.get(name, {})), order) for name, rows in values.items())
    return tuple(sorted(made, key=lambda measure: list(Scope).index(measure.scope)))


def _measured(row: MeasurementSummary, is_truncated: bool) -> tuple[Value, str]:
    """Return a measured value beside what is published, else beside the wide limits."""
    if row.published is None or is_truncated:
        return _compared(row.name, row.site, row.value, is_truncated)
    return Value(row.site, row.value, (row.published_low, row.published_high)), row.published


def _compared(name: str, site: str, value: float, is_truncated: bool) -> tuple[Value, str]:
    if name not in _WIDE or is_truncated:
        return Value(site, value, None, is_truncated), ""
    source, limits = _WIDE[name]
    return Value(site, value, limits(site)), source


def _numbers(row: VertebraSummary) -> Iterator[tuple[str, float]]:
    """Yield name and value of each number: also those of triples, by index, and of mappings, by key."""
    for name, content in row.model_dump().items():
        if name in _LEFT_OUT:
            continue
        parts: Mapping[str, object] = {name: content}
        if isinstance(content, tuple | list):
            parts = {f"{name}[{index}]": part for index, part in enumerate(content)}
        elif isinstance(content, Mapping):
            parts = {str(key): part for key, part in content.items()}
        for key, part in parts.items():
            if isinstance(part, int | float) and not isinstance(part, bool):
                yield key, float(part)


def _measure(name: str, values: list[Value], source: str, order: list[str]) -> Measure:
    title, unit, digits = _KNOWN.get(name) or _described(name)
    unit, most = _UNITS.get(unit, (unit, digits))
    place = {site: index for index, site in enumerate(order)}
    ordered = sorted(values, key=lambda value: place.get(value.site.partition("/")[0], len(place)))
    return Measure(name, title, unit, _SCOPES.get(name, Scope.VERTEBRA), min(digits, most), source, tuple(ordered))


def _described(name: str) -> tuple[str, str, int]:
    """Return title, unit and digits of a quantity without an entry, from its name."""
    words, _, unit = name.rpartition("_")
    unit = HU if unit == "hu" else unit
    return (words.replace("_", " ").capitalize(), unit, 2) if unit in _UNITS else (name, "", 2)
