"""Published values of the quantities, by level and sex, with sources; a value outside the range is not a diagnosis.

``published.csv`` holds them. ``read_from`` says whether the table or the abstract of the source was read; quotations by
others are omitted. Populations, postures and definitions differ between sources: the comparison is information.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

_FILE = "published.csv"
#: Distance from the mean, in standard deviations, at which a range ends where the source states none.
RANGE_SD = 2.0
#: Sexes that sources tell apart.
SEXES = ("M", "F")


@dataclass(frozen=True)
class PublishedValue:
    """A published value of a quantity.

    Parameters
    ----------
    quantity : str
        Name of the quantity.
    sites : tuple of str
        Levels, pairs such as ``"C3/C4"``, or ``"column"``.
    sex : str
        ``"M"``, ``"F"``, or empty for both.
    mean, sd, low, high : float or None
        Mean and standard deviation, and the range or limit that the source states.
    n : int
        Number of people or bones.
    method : str
        How it was measured there.
    source : str
        The publication.
    read_from : str
        ``"table"`` or ``"abstract"``.
    """

    quantity: str
    sites: tuple[str, ...]
    sex: str
    mean: float | None
    sd: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    source: str
    read_from: str

    @property
    def range(self) -> tuple[float | None, float | None]:
        """The stated range or, if there is none, 2 standard deviations about the mean."""
        if self.low is None and self.high is None and self.mean is not None and self.sd is not None:
            return self.mean - RANGE_SD * self.sd, self.mean + RANGE_SD * self.sd
        return self.low, self.high

    def z_score(self, value: float) -> float | None:
        """Return how many standard deviations a value lies above the mean; None where the source has no deviation.

        Parameters
        ----------
        value : float
            A measured value in the unit of the quantity.
        """
        return (value - self.mean) / self.sd if self.mean is not None and self.sd else None

    @property
    def citation(self) -> str:
        """Source, number of people, with their sex where the values are of one, and method in one line."""
        people = {"M": " men", "F": " women"}.get(self.sex, "")
        return f"{self.source}; n = {self.n}{people}; {self.method}"


@cache
def published_values() -> tuple[PublishedValue, ...]:
    """Return every published value, in the order of the file."""
    text = (resources.files(__package__) / _FILE).read_text(encoding="utf-8")
    return tuple(_value(row) for row in csv.DictReader(text.splitlines()))


def _value(row: Mapping[str, str]) -> PublishedValue:
    return PublishedValue(
        quantity=row["quantity"],
        sites=tuple(row["sites"].split()),
        sex=row["sex"],
        mean=_number(row["mean"]),
        sd=_number(row["sd"]),
        low=_number(row["low"]),
        high=_number(row["high"]),
        n=int(row["n"]),
        method=row["method"],
        source=row["source"],
        read_from=row["read_from"],
    )


def _number(text: str) -> float | None:
    return float(text) if text else None


def find_published(quantity: str, site: str, sex: str = "") -> PublishedValue | None:
    """Return the published value to compare with: of the same sex if there is one, else of both; None if none fits.

    Parameters
    ----------
    quantity : str
        Name of the quantity.
    site : str
        Level, pair, or ``"column"``.
    sex : str
        ``"M"``, ``"F"``, or anything else if unknown: then only values of both sexes are taken.
    """
    fitting = [each for each in published_values() if each.quantity == quantity and site in each.sites]
    for wanted in (sex, "") if sex in SEXES else ("",):
        for each in fitting:
            if each.sex == wanted:
                return each
    return None


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:g}"


def published_table() -> str:
    """Return the table of docs/reference/measurements.md: one Markdown row for each published value."""
    rows = []
    for v in published_values():
        low, high = v.range
        numbers = (
            _text(v.mean),
            _text(v.sd),
            "" if low is None and high is None else f"{_text(low)}..{_text(high)}",
        )
        rows.append(
            f"| `{v.quantity}` | {' '.join(v.sites)} | {v.sex or 'both'} | {' | '.join(numbers)} | {v.n} | "
            f"{v.method} | {v.source} ({v.read_from}) |"
        )
    head = "| quantity | sites | sex | mean | SD | range | n | method | source (read) |"
    return "\n".join([head, "|---|---|---|---|---|---|---|---|---|", *rows])
