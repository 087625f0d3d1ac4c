"""Arrays as text: what a script reads back is what was packed."""

from __future__ import annotations

import base64
import zlib

import numpy as np

from cspine.report.page.packing import pack, pack_planes


def unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def test_numbers_are_little_endian() -> None:
    array = np.array([[1, -2], [300, 4]], dtype=">i2")
    assert np.array_equal(np.frombuffer(unpacked(pack(array)), "<i2").reshape(2, 2), array)


def test_rows_of_planes_are_differences_modulo_256() -> None:
    planes = np.random.default_rng(1).integers(0, 256, (3, 4, 5), dtype=np.uint8)
    before = planes.copy()
    stored = np.frombuffer(unpacked(pack_planes(planes)), np.uint8).reshape(planes.shape)
    assert np.array_equal(np.cumsum(stored, axis=2, dtype=np.uint8), planes)
    assert np.array_equal(planes, before)
