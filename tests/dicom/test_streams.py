"""Compressed pixels that were cut short."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from cspine.core.errors import PixelError
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
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
