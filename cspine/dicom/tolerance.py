"""How far geometry in headers may deviate from a regular grid: what is accepted here is read and written alike."""

from __future__ import annotations

from collections.abc import Sequence

#: Slices whose direction cosines differ by more have different orientations.
ORIENTATION_TOLERANCE = 1e-3
#: Deviation of the cosines from orthonormal vectors: rounding up to the first, damage beyond the second.
COSINE_ROUNDING = 1e-4
COSINE_TOLERANCE = 5e-3
#: Relative difference of pixel spacing that counts as rounding.
PIXEL_SPACING_TOLERANCE = 1e-3
#: Distances between slices may differ by the larger of these: millimetres, and a share of the distance.
STEP_ROUNDING_MM = 0.02
STEP_TOLERANCE = 0.02
#: In-plane shift that counts as rounding: of a slice against the line, and of the last slice against the first.
SHIFT_TOLERANCE_MM = 0.1
#: Some systems store positions to a tenth of a millimetre; no coarser rounding is repaired.
COARSE_ROUNDING_MM = 0.1


def same_orientation(cosines: Sequence[float], others: Sequence[float]) -> bool:
    """Return whether two slices have one orientation.

    Parameters
    ----------
    cosines, others : sequence of 6 float
        (0020,0037) *Image Orientation (Patient)*.
    """
    return max(abs(a - b) for a, b in zip(cosines, others, strict=True)) <= ORIENTATION_TOLERANCE
