"""The writer on a real CT, where the test data folder is there."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from cspine.core.geometry import Grid
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, SourceSlice
from cspine.dicom.seg import write_segmentation
from cspine.dicom.seg_type import SegType
from tests.builders.judges import dciodvfy_errors, dcmqi_labels
from tests.dicom.test_seg import MODEL, SETTINGS, read_back, replace


def series_folder() -> Path:
    given = os.environ.get("CSPINE_TEST_DATA")
    data = Path(given) if given else Path(__file__).parents[3] / "shared" / "data"
    folder = data / "ct" / "head_neck_3mm"
    if not folder.is_dir():
        pytest.skip("no real CT: CSPINE_TEST_DATA names no folder with ct/head_neck_3mm")
    return folder


def real_volume(folder: Path) -> CtVolume:
    """Place the slices by position; pixels are not needed here."""
    headers = [(path, dcmread(path, stop_before_pixels=True)) for path in sorted(folder.iterdir()) if path.is_file()]
    headers.sort(key=lambda entry: float(entry[1].ImagePositionPatient[2]))
    first, last = headers[0][1], headers[-1][1]
    rows_mm, columns_mm = (float(v) for v in first.PixelSpacing)
    cosines = np.array(first.ImageOrientationPatient, dtype=float).reshape(2, 3)
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = cosines[0] * columns_mm, cosines[1] * rows_mm
    start, stop = (np.array(h.ImagePositionPatient, dtype=float) for h in (first, last))
    affine[:3, 2] = (stop - start) / (len(headers) - 1)
    affine[:3, 3] = start
    grid = Grid((len(headers), int(first.Rows), int(first.Columns)), affine)
    slices = tuple(SourceSlice(path, str(header.SOPInstanceUID)) for path, header in headers)
    return CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), affine, CtSource(slices, grid))


@pytest.mark.parametrize("seg_type", list(SegType))
def test_a_real_series_with_odd_matrix_and_empty_tags(tmp_path: Path, seg_type: SegType) -> None:
    ct = real_volume(series_folder())
    labels = np.zeros(ct.grid.shape_zyx, dtype=np.uint8)
    for label in range(1, 7):
        z = 80 - 8 * label
        labels[z : z + 6, 250 : 290 + label, 200:260] = label
    settings = replace(SETTINGS, seg_type=seg_type)
    record = write_segmentation(LabelVolume(labels, ct.affine_lps, MODEL), ct, settings, tmp_path / "seg.dcm")
    assert np.array_equal(read_back(record.path, ct.grid), labels)
    found = dcmqi_labels(record.path, tmp_path / "dcmqi", ct.grid)
    for label in range(1, 7):
        assert np.array_equal(found[f"C{label}"], labels == label)
    assert dciodvfy_errors(record.path) == []
    assert any("OHIF" in warning for warning in record.warnings) is (seg_type is SegType.BINARY)
