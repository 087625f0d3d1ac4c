"""Changes of a vertebra since an earlier result: volume, heights and density, each with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import hypot
from typing import TYPE_CHECKING

from cspine.measurements.quantities import HU, Quantity

if TYPE_CHECKING:
    from cspine.measurements.spine import SpineMeasurements

#: Quantities whose change is reported.
CHANGING = (
    "volume_ml",
    "mean_hu",
    "trabecular_hu",
    "body_height_anterior_mm",
    "body_height_middle_mm",
    "body_height_posterior_mm",
)
#: A change counts as one from this many of its uncertainties on.
COVERAGE = 2.0
#: Fewer values may agree by chance.
_MIN_COMMON = 5


@dataclass(frozen=True)
class EarlierValues:
    """The measurements of an earlier result.

    Parameters
    ----------
    result : str
        Identifies the earlier result: the SOP Instance UID of its report.
    date : str
        Date of its study, YYYYMMDD; empty if unknown.
    images : frozenset of str
        SOP Instance UIDs of the images that it is based on.
    values : mapping of (str, str) to (float, float or None)
        Value and uncertainty by site and name of the quantity.
    tracking : mapping of str to str
        Tracking UID by site.
    acquisition : str
        Tube voltage, kernel and contrast medium of its image, as one text; empty if unknown.
    file : str
        File that it was read from; empty if unknown.
    """

    result: str
    date: str
    images: frozenset[str]
    values: Mapping[tuple[str, str], tuple[float, float | None]]
    tracking: Mapping[str, str]
    acquisition: str = ""
    file: str = field(default="", compare=False)


@dataclass(frozen=True)
class Change:
    """The change of a quantity at a level since an earlier result.

    Parameters
    ----------
    site : str
        Level.
    quantity : Quantity
        What changed.
    before, now : float
        Both values.
    uncertainty : float or None
        Standard uncertainty of the difference; None if that of a value is unknown.
    before_date : str
        Date of the earlier study, YYYYMMDD; empty if unknown.
    """

    site: str
    quantity: Quantity
    before: float
    now: float
    uncertainty: float | None
    before_date: str

    @property
    def difference(self) -> float:
        """Value now minus value before, rounded to the digits of the quantity."""
        return round(self.now - self.before, self.quantity.digits)

    @property
    def exceeds_uncertainty(self) -> bool:
        """Whether the difference is at least twice its uncertainty."""
        return self.uncertainty is not None and abs(self.difference) >= COVERAGE * self.uncertainty


def changes_since(
    now: SpineMeasurements, earlier: EarlierValues, images: frozenset[str], acquisition: str = ""
) -> tuple[Change, ...]:
    """Return the changes of every level that both results have; none if they are based on images in common.

    Another result of the same images is a repetition: what differs has not changed in the patient. Images without UIDs
    are the same where every value is. Densities of images with other, or unknown, acquisitions are not compared.

    Parameters
    ----------
    now : SpineMeasurements
        The new measurements.
    earlier : EarlierValues
        The earlier ones.
    images : frozenset of str
        SOP Instance UIDs of the images of the new ones.
    acquisition : str
        That of these images, as of `EarlierValues`.
    """
    if images & earlier.images or _is_repetition(now, earlier):
        return ()
    has_densities = bool(acquisition) and acquisition == earlier.acquisition
    found = []
    for each in now.values:
        before = earlier.values.get((each.site, each.quantity.name))
        is_comparable = has_densities or each.quantity.unit != HU
        if each.quantity.name in CHANGING and is_comparable and before is not None:
            value, doubt = before
            both = None if doubt is None or each.uncertainty is None else hypot(doubt, each.uncertainty)
            uncertainty = None if both is None else round(both, each.quantity.digits)
            found.append(Change(each.site, each.quantity, value, each.value, uncertainty, earlier.date))
    return tuple(found)


def _is_repetition(now: SpineMeasurements, earlier: EarlierValues) -> bool:
    """Return whether all values are those of the earlier result, but for rounding: two exams never agree so far."""
    both = [(each, earlier.values.get((each.site, each.quantity.name))) for each in now.values]
    same = [
        abs(each.value - before[0]) < 1.5 * 10**-each.quantity.digits for each, before in both if before is not None
    ]
    return len(same) >= _MIN_COMMON and all(same)
