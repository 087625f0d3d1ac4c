"""Errors of geometry (CS-GEO): what is not a regular stack of slices."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class GeometryError(CSpineError):
    """The slices do not form a reliable volume."""

    code = "CS-GEO-001"
    exit_code = 5
    subject = Subject.IMAGES
    advice = "Send the series as the scanner reconstructed it; reformatted or edited series often lack slices."


class MissingSliceError(GeometryError):
    """Slices are missing from the series."""

    code = "CS-GEO-002"
    advice = "Send the complete series again, or use `repair_gaps` to process its longest regular part."


class DuplicatePositionError(GeometryError):
    """Several slices have the same position."""

    code = "CS-GEO-003"
    advice = "Send each reconstruction as a separate series; duplicates are often the result of a double export."


class MixedAcquisitionsError(GeometryError):
    """The series mixes two acquisitions or phases."""

    code = "CS-GEO-004"
    advice = "Split the series by acquisition or phase, and send one of them."


class ScoutAmongSlicesError(GeometryError):
    """The series contains a localizer or slices of another orientation."""

    code = "CS-GEO-005"
    advice = "Remove the localizer from the series."


class SingleSliceError(GeometryError):
    """The series has too few slices for a volume."""

    code = "CS-GEO-006"
    advice = "Choose a series with at least three slices."


class MixedMatrixError(GeometryError):
    """The matrix size or the pixel spacing changes within the series."""

    code = "CS-GEO-007"
    advice = "Send each reconstruction as a separate series."


class NonOrthonormalError(GeometryError):
    """Image Orientation (Patient) is not a pair of perpendicular unit vectors."""

    code = "CS-GEO-008"
    advice = "The header is damaged. Export the series again."


class VariableSpacingError(GeometryError):
    """The slice spacing changes within the series."""

    code = "CS-GEO-009"
    advice = "Reconstruct with one increment, or use `repair_gaps` to process the longest regular part."


class ExcessiveTiltError(GeometryError):
    """The stack is sheared more than a tilted gantry can explain."""

    code = "CS-GEO-010"
    advice = "Reconstruct the series without gantry tilt."


class UnsupportedOrientationError(GeometryError):
    """The requested array orientation does not exist."""

    code = "CS-GEO-011"
    advice = "Pass three letters, one of each pair L/R, P/A and S/I, for example LPS."


class ImpossibleGeometryError(GeometryError):
    """A spacing, a position or an extent is not that of a CT of a patient."""

    code = "CS-GEO-012"
    advice = "The header is damaged, or in other units than millimetres. Export the series again."
