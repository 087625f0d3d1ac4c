"""Compressed transfer syntaxes, each tested by decoding a small image.

Images that the libraries can encode are encoded and decoded; the JPEG frames, which they can only decode, were made
with dcmcjpeg of DCMTK from the same images.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.doctor.diagnostic import Diagnostic, Status, ok, run_check

# Rows and columns of the stored frames, and of images that are encoded here: JPEG 2000 needs larger ones.
_SIDE_OF_FRAMES, _SIDE = 8, 64
_REINSTALL = "Series with this transfer syntax cannot be read. Run: pip install --force-reinstall {}."


@dataclass(frozen=True)
class _Codec:
    """A transfer syntax and its test image.

    Parameters
    ----------
    keyword : str
        Name in `pydicom.uid`.
    library : str
        Library that decodes it.
    bits : int
        Bits Stored of the test image.
    error : int
        Maximum difference of a pixel; 0 if lossless.
    frame : str
        Encoded frame, base64; empty if pydicom can encode the image.
    options : tuple of (str, value)
        Options of the encoder.
    """

    keyword: str
    library: str
    bits: int = 16
    error: int = 0
    frame: str = ""
    options: tuple[tuple[str, Any], ...] = ()


_CODECS = (
    _Codec("DeflatedExplicitVRLittleEndian", "pydicom"),
    _Codec("RLELossless", "pydicom"),
    _Codec(
        "JPEGBaseline8Bit", "pylibjpeg-libjpeg", bits=8, error=2,
        frame="/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
        "FRUVDA8XGBYUGBIUFRT/wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAB//EABoQAAAHAAAAAAAAAAAAAAAAAAAHCCQz"
        "QlH/2gAIAQEAAD8ACi2TbE1yo///2Q==",
    ),
    _Codec(
        "JPEGExtended12Bit", "pylibjpeg-libjpeg", bits=12, error=4,
        frame="/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMU"
        "FRUVDA8XGBYUGBIUFRT/wQALDAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAADP/EABsQAAAHAQAAAAAAAAAAAAAAAAAJDCg1"
        "RVLi/9oACAEBAAA/AClRbabji2uZouB//9k=",
    ),
    _Codec(
        "JPEGLossless", "pylibjpeg-libjpeg",
        frame="/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAIAAgBAREA/8QAFwABAQEBAAAAAAAAAAAAAAAACAYJEP/aAAgBAQAGAADqCgoKCgoK"
        "DQBAIBAIBAIBAaAIBAIBAIBAIDQBAIBAIBAIBAaAIBAIBAIBAIDQBAIBAIBAIBAaAIBAIBAIBAIDQBAIBAIBAIBAf//Z",
    ),
    _Codec(
        "JPEGLosslessSV1", "pylibjpeg-libjpeg",
        frame="/9j/4AAQSkZJRgABAQAAAQABAAD/wwALEAAIAAgBAREA/8QAFgABAQEAAAAAAAAAAAAAAAAABgkQ/9oACAEBAAEAAMgQIECBAgoA"
        "gQIECBAgoAgQIECBAgoAgQIECBAgoAgQIECBAgoAgQIECBAgoAgQIECBAgoAgQIECBAg/9k=",
    ),
    _Codec("JPEGLSLossless", "pyjpegls"),
    _Codec("JPEGLSNearLossless", "pyjpegls", error=2, options=(("jls_error", 2),)),
    _Codec("JPEG2000Lossless", "pylibjpeg-openjpeg"),
    _Codec("JPEG2000", "pylibjpeg-openjpeg", error=4, options=(("j2k_cr", [2]),)),
)  # fmt: skip


def codecs() -> list[Diagnostic]:
    """Return one diagnostic per transfer syntax."""
    return [run_check(_name(codec), lambda c=codec: _decoded(c), _REINSTALL.format(codec.library)) for codec in _CODECS]  # type: ignore[misc]


def _name(codec: _Codec) -> str:
    return f"codec {codec.keyword}"


def _decoded(codec: _Codec) -> Diagnostic:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    expected = _image(codec)
    decoded = pixel_array(dcmread(_file(codec, expected)), raw=True)
    name = _name(codec)
    worst = int(np.abs(decoded.astype(np.int64) - expected).max()) if decoded.shape == expected.shape else None
    if worst is None or worst > codec.error:
        return Diagnostic(name, Status.FAIL, "decoded pixels differ", _REINSTALL.format(codec.library))
    return ok(name, f"{codec.library}, {'exact' if worst == 0 else f'within {worst}'}")


def _image(codec: _Codec) -> NDArray[np.integer[Any]]:
    """Return an image with ramps along both axes."""
    side = _SIDE_OF_FRAMES if codec.frame else _SIDE
    y, x = np.mgrid[:side, :side]
    if codec.bits == 8:
        return np.asarray(y * 16 + x * 8, dtype=np.uint8)
    return np.asarray(y * 256 + x * 32, dtype=np.uint16)


def _file(codec: _Codec, image: NDArray[np.integer[Any]]) -> io.BytesIO:
    from pydicom import DataElement, Dataset, uid
    from pydicom.dataset import FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.SecondaryCaptureImageStorage, uid.UID("2.25.1")
    dataset.Rows, dataset.Columns = image.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = image.itemsize * 8, codec.bits, codec.bits - 1
    dataset["PixelData"] = DataElement("PixelData", "OB" if codec.bits == 8 else "OW", image.tobytes())
    syntax = getattr(uid, codec.keyword)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    if codec.frame:
        dataset["PixelData"] = DataElement("PixelData", "OB", encapsulate([base64.b64decode(codec.frame)]))
        dataset["PixelData"].is_undefined_length = True
        dataset.file_meta.TransferSyntaxUID = syntax
    elif syntax.is_encapsulated:
        options: dict[str, Any] = {"generate_instance_uid": False, **dict(codec.options)}
        dataset.compress(syntax, **options)
    else:
        dataset.file_meta.TransferSyntaxUID = syntax
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return file
