"""A series with its instances and the properties that selection uses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from cspine.core.geometry import Grid, make_affine
from cspine.dicom.headers import InstanceHeader, Plane
from cspine.dicom.tolerance import same_orientation

_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True)
class Series:
    """A series; a property that differs between instances has its most common value.

    Parameters
    ----------
    patient_key : str
        Hash that identifies the patient.
    study_uid, series_uid : str
        Study and Series Instance UID.
    instances : tuple of InstanceHeader
        Sorted by SOP Instance UID.
    damaged : int
        Number of damaged instances, which are not among ``instances``.
    """

    patient_key: str
    study_uid: str
    series_uid: str
    instances: tuple[InstanceHeader, ...]
    damaged: int = 0

    @cached_property
    def planes(self) -> tuple[Plane, ...]:
        """All slices, not in spatial order."""
        return tuple(plane for instance in self.instances for plane in instance.planes)

    @property
    def modality(self) -> str:
        """(0008,0060) *Modality*."""
        return _most_common(i.modality for i in self.instances)

    @property
    def image_type(self) -> tuple[str, ...]:
        """(0008,0008) *Image Type*."""
        return _most_common(i.image_type for i in self.instances)

    @property
    def description(self) -> str:
        """(0008,103E) *Series Description*."""
        return _most_common(i.description for i in self.instances)

    @property
    def body_part(self) -> str:
        """(0018,0015) *Body Part Examined*."""
        return _most_common(i.body_part for i in self.instances)

    @property
    def kernel(self) -> str:
        """(0018,1210) *Convolution Kernel*."""
        return _most_common(i.kernel for i in self.instances)

    @property
    def contrast(self) -> bool:
        """Whether a contrast agent is stated."""
        return _most_common(i.contrast for i in self.instances)

    @property
    def series_number(self) -> int | None:
        """(0020,0011) *Series Number*."""
        return _most_common(i.series_number for i in self.instances)

    @property
    def date_time(self) -> str:
        """Date and time of the series in DICOM format, as far as they are present."""
        return max(i.date_time for i in self.instances)

    @property
    def patient_age_years(self) -> float | None:
        """Age of the patient when scanned."""
        return _most_common(i.patient_age_years for i in self.instances)

    @property
    def slices(self) -> int:
        """Number of slices."""
        return len(self.planes)

    @cached_property
    def cosines(self) -> tuple[float, ...] | None:
        """(0020,0037) *Image Orientation (Patient)* of most slices."""
        return _most_common(p.cosines for p in self.planes) if self.planes else None

    @property
    def orientation(self) -> str:
        """``axial``, ``coronal`` or ``sagittal``, whichever is nearest; empty if unknown."""
        if self.cosines is None:
            return ""
        normal = np.abs(np.cross(self.cosines[:3], self.cosines[3:]))
        return ("sagittal", "coronal", "axial")[int(np.argmax(normal))]

    @cached_property
    def step_mm(self) -> float | None:
        """Median distance between adjacent slices; None for fewer than two positions."""
        positions = self._positions_mm()
        return float(np.median(np.diff(positions))) if len(positions) > 1 else None

    @property
    def slice_thickness_mm(self) -> float | None:
        """(0018,0050) *Slice Thickness*; None if it is missing or not positive."""
        stated = _most_common(i.slice_thickness_mm for i in self.instances)
        return stated if stated is not None and stated > 0 else None

    @property
    def resolution_mm(self) -> float | None:
        """Resolution along the stack: the larger of slice thickness and distance between slices."""
        known = [value for value in (self.slice_thickness_mm, self.step_mm) if value is not None]
        return max(known) if known else None

    @cached_property
    def coverage_mm(self) -> float:
        """Extent along the normal, including half a slice at either end."""
        positions = self._positions_mm()
        return float(positions[-1] - positions[0]) + (self.step_mm or 0.0) if len(positions) else 0.0

    @cached_property
    def grid(self) -> Grid | None:
        """The grid that the slices form if they are evenly spaced; None if headers lack position or size."""
        first = next((p for p in self.planes if p.position_lps is not None and p.spacing_yx is not None), None)
        if first is None or first.position_lps is None or first.spacing_yx is None or self.cosines is None:
            return None
        rows, columns = np.array(self.cosines[:3]), np.array(self.cosines[3:])
        axes = np.stack([rows, columns, np.cross(rows, columns)], axis=1)
        spacing = (first.spacing_yx[1], first.spacing_yx[0], self.step_mm or self.slice_thickness_mm or 1.0)
        shape = (self.slices, first.rows, first.columns)
        if min(*spacing, *shape) <= 0 or not np.isfinite(axes).all():
            return None
        return Grid(shape, make_affine(axes, spacing, np.array(first.position_lps)))

    def _positions_mm(self) -> list[float]:
        if self.cosines is None:
            return []
        normal = np.cross(self.cosines[:3], self.cosines[3:])
        points = [
            p.position_lps
            for p in self.planes
            if p.position_lps is not None and p.cosines is not None and same_orientation(p.cosines, self.cosines)
        ]
        return sorted({round(float(np.dot(position, normal)), 3) for position in points})


def _most_common(values: Iterator[_Value]) -> _Value:
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)))
