"""How a DICOM Segmentation stores its labels: apart from the writer, so that settings need no DICOM library."""

from __future__ import annotations

from enum import StrEnum

from cspine.core.errors import UsageError


class SegType(StrEnum):
    """How labels are stored."""

    BINARY = "binary"
    LABELMAP = "labelmap"


#: Values of ``--seg-type``.
SEG_TYPES: tuple[str, ...] = tuple(kind.value for kind in SegType)


def as_seg_type(name: str | SegType) -> SegType:
    """Return a type by its name; UsageError for an unknown one."""
    try:
        return SegType(name)
    except ValueError as error:
        raise UsageError(f"unknown SEG type {name!r}", advice=f"Give {' or '.join(SEG_TYPES)}.") from error
