"""Compressed transfer syntaxes are tested by decoding."""

from __future__ import annotations

import numpy as np
import pytest

from cspine.doctor.codecs import codecs
from cspine.doctor.diagnostic import Status


def test_every_transfer_syntax_is_decoded() -> None:
    lines = codecs()
    assert {line.name.removeprefix("codec ") for line in lines} == {
        "DeflatedExplicitVRLittleEndian", "RLELossless", "JPEGBaseline8Bit", "JPEGExtended12Bit", "JPEGLossless",
        "JPEGLosslessSV1", "JPEGLSLossless", "JPEGLSNearLossless", "JPEG2000Lossless", "JPEG2000",
    }  # fmt: skip
    assert [line for line in lines if line.status is not Status.OK] == []
    exact = {line.name.removeprefix("codec ") for line in lines if "exact" in line.text}
    assert {"JPEGLossless", "JPEGLosslessSV1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"} <= exact


def test_a_codec_that_raises_or_gives_other_pixels_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_plugin(*_: object, **__: object) -> None:
        raise RuntimeError("Unable to decode")

    monkeypatch.setattr("pydicom.pixels.utils.pixel_array", no_plugin)
    assert all(line.status is Status.FAIL and "pip install" in line.advice for line in codecs())
    monkeypatch.setattr("pydicom.pixels.utils.pixel_array", lambda *_, **__: np.zeros((64, 64), np.uint16))
    assert all(line.status is Status.FAIL for line in codecs())
