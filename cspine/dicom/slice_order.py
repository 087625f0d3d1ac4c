"""Whether the attributes that count slices agree with their positions.

(0020,0032) *Image Position (Patient)* alone orders the slices. (0020,0013) *Instance Number* may follow another order
for good reasons; only where it agrees with (0020,1041) *Slice Location*, and both contradict the positions, have
attributes been exchanged between slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from cspine.dicom.series import Series


def contradicting_order(series: Series) -> str:
    """Return how positions contradict the two other attributes of order, or an empty string if they do not.

    Parameters
    ----------
    series : Series
        The series that is processed.
    """
    if series.cosines is None:
        return ""
    normal = np.cross(series.cosines[:3], series.cosines[3:])
    rows = [
        (instance.instance_number, plane.slice_location_mm, float(np.dot(plane.position_lps, normal)))
        for instance in series.instances
        for plane in instance.planes
        if instance.instance_number is not None
        and plane.slice_location_mm is not None
        and plane.position_lps is not None
    ]
    if len(rows) != series.slices or len({number for number, _, _ in rows}) != len(rows):
        return ""
    rows.sort()
    locations, positions = [row[1] for row in rows], [row[2] for row in rows]
    if not _is_monotonic(locations) or _is_monotonic(positions):
        return ""
    displaced = int((np.argsort(np.argsort(positions)) != np.arange(len(rows))[:: _direction(positions)]).sum())
    return (
        f"Image Position (Patient) orders {displaced} of {len(rows)} slices differently from Instance Number and Slice "
        "Location, which agree"
    )


def _is_monotonic(values: Sequence[float]) -> bool:
    steps = [after - before for before, after in pairwise(values)]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)


def _direction(values: Sequence[float]) -> int:
    """Return 1 where values mostly rise, -1 where they fall."""
    return 1 if np.median(np.diff(values)) >= 0 else -1
