"""What headers say about instances that are not there, though the slices that are make a regular stack.

A hole in the stack is seen by `slices.arrange`; what lacks at an end is not. Few attributes tell how many instances
there should be, and scanners fill them in many ways: a rule speaks only where nothing else explains what it saw.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from cspine.dicom.headers import InstanceHeader
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series

#: A series may begin at the number after as many localizers.
LOCALIZERS_BEFORE = 3


@dataclass(frozen=True)
class MissingInstances:
    """What speaks for absent instances, in sentences without patient data.

    Parameters
    ----------
    stated : tuple of str
        An attribute, or a damaged file, tells of more instances than were used.
    hinted : tuple of str
        Only the numbering looks as if instances came before.
    """

    stated: tuple[str, ...] = ()
    hinted: tuple[str, ...] = ()


def find_missing_instances(study: Scan, series: Series) -> MissingInstances:
    """Look for signs that a series is not whole.

    Parameters
    ----------
    study : Scan
        The study; its other series may explain a number.
    series : Series
        The series that is worked on.

    Returns
    -------
    MissingInstances
    """
    others = tuple(other for other in study.series if other is not series)
    stated = (_damaged(series), _series_count(series), _concatenation(series), _acquisition_count(series, others))
    hinted = (_first_number(series, others),)
    return MissingInstances(tuple(s for s in stated if s), tuple(s for s in hinted if s))


def _damaged(series: Series) -> str:
    return f"{series.damaged} damaged files of the series were left out" if series.damaged else ""


def _series_count(series: Series) -> str:
    """(0020,1209) *Number of Series Related Instances*: an answer to queries, which some archives store."""
    stated = _one_value(i.series_instances for i in series.instances)
    return _fewer(series, "(0020,1209) Number of Series Related Instances", stated, "are here")


def _concatenation(series: Series) -> str:
    """(0020,9163) *In-concatenation Total Number*: an Enhanced CT that was cut into several instances."""
    stated = _one_value(i.concatenation_parts for i in series.instances)
    return _fewer(series, "(0020,9163) In-concatenation Total Number", stated, "parts are here")


def _fewer(series: Series, attribute: str, stated: int | None, here: str) -> str:
    """Say that an attribute states more instances than there are; nothing where it does not."""
    there = len(series.instances) + series.damaged
    return f"{attribute} is {stated}, {there} {here}" if stated is not None and stated > there else ""


def _acquisition_count(series: Series, others: tuple[Series, ...]) -> str:
    """(0020,1002) *Images in Acquisition*, which may count the images of all reconstructions of an acquisition."""
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
    return f"(0020,1002) Images in Acquisition is {stated}, {there} are here"


def _first_number(series: Series, others: tuple[Series, ...]) -> str:
    """(0020,0013) *Instance Number* runs along the stack without a gap, but begins late.

    Gaps say nothing: the positions are regular. Numbers in another order are no count.
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
    # Numbering that runs on from series to series.
    before = any(i.is_ct and i.instance_number == first - 1 for other in others for i in other.instances)
    if first <= LOCALIZERS_BEFORE + 1 or before:
        return ""
    return f"(0020,0013) Instance Number begins at {first}"


def _one_value(values: Iterator[int | None]) -> int | None:
    """Return the value that all instances state; None where one states none, or another."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _acquisition(instance: InstanceHeader) -> str:
    return dict(instance.planes[0].marks).get("AcquisitionNumber", "") if instance.planes else ""


def _is_original_slice(instance: InstanceHeader) -> bool:
    """Tell a slice as the scanner reconstructed it from frames, reformats and captures, which copy attributes."""
    single = len(instance.planes) == 1 and instance.planes[0].source.frame is None
    return instance.is_ct and single and instance.image_type[:2] == ("ORIGINAL", "PRIMARY")
