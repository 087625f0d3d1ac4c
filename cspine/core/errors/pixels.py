"""Errors of pixel data (CS-PIX)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class PixelError(CSpineError):
    """The pixel data cannot be decoded."""

    code = "CS-PIX-001"
    exit_code = 6
    subject = Subject.IMAGES
    advice = "Check that the files are complete, or send the series uncompressed."


class PhotometricError(PixelError):
    """The pixels are not Hounsfield units in MONOCHROME2."""

    code = "CS-PIX-002"
    advice = "Send the original CT images; this is a derived image or a screen capture."


class RescaleError(PixelError):
    """The pixel values cannot be converted to Hounsfield units."""

    code = "CS-PIX-003"
    advice = "Send the original CT images, with their Rescale Slope and Rescale Intercept."


class NotHounsfieldError(PixelError):
    """The values are not Hounsfield units."""

    code = "CS-PIX-004"
    advice = "Send the original CT images in Hounsfield units: water at 0, air at -1000."


class UnsupportedImageError(PixelError):
    """The images are of a kind or in an encoding that cspine does not read."""

    code = "CS-PIX-005"
    advice = "Send the series as CT images with integer pixels, uncompressed or in a codec that `cspine doctor` lists."
