"""The parts of a WADO-RS response."""

from __future__ import annotations

import pytest

from cspine.service.network.multipart import MultipartError, dicom_parts

_KIND = 'multipart/related; type="application/dicom"; boundary="x y"'


def test_parts_are_returned_as_they_were_sent() -> None:
    first = b"--x y\r\nContent-Type: application/dicom\r\n\r\n\r\nfirst\r\n\r\n\r\n"
    body = b"preamble\r\n" + first + b"--x y\r\n\r\nsecond\r\n--x y--\r\n"
    assert dicom_parts(_KIND, body) == [b"\r\nfirst\r\n\r\n", b"second"]


@pytest.mark.parametrize("kind", ["application/dicom", "multipart/related", ""])
def test_a_body_without_parts_is_one_file(kind: str) -> None:
    assert dicom_parts(kind, b"file") == [b"file"]


@pytest.mark.parametrize("body", [b"", b"--x y\r\n\r\nfile", b"--x y\r\nfile\r\n--x y--"])
def test_an_incomplete_body_is_an_error(body: bytes) -> None:
    with pytest.raises(MultipartError):
        dicom_parts(_KIND, body)
