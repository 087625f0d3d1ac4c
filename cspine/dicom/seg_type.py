"""How a DICOM Segmentation stores its labels: apart from the writer, so that settings need no DICOM library."""

from __future__ import annotations

from enum import StrEnum


class SegType(StrEnum):
    """How labels are stored."""

    BINARY = "binary"
    LABELMAP = "labelmap"
