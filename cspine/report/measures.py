"""The measurements of a summary as rows for people: each quantity over its levels, beside the range of adults.

Every number of the rows of vertebrae in a summary becomes a quantity, also one that is added to the summary later.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from cspine.core.anatomy import vertebra
from cspine.core.norms import MAX_BONE_HU, MIN_BONE_HU, plausible_ml
from cspine.report.summary import Summary, VertebraSummary

Range = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A quantity at one level.

    Parameters
    ----------
    level : str
        The level.
    value : float
        The value.
    limits : tuple of float or None
        The range of adults; None where there is none, or where the vertebra is truncated.
    is_truncated : bool
        True if the vertebra is truncated by the edge of the scan.
    """

    level: str
    value: float
    limits: Range | None
    is_truncated: bool

    @property
    def is_outside(self) -> bool:
        """True if the value is outside the range."""
        return self.limits is not None and not self.limits[0] <= self.value <= self.limits[1]


@dataclass(frozen=True)
class Measure:
    """A quantity over all levels.

    Parameters
    ----------
    name, title, unit : str
        Name in the summary, name for people, unit.
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
    digits: int
    source: str
    values: tuple[Value, ...]


@dataclass(frozen=True)
class _Described:
    title: str
    source: str = ""
    limits: Callable[[str], Range] | None = None


_VOLUMES = "Wide limits for adults of all sizes, as the finding CS-FND-004 judges them."
_DENSITY = "Wide limits for a whole vertebra, as the findings CS-FND-013 and CS-FND-031 judge them."
_EXTENT_MM = ("right to left", "front to back", "foot to head")
_KNOWN: Mapping[str, _Described] = {
    "volume_ml": _Described("Volume", _VOLUMES, lambda level: plausible_ml(vertebra(level))),
    "mean_hu": _Described("Mean density", _DENSITY, lambda _: (MIN_BONE_HU, MAX_BONE_HU)),
    "std_hu": _Described("Standard deviation of the density"),
    **{f"extent_mm[{i}]": _Described(f"Extent from {words}") for i, words in enumerate(_EXTENT_MM)},
}
#: Unit and decimal digits by the ending of a name.
_UNITS = {"ml": ("ml", 1), "hu": ("HU", 0), "mm": ("mm", 1), "mm2": ("mm²", 0), "deg": ("°", 1)}
#: Numbers that are no quantities.
_LEFT_OUT = ("label", "segment", "centroid_lps_mm")


def measures_of(summary: Summary) -> tuple[Measure, ...]:
    """Return every quantity of the vertebrae of a summary, in the order of the summary."""
    rows: dict[str, list[Value]] = {}
    for row in summary.vertebrae:
        for name, value in _numbers(row):
            rows.setdefault(name, []).append(_value(name, value, row))
    return tuple(_measure(name, tuple(values)) for name, values in rows.items())


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


def _value(name: str, value: float, row: VertebraSummary) -> Value:
    limits = _KNOWN[name].limits if name in _KNOWN else None
    compared = limits is not None and not row.touches_edge
    return Value(row.level, value, limits(row.level) if limits and compared else None, row.touches_edge)


def _measure(name: str, values: tuple[Value, ...]) -> Measure:
    ending = re.sub(r"\[\d+\]$", "", name).rpartition("_")[2]
    unit, digits = _UNITS.get(ending, ("", 2))
    known = _KNOWN.get(name) or _Described(name.removesuffix(f"_{ending}").replace("_", " ").capitalize())
    source = known.source if any(value.limits for value in values) else ""
    return Measure(name, known.title, unit, digits, source, values)
