"""How a DICOM Segmentation stores its labels: apart from the writer, so that settings need no DICOM library."""

from __future__ import annotations

from enum import StrEnum

from cspine.core.errors import UsageError


class SegType(StrEnum):
    """How labels are stored."""

    BINARY = "binary"
    LABELMAP = "labelmap"


def as_seg_type(name: str | SegType) -> SegType:
    """Return a type by its name; UsageError for an unknown one."""
    try:
        return SegType(name)
    except ValueError as error:
        kinds = " or ".join(kind.value for kind in SegType)
        raise UsageError(f"unknown SEG type {name!r}", advice=f"Give {kinds}.") from error
