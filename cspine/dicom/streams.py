"""Whether pixels are complete: decoders return an image for a stream of another length, without a word."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from cspine.core.errors import PixelError, hashed

#: Transfer syntaxes whose streams end with a marker: EOI of JPEG and JPEG-LS, EOC of JPEG 2000, both FFD9.
_MARKED = frozenset(
    {
        JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLossless, JPEGLosslessSV1, JPEGLSLossless, JPEGLSNearLossless,
        JPEG2000Lossless, JPEG2000, HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K,
    }
)  # fmt: skip
_END = b"\xff\xd9"


def require_complete(dataset: Dataset, frame: int) -> None:
    """Refuse a compressed frame whose stream has no end, and native pixels of more rows or columns than are stated.

    Parameters
    ----------
    dataset : Dataset
        The instance with its pixels.
    frame : int
        Index of the frame from 0.

    Raises
    ------
    PixelError
        If the stream was cut short, or there are too many pixels.
    """
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        _require_length(dataset)
        return
    if dataset.file_meta.TransferSyntaxUID not in _MARKED:
        return
    frames = int(dataset.get("NumberOfFrames") or 1)
    stream = get_frame(dataset.PixelData, frame, number_of_frames=frames)
    # An odd stream is padded with one byte; some writers pad further.
    if not stream.rstrip(b"\x00").endswith(_END):
        raise PixelError(f"the compressed pixels of instance {hashed(str(dataset.SOPInstanceUID))} are incomplete")


def exceeds(length: int, rows: int, columns: int, frames: int, bits: int) -> bool:
    """Return whether native pixels are at least a row or a column longer than their images: padding is shorter.

    Parameters
    ----------
    length : int
        Bytes of (7FE0,0010) *Pixel Data*.
    rows, columns, frames : int
        (0028,0010), (0028,0011), and the number of frames.
    bits : int
        Bits of a pixel, all samples together.
    """
    return length - frames * rows * columns * bits // 8 >= min(rows, columns) * bits // 8


def _require_length(dataset: Dataset) -> None:
    frames, samples = int(dataset.get("NumberOfFrames") or 1), int(dataset.get("SamplesPerPixel") or 1)
    bits = int(dataset.BitsAllocated) * samples
    if exceeds(len(dataset.PixelData), int(dataset.Rows), int(dataset.Columns), frames, bits):
        raise PixelError(f"instance {hashed(str(dataset.SOPInstanceUID))} has more pixels than Rows and Columns state")
