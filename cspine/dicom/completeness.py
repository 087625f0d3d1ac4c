"""Find signs in the headers that instances are missing although the slices form a regular stack.

A gap within the stack is found by `slices.arrange`; slices missing at an end are not. Few attributes state how many
instances there should be, and scanners fill them in many ways: a rule reports only what nothing else explains.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cspine.dicom.headers import InstanceHeader
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series
from cspine.io.tables import counted

#: Up to this many instance numbers before the first slice may belong to localizers.
LOCALIZERS_BEFORE = 3


@dataclass(frozen=True)
class MissingInstances:
    """The signs of missing instances, as sentences without patient data.

    Parameters
    ----------
    stated : tuple of str
        Signs that an attribute states, or a damaged file proves.
    hinted : tuple of str
        Signs that only the numbering suggests.
    """

    stated: tuple[str, ...] = ()
    hinted: tuple[str, ...] = ()


def find_missing_instances(study: Scan, series: Series) -> MissingInstances:
    """Return the signs that a series is incomplete.

    Parameters
    ----------
    study : Scan
        The study; its other series may explain a number.
    series : Series
        The series that is processed.

    Returns
    -------
    MissingInstances
    """
    others = tuple(other for other in study.series if other is not series)
    stated = (_damaged(series), _series_count(series), _concatenation(series), _acquisition_count(series, others))
    hinted = (_first_number(series, others),)
    return MissingInstances(tuple(s for s in stated if s), tuple(s for s in hinted if s))


def _damaged(series: Series) -> str:
    return f"{counted(series.damaged, 'damaged file')} of the series had to be excluded" if series.damaged else ""


def _series_count(series: Series) -> str:
    """Check (0020,1209) *Number of Series Related Instances*, a query attribute that some archives store."""
    stated = _one_value(i.series_instances for i in series.instances)
    return _fewer(series, "(0020,1209) Number of Series Related Instances", stated, "are here")


def _concatenation(series: Series) -> str:
    """Check (0020,9163) *In-concatenation Total Number* of an Enhanced CT that was split into several instances."""
    stated = _one_value(i.concatenation_parts for i in series.instances)
    return _fewer(series, "(0020,9163) In-concatenation Total Number", stated, "parts are here")


def _fewer(series: Series, attribute: str, stated: int | None, here: str) -> str:
    """Say that an attribute states more instances than there are; nothing where it does not."""
    there = len(series.instances) + series.damaged
    return f"{attribute} is {stated}, {there} {here}" if stated is not None and stated > there else ""


def _acquisition_count(series: Series, others: tuple[Series, ...]) -> str:
    """Check (0020,1002) *Images in Acquisition*, which may count all reconstructions of an acquisition."""
    stated = _one_value(i.images_in_acquisition for i in series.instances)
    acquisitions = {_acquisition(i) for i in series.instances}
    if stated is None or len(acquisitions) != 1 or not all(_is_original_slice(i) for i in series.instances):
        return ""
    there = len(series.instances) + series.damaged
    elsewhere = sum(
        i.is_ct and i.images_in_acquisition == stated and _acquisition(i) in acquisitions
        for other in others
        for i in other.instances
    )
    if stated <= there + elsewhere:
        return ""
    return f"(0020,1002) Images in Acquisition is {stated}, but there are {there}"


def _first_number(series: Series, others: tuple[Series, ...]) -> str:
    """Check whether (0020,0013) *Instance Number* follows the stack without a gap, but starts late.

    Gaps mean nothing, because the positions are regular. Numbers in another order are not a count.
    """
    if series.cosines is None or not all(_is_original_slice(i) for i in series.instances):
        return ""
    normal = np.cross(series.cosines[:3], series.cosines[3:])
    placed = [
        (float(np.dot(i.planes[0].position_lps, normal)), i.instance_number)
        for i in series.instances
        if i.planes[0].position_lps is not None and i.instance_number is not None
    ]
    numbers = [number for _, number in sorted(placed)]
    steps = {after - before for before, after in pairwise(numbers)}
    if len(numbers) != len(series.instances) or steps not in ({1}, {-1}):
        return ""
    first = min(numbers)
    # Some scanners number consecutively from series to series.
    before = any(i.is_ct and i.instance_number == first - 1 for other in others for i in other.instances)
    if first <= LOCALIZERS_BEFORE + 1 or before:
        return ""
    return f"(0020,0013) Instance Number starts at {first}"


def _one_value(values: Iterator[int | None]) -> int | None:
    """Return the value that all instances have, or None if they do not agree."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _acquisition(instance: InstanceHeader) -> str:
    return dict(instance.planes[0].marks).get("AcquisitionNumber", "") if instance.planes else ""


def _is_original_slice(instance: InstanceHeader) -> bool:
    """Return whether an instance is an original slice: frames, reformats and captures copy their attributes."""
    single = len(instance.planes) == 1 and instance.planes[0].source.frame is None
    return instance.is_ct and single and instance.image_type[:2] == ("ORIGINAL", "PRIMARY")
