"""Arrays as text that a page carries: zlib (RFC 1950) in base64, which a browser's DecompressionStream reads."""

from __future__ import annotations

import base64
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEVEL = 6


def pack(array: NDArray[Any]) -> str:
    """Return the bytes of an array, little endian and compressed, as text.

    Parameters
    ----------
    array : ndarray
        Values of any dtype and shape, which the reader must know.
    """
    stored = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))
    return base64.b64encode(zlib.compress(stored.tobytes(), _LEVEL)).decode("ascii")


def pack_planes(planes_nyx: NDArray[np.uint8]) -> str:
    """Return planes as text, each byte stored as its difference from the one before in its row, modulo 256.

    Parameters
    ----------
    planes_nyx : ndarray of uint8, shape (planes, y, x)
        The planes.
    """
    differences = planes_nyx.copy()
    differences[..., 1:] -= planes_nyx[..., :-1]
    return pack(differences)
