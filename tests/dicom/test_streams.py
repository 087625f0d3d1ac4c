"""Compressed pixels that were cut short."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from cspine.core.errors import PixelError, UnsupportedImageError
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.series import Series
from tests.builders.ct_series import Stack, build, save_all
from tests.builders.raises import raises_code


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("left", [0.99, 0.9, 0.5])
def test_a_stream_that_was_cut_is_no_image(tmp_path: Path, syntax: str, left: float) -> None:
    paths = save_all(build(Stack(shape_zyx=(4, 32, 32))), tmp_path, syntax)
    dataset = dcmread(paths[1])
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1).rstrip(b"\x00")
    dataset.PixelData = encapsulate([stream[: int(left * len(stream))]])
    dataset.save_as(paths[1])
    with raises_code(PixelError):
        read_volume(scan_folder(tmp_path).series[0])


@pytest.mark.parametrize("syntax", [JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless, RLELossless])
def test_a_complete_stream_is_read_with_its_padding(tmp_path: Path, syntax: str) -> None:
    paths = save_all(build(Stack(shape_zyx=(4, 32, 32))), tmp_path, syntax)
    dataset = dcmread(paths[1])
    stream = get_frame(dataset.PixelData, 0, number_of_frames=1)
    dataset.PixelData = encapsulate([stream + b"\x00\x00"])
    dataset.save_as(paths[1])
    assert read_volume(scan_folder(tmp_path).series[0]).hu_zyx.shape == (4, 32, 32)


#: 8 x 8 pixels of 16 bits, 900 + 37 n, as OpenJPH 0.26.3 encodes them without loss (ISO/IEC 15444-15).
_HTJ2K = base64.b64decode(
    "/0//UQApQAAAAAAIAAAACAAAAAAAAAAAAAAACAAAAAgAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB/1wAEyCIkJCQkJCQkJCQ"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAFkAAf+TwAAmBfMFB3QAAADAABLAABMAUAGHdACM+gMHdADAABNAABOAJNIB"
    "AnQAMpXpAKNUAMAAKiAAFWAIgiCqcIJ1AE46ceLkwEIB7LYA/9k="
)


def _htj2k_series(folder: Path, syntax: str, stream: bytes = _HTJ2K) -> Series:
    for path in save_all(build(Stack(shape_zyx=(4, 8, 8))), folder, RLELossless):
        dataset = dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.PixelData = encapsulate([stream + b"\x00" * (len(stream) % 2)])
        dataset.save_as(path)
    return scan_folder(folder).series[0]


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2KLosslessRPCL, HTJ2K])
def test_high_throughput_jpeg_2000_is_read(tmp_path: Path, syntax: str) -> None:
    hu_zyx = read_volume(_htj2k_series(tmp_path, syntax)).hu_zyx
    assert (hu_zyx == 900 - 1024 + 37 * np.arange(64).reshape(8, 8)).all()


@pytest.mark.parametrize("left", [0.99, 0.9, 0.5])
def test_a_cut_stream_of_high_throughput_jpeg_2000_is_no_image(tmp_path: Path, left: float) -> None:
    with raises_code(PixelError):
        read_volume(_htj2k_series(tmp_path, HTJ2KLossless, _HTJ2K[: int(left * len(_HTJ2K))]))


def test_high_throughput_jpeg_2000_without_a_decoder_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(get_decoder(HTJ2KLossless)), "is_available", property(lambda _: False))
    with raises_code(UnsupportedImageError, "High-Throughput JPEG 2000"):
        read_volume(_htj2k_series(tmp_path, HTJ2KLossless))


@pytest.mark.parametrize(("keyword", "value"), [("Rows", 8), ("Columns", 7)])
def test_native_pixels_of_more_rows_or_columns_are_refused(tmp_path: Path, keyword: str, value: int) -> None:
    """The header of a file shows it, unless it is compressed."""
    datasets = build(Stack())
    for dataset in datasets[1:]:
        setattr(dataset, keyword, value)
    save_all(datasets, tmp_path / "plain", ExplicitVRLittleEndian)
    damaged = [file.reason for file in scan_folder(tmp_path / "plain").damaged]
    assert damaged == ["the pixels are more than Rows and Columns state"] * (len(datasets) - 1)

    setattr(datasets[0], keyword, value)
    save_all(datasets, tmp_path / "deflated", DeflatedExplicitVRLittleEndian)
    with raises_code(PixelError, "Rows", "Columns"):
        read_volume(scan_folder(tmp_path / "deflated").series[0])
