"""Compressed transfer syntaxes, each proven by decoding a small image.

What the libraries can write is written here and read back; JPEG frames, which they can only read, were made with
DCMTK's dcmcjpeg from the same images.
"""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.doctor.check import Diagnosis, Readiness, looked_at, ok

# Of the frames below, and of what is encoded here: JPEG 2000 wants some more.
_SIDE_OF_FRAMES, _SIDE = 8, 64
_REINSTALL = "Series in this transfer syntax cannot be read: pip install --force-reinstall {}."


@dataclass(frozen=True)
class _Codec:
    """A transfer syntax.

    Parameters
    ----------
    keyword : str
        Name in `pydicom.uid`.
    library : str
        What decodes it.
    bits : int
        Bits Stored of the test image.
    error : int
        By how much a pixel may differ: 0 for what is lossless.
    frame : str
        A frame, base64; empty where pydicom can encode one.
    options : tuple of (str, value)
        For the encoder.
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


def codecs() -> list[Diagnosis]:
    """Return a line a transfer syntax."""
    return [looked_at(_name(codec), lambda c=codec: _decoded(c), _REINSTALL.format(codec.library)) for codec in _CODECS]  # type: ignore[misc]


def _name(codec: _Codec) -> str:
    return f"decodes {codec.keyword}"


def _decoded(codec: _Codec) -> Diagnosis:
    from pydicom import dcmread
    from pydicom.pixels.utils import pixel_array

    expected = _image(codec)
    found = pixel_array(dcmread(_file(codec, expected)), raw=True)
    name = _name(codec)
    worst = int(np.abs(found.astype(np.int64) - expected).max()) if found.shape == expected.shape else None
    if worst is None or worst > codec.error:
        return Diagnosis(name, Readiness.FAIL, "the pixels come out wrong", _REINSTALL.format(codec.library))
    return ok(name, f"{codec.library}, {'exact' if worst == 0 else f'within {worst}'}")


def _image(codec: _Codec) -> NDArray[np.integer[Any]]:
    """Return ramps along both axes."""
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
