"""Whether headers show that a series cannot be used: each fault has its code before a pixel is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset

from cspine.core.errors import (
    CSpineError,
    ImpossibleGeometryError,
    NotHounsfieldError,
    PhotometricError,
    RescaleError,
    UnsupportedImageError,
)
from cspine.dicom.rules import Rules
from cspine.dicom.scan import scan_folder
from cspine.dicom.select import evaluate_series
from cspine.dicom.series import Series
from cspine.dicom.usable import refusal, states_hounsfield
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import Stack, build, enhanced, save_all


def _series(folder: Path, change: Callable[[Dataset], None] | None = None, seed: str = "a") -> Series:
    datasets = build(Stack(description=CtSeriesDescription(uid_seed=seed, study_seed="one")))
    for dataset in datasets:
        if change is not None:
            change(dataset)
    save_all(datasets, folder)
    return scan_folder(folder).series[0]


def _set(**values: Any) -> Callable[[Dataset], None]:
    def change(dataset: Dataset) -> None:
        for keyword, value in values.items():
            setattr(dataset, keyword, value)

    return change


def test_an_ordinary_series_is_usable(tmp_path: Path) -> None:
    assert refusal(_series(tmp_path)) is None


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (_set(PhotometricInterpretation="MONOCHROME1"), PhotometricError),
        (_set(RescaleType="mg/ml"), RescaleError),
        (_set(RescaleSlope="1e308"), RescaleError),
        (_set(RescaleIntercept="1e30"), RescaleError),
        (_set(ImageType=["DERIVED", "SECONDARY", "AXIAL", "DE_IODINE"]), NotHounsfieldError),
        (_set(ImageType=["DERIVED", "PRIMARY", "AXIAL", "MAT_REMOVED"], RescaleType="HU"), NotHounsfieldError),
        (_set(BitsStored=17), UnsupportedImageError),
        (_set(BitsStored=12, HighBit=15), UnsupportedImageError),
        (_set(PixelRepresentation=7), UnsupportedImageError),
        (_set(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), UnsupportedImageError),
        (_set(PixelSpacing=[100.0, 100.0]), ImpossibleGeometryError),
        (_set(PixelSpacing=["1e-300", "1e-300"]), ImpossibleGeometryError),
    ],
)
def test_what_headers_show_is_refused(
    tmp_path: Path, change: Callable[[Dataset], None], error: type[CSpineError]
) -> None:
    refused = refusal(_series(tmp_path, change))
    assert refused is not None
    assert refused.code == error.code


@pytest.mark.parametrize("word", ["HU", "Hounsfield Unit", "hounsfield units", "HU_MOD", "US", ""])
def test_every_word_for_hounsfield_units_is_accepted(tmp_path: Path, word: str) -> None:
    assert refusal(_series(tmp_path, _set(RescaleType=word))) is None


@pytest.mark.parametrize("repeated", [2, 6])
def test_slices_that_share_a_uid_are_refused_before_they_are_read(tmp_path: Path, repeated: int) -> None:
    datasets = build(Stack())
    for dataset in datasets[:repeated]:
        dataset.SOPInstanceUID = "1.2.3.4"
    save_all(datasets, tmp_path)
    refused = refusal(scan_folder(tmp_path).series[0])
    assert refused is not None and refused.code == UnsupportedImageError.code
    assert "SOP Instance UID" in refused.advice


@pytest.mark.parametrize("high_bit", [0, 11, 15, None])
def test_a_high_bit_that_shifts_no_value_is_accepted(tmp_path: Path, high_bit: int | None) -> None:
    assert refusal(_series(tmp_path, _set(HighBit=high_bit))) is None


def test_slices_further_apart_than_any_ct_are_refused(tmp_path: Path) -> None:
    save_all(build(Stack(spacing_xyz=(0.5, 0.75, 99.0))), tmp_path)
    refused = refusal(scan_folder(tmp_path).series[0])
    assert refused is not None and refused.code == ImpossibleGeometryError.code


def test_an_enhanced_ct_in_several_instances_is_refused_before_it_is_read(tmp_path: Path) -> None:
    stack = Stack(shape_zyx=(8, 9, 8))
    parts = [enhanced(build(stack)[:4]), enhanced(build(stack)[4:])]
    parts[1].SOPInstanceUID = f"{parts[1].SOPInstanceUID[:60]}.1"
    parts[1].SeriesInstanceUID = parts[0].SeriesInstanceUID
    save_all(parts, tmp_path)
    refused = refusal(scan_folder(tmp_path).series[0])
    assert refused is not None and refused.code == UnsupportedImageError.code


@pytest.mark.parametrize(
    ("rescale_type", "image_type", "stated"),
    [
        ("HU", ["DERIVED", "SECONDARY", "SOMETHING"], True),
        ("", ["ORIGINAL", "PRIMARY", "SOMETHING"], True),
        ("", ["DERIVED", "SECONDARY", "AXIAL", "MPR"], True),
        ("", ["DERIVED", "SECONDARY", "SOMETHING"], False),
        ("US", ["DERIVED", "SECONDARY", "VNC"], False),
        ("HU_MOD", ["ORIGINAL", "PRIMARY", "AXIAL"], False),
    ],
)
def test_headers_state_hounsfield_units_or_leave_it_open(
    tmp_path: Path, rescale_type: str, image_type: list[str], stated: bool
) -> None:
    series = _series(tmp_path, _set(RescaleType=rescale_type, ImageType=image_type))
    assert states_hounsfield(series) is stated


@pytest.mark.parametrize(
    "change",
    [
        _set(PhotometricInterpretation="MONOCHROME1", SliceThickness=1.0),
        _set(RescaleType="mg/ml", SliceThickness=1.0),
        _set(ImageType=["DERIVED", "SECONDARY", "AXIAL", "IODINE"], SliceThickness=1.0),
        _set(RescaleType="", ImageType=["DERIVED", "SECONDARY", "AXIAL", "UNHEARD_OF"], SliceThickness=1.0),
    ],
)
def test_a_series_that_cannot_be_used_is_never_preferred(tmp_path: Path, change: Callable[[Dataset], None]) -> None:
    good = _series(tmp_path / "good", seed="good")
    _series(tmp_path / "bad", change, seed="bad")
    decisions = evaluate_series(scan_folder(tmp_path), Rules())
    assert [decision.series.series_uid for decision in decisions if decision.chosen] == [good.series_uid]


def test_thin_slices_far_apart_resolve_less_than_thick_ones_without_gaps(tmp_path: Path) -> None:
    dense = Stack(spacing_xyz=(0.5, 0.75, 3.0), description=CtSeriesDescription(uid_seed="dense", study_seed="one"))
    sparse = Stack(spacing_xyz=(0.5, 0.75, 12.0), description=CtSeriesDescription(uid_seed="sparse", study_seed="one"))
    save_all(build(dense), tmp_path / "dense")
    thin = build(sparse)
    for dataset in thin:
        dataset.SliceThickness = 1.0
    save_all(thin, tmp_path / "sparse")
    decisions = evaluate_series(scan_folder(tmp_path), Rules())
    chosen = [decision.series for decision in decisions if decision.chosen]
    assert [series.step_mm for series in chosen] == [pytest.approx(3.0)]
