"""Reading: the same anatomy whatever the orientation and the coding."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.pixels.decoders import JPEGLSLosslessDecoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    LegacyConvertedEnhancedCTImageStorage,
    RLELossless,
)

from cspine.core.errors import (
    CSpineError,
    MissingSliceError,
    NotHounsfieldError,
    PhotometricError,
    PixelError,
    RescaleError,
)
from cspine.core.geometry import shear_mm
from cspine.core.volumes import CtVolume
from cspine.dicom import read
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.series import Series
from tests.builders.ct_series import (
    Stack,
    build,
    enhanced,
    phantom_on,
    right_handed_orientations,
    save_all,
    strip_preamble,
)
from tests.builders.raises import raises_code


def _series(datasets: list[Dataset], folder: Path, syntax: str = ExplicitVRLittleEndian) -> Series:
    save_all(datasets, folder, syntax)
    (series,) = scan_folder(folder).series
    return series


def _read(stack: Stack, folder: Path, syntax: str = ExplicitVRLittleEndian) -> CtVolume:
    return read_volume(_series(build(stack), folder, syntax))


def _assert_phantom(volume: CtVolume, tolerance: float = 0.51) -> None:
    assert np.abs(volume.hu_zyx - phantom_on(volume.grid)).max() <= tolerance


# --- geometry ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", right_handed_orientations())
def test_all_24_orientations_show_the_same_anatomy(tmp_path: Path, orientation: str) -> None:
    stack = Stack(orientation=orientation)
    volume = _read(stack, tmp_path)
    assert volume.grid.is_close(stack.grid, 1e-6)
    assert volume.hu_zyx.dtype == np.int16
    _assert_phantom(volume)
    assert np.linalg.det(volume.affine_lps[:3, :3]) > 0


def test_an_oblique_stack_shows_the_same_anatomy(tmp_path: Path) -> None:
    volume = _read(Stack(rotation_deg=(20.0, -13.0, 31.0), orientation="PIR"), tmp_path)
    _assert_phantom(volume)


@pytest.mark.parametrize("tilt", [-22.0, 15.0])
def test_tilt_is_resampled_and_the_source_grid_kept(tmp_path: Path, tilt: float) -> None:
    stack = Stack(tilt_deg=tilt, shape_zyx=(7, 30, 12))
    volume = _read(stack, tmp_path)
    assert max(abs(v) for v in shear_mm(volume.affine_lps)) < 1e-9
    assert volume.source is not None
    assert volume.source.grid.is_close(stack.grid, 1e-4)
    assert "gantry tilt" in volume.notes[0]
    inside = volume.hu_zyx > -1000
    expected = phantom_on(volume.grid)
    half_a_row = 0.5 * 0.75 * 5  # what the border rows may differ: they reach half a voxel beyond their centres
    assert np.abs(volume.hu_zyx - expected)[inside].max() <= 1.01 + half_a_row
    assert inside.sum() >= 7 * 29 * 12


def test_the_source_names_each_slice_in_order(tmp_path: Path) -> None:
    datasets = build(Stack())
    volume = read_volume(_series(datasets[::-1], tmp_path))
    assert volume.source is not None
    assert [s.sop_instance_uid for s in volume.source.slices] == [d.SOPInstanceUID for d in datasets]
    assert {s.frame for s in volume.source.slices} == {None}


def test_a_gap_is_refused_and_repaired_on_request(tmp_path: Path) -> None:
    datasets = build(Stack(shape_zyx=(9, 6, 6)))
    del datasets[2]
    series = _series(datasets, tmp_path)
    with pytest.raises(MissingSliceError):
        read_volume(series)
    volume = read_volume(series, repair_gaps=True)
    assert volume.hu_zyx.shape == (6, 6, 6)
    _assert_phantom(volume)
    assert len(volume.notes) == 1


# --- coding -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        JPEGLSLossless,
        JPEGLosslessSV1,
        JPEG2000Lossless,
        RLELossless,
    ],
)
def test_every_transfer_syntax_gives_the_same_values(tmp_path: Path, syntax: str, signed: bool) -> None:
    stack = Stack(shape_zyx=(3, 40, 36), signed=signed, intercepts=(0.0,) if signed else (-1024.0,))
    volume = _read(stack, tmp_path, syntax)
    assert np.array_equal(volume.hu_zyx, np.rint(phantom_on(stack.grid)))


@pytest.mark.parametrize("signed", [False, True])
def test_the_quickest_decoder_gives_the_values_of_the_others(
    tmp_path: Path, signed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = Stack(shape_zyx=(3, 40, 36), signed=signed, intercepts=(0.0,) if signed else (-1024.0,))
    series = _series(build(stack), tmp_path, JPEGLSLossless)
    quickest = read_volume(series)
    monkeypatch.setattr(read, "_QUICKEST_DECODERS", {})
    others = read_volume(series)
    assert np.array_equal(quickest.hu_zyx, others.hu_zyx) and quickest.hu_zyx.dtype == others.hu_zyx.dtype


@pytest.mark.parametrize("works", [True, False])
def test_other_decoders_are_used_where_the_quickest_fails_and_only_there(
    tmp_path: Path, works: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[str] = []

    def fail(*_: object) -> bytearray:
        raise RuntimeError("no")

    def counted(name: str) -> Callable[..., bytearray]:
        decode = JPEGLSLosslessDecoder._available[name] if works or name != "pyjpegls" else fail
        return lambda *given: used.append(name) or decode(*given)

    for name in ("pyjpegls", "pylibjpeg"):
        monkeypatch.setitem(JPEGLSLosslessDecoder._available, name, counted(name))
    _assert_phantom(_read(Stack(shape_zyx=(3, 40, 36)), tmp_path, JPEGLSLossless))
    assert sorted(set(used)) == (["pyjpegls"] if works else ["pyjpegls", "pylibjpeg"])


def test_bare_datasets_are_read(tmp_path: Path) -> None:
    for path in save_all(build(Stack()), tmp_path):
        strip_preamble(path)
    (series,) = scan_folder(tmp_path).series
    _assert_phantom(read_volume(series))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
@pytest.mark.parametrize("shared", [True, False])
def test_enhanced_multi_frame_is_read_in_order_of_position(tmp_path: Path, shared: bool, syntax: str) -> None:
    stack = Stack(slopes=(1.0, 2.0), intercepts=(-1024.0, -1000.0), orientation="RAS")
    image = enhanced(build(stack), shared_orientation=shared, scramble=True)
    volume = read_volume(_series([image], tmp_path, syntax))
    assert volume.grid.is_close(stack.grid, 1e-6)
    _assert_phantom(volume, 1.01)
    assert volume.source is not None
    assert [s.frame for s in volume.source.slices] == [3, 0, 4, 1, 5, 2]


def test_a_legacy_converted_enhanced_ct_is_read_as_an_enhanced_one(tmp_path: Path) -> None:
    image = enhanced(build(Stack()))
    image.SOPClassUID = LegacyConvertedEnhancedCTImageStorage
    _assert_phantom(read_volume(_series([image], tmp_path)), 1.01)


def test_slope_and_intercept_are_those_of_each_slice(tmp_path: Path) -> None:
    volume = _read(Stack(slopes=(1.0, 2.0, 1.0), intercepts=(-1024.0, -1000.0, -8192.0)), tmp_path)
    assert volume.hu_zyx.dtype == np.int16
    _assert_phantom(volume, 1.01)


def test_one_slice_with_fractions_makes_the_complete_volume_float(tmp_path: Path) -> None:
    volume = _read(Stack(slopes=(1.0, 1.0, 1.0, 1.0, 1.0, 0.25)), tmp_path)
    assert volume.hu_zyx.dtype == np.float32
    _assert_phantom(volume)


def test_a_fractional_slope_with_integer_values_stays_int16(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16)
        dataset.PixelData = (stored * 2).tobytes()
        dataset.RescaleSlope = "0.5"
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx.dtype == np.int16
    _assert_phantom(volume)


def test_a_value_beyond_16_bits_makes_the_volume_float(tmp_path: Path) -> None:
    datasets = build(Stack())
    stored = np.frombuffer(datasets[5].PixelData, dtype=np.uint16).copy()
    stored[7] = 60000
    datasets[5].PixelData = stored.tobytes()
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx.dtype == np.float32
    assert volume.hu_zyx.max() == 60000 - 1024


def test_the_first_slice_does_not_decide_the_type(tmp_path: Path) -> None:
    """A first slice of positive values followed by a slice of -100 HU: 65436 when the first decides."""
    stack = Stack(shape_zyx=(3, 4, 4))
    datasets = build(stack)
    for dataset, hu in zip(datasets, (50, -100, -100), strict=True):
        dataset.PixelData = np.full((4, 4), hu + 1024, dtype=np.uint16).tobytes()
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx[:, 0, 0].tolist() == [50, -100, -100]


def test_bits_above_bits_stored_are_kept(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
    _brighten(datasets[0])
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx.max() == 4868 - 1024
    assert not volume.notes


def test_an_overlay_that_nothing_declares_is_masked_and_reported(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16).reshape(9, 8).copy()
        stored[2:6, 1:7] |= 0x1000
        dataset.PixelData = stored.tobytes()
    volume = read_volume(_series(datasets, tmp_path))
    _assert_phantom(volume)
    assert len(volume.notes) == 1


def _brighten(dataset: Dataset) -> None:
    """Draw a tooth with metal: values rise over several pixels beyond those of 12 bits."""
    stored = np.frombuffer(dataset.PixelData, dtype=np.uint16).reshape(9, 8).copy()
    rise = np.array([0, 2000, 3600, 4868, 4868, 3600, 2000, 0], np.uint16)
    for row in range(2, 7):
        stored[row] = np.maximum(stored[row], rise if row in (3, 4, 5) else rise * 3 // 4)
    dataset.PixelData = stored.tobytes()


@pytest.mark.parametrize("filled", [True, False])
def test_twelve_signed_bits_are_read_with_and_without_filled_upper_bits(tmp_path: Path, filled: bool) -> None:
    datasets = build(Stack(signed=True, intercepts=(0.0,)))
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
        stored = np.frombuffer(dataset.PixelData, dtype=np.int16)
        dataset.PixelData = (stored if filled else stored & 0x0FFF).tobytes()
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx.min() < 0
    _assert_phantom(volume)


def test_an_overlay_in_the_upper_bits_is_no_value(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16).copy()
        stored[:6] |= 0x1000
        dataset.PixelData = stored.tobytes()
        dataset.add_new((0x6000, 0x0102), "US", 12)
    _assert_phantom(read_volume(_series(datasets, tmp_path)))


# --- padding ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stored_value", "first", "last", "signed"),
    [
        (-2000, -2000, None, True),
        (63536, 63536, None, False),
        (-2000, -2100, -1900, True),
        (-2000, -1900, -2100, True),
    ],
)
def test_padding_becomes_air(tmp_path: Path, stored_value: int, first: int, last: int | None, signed: bool) -> None:
    datasets = build(Stack(signed=signed, intercepts=(0.0,) if signed else (-1024.0,)))
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, dtype=np.int16 if signed else np.uint16).copy()
        stored[:5] = stored_value
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "SS" if signed else "US", first)
        if last is not None:
            dataset.add_new("PixelPaddingRangeLimit", "SS" if signed else "US", last)
    volume = read_volume(_series(datasets, tmp_path))
    assert volume.hu_zyx.dtype == np.int16
    assert (volume.hu_zyx[:, 0, :5] == -1024).all()
    assert (volume.hu_zyx[:, 1:] > -1024).all()


def test_padding_written_with_the_wrong_sign_is_understood(tmp_path: Path) -> None:
    datasets = build(Stack(signed=True, intercepts=(0.0,)))
    for dataset in datasets:
        stored = np.frombuffer(dataset.PixelData, dtype=np.int16).copy()
        stored[0] = -2000
        dataset.PixelData = stored.tobytes()
        dataset.add_new("PixelPaddingValue", "US", 63536)
    assert (read_volume(_series(datasets, tmp_path)).hu_zyx[:, 0, 0] == -1024).all()


@pytest.mark.parametrize("has_overlay", [False, True])
def test_padding_with_upper_bits_is_no_overlay(tmp_path: Path, has_overlay: bool) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.BitsStored, dataset.HighBit = 12, 11
        dataset.add_new("PixelPaddingValue", "US", 63536)
        stored = np.frombuffer(dataset.PixelData, dtype=np.uint16).reshape(9, 8).copy()
        if has_overlay:
            stored[4:6, 2:7] |= 0x1000
        stored[:2] = 63536
        dataset.PixelData = stored.tobytes()
    volume = read_volume(_series(datasets, tmp_path))
    assert (volume.hu_zyx[:, :2] == -1024).all()
    assert np.array_equal(volume.hu_zyx[:, 2:], read_volume(_series(build(Stack()), tmp_path / "plain")).hu_zyx[:, 2:])
    assert len(volume.notes) == has_overlay


# --- what is refused --------------------------------------------------------------------------------------------------


def test_monochrome1_and_colour_are_refused(tmp_path: Path) -> None:
    datasets = build(Stack())
    datasets[3].PhotometricInterpretation = "MONOCHROME1"
    with raises_code(PhotometricError, "MONOCHROME1"):
        read_volume(_series(datasets, tmp_path))


@pytest.mark.parametrize(
    ("keyword", "value"), [("RescaleSlope", None), ("RescaleIntercept", None), ("RescaleSlope", "0")]
)
def test_slices_that_are_no_hounsfield_units_are_refused(tmp_path: Path, keyword: str, value: str | None) -> None:
    datasets = build(Stack())
    setattr(datasets[2], keyword, value)
    with raises_code(RescaleError, "1 of 6"):
        read_volume(_series(datasets, tmp_path))


@pytest.mark.parametrize("value", ["0", "1e-300", "1024"])
def test_a_slice_of_another_scale_is_refused(tmp_path: Path, value: str) -> None:
    datasets = build(Stack())
    datasets[2].RescaleIntercept = value
    with pytest.raises(NotHounsfieldError):
        read_volume(_series(datasets, tmp_path))


def test_other_units_are_refused(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.RescaleType = "Z_EFF"
    with pytest.raises(RescaleError) as refused:
        read_volume(_series(datasets, tmp_path))
    assert refused.value.code == "CS-PIX-003"
    assert "Z_EFF" not in refused.value.message


def test_pixels_that_cannot_be_decoded_are_an_error_without_the_uid(tmp_path: Path) -> None:
    datasets = build(Stack())
    paths = save_all(datasets, tmp_path, JPEGLSLossless)
    content = bytearray(paths[2].read_bytes())
    start = content.rfind(b"\xff\xd8")
    content[start + 2 : start + 30] = bytes(28)
    paths[2].write_bytes(bytes(content))
    (series,) = scan_folder(tmp_path).series
    with pytest.raises(PixelError) as raised:
        read_volume(series)
    assert datasets[2].SOPInstanceUID not in str(raised.value)


def test_a_damaged_file_at_the_end_of_the_stack_is_said(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    paths[5].write_bytes(paths[5].read_bytes()[:-40])
    (series,) = scan_folder(tmp_path).series
    volume = read_volume(series)
    assert "1 damaged" in volume.notes[0]


def test_a_damaged_file_within_the_stack_is_a_missing_slice(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-40])
    (series,) = scan_folder(tmp_path).series
    with pytest.raises(MissingSliceError):
        read_volume(series)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLSLossless])
def test_whatever_byte_of_a_header_is_wrong_the_error_has_a_code_or_the_volume_is_the_same(
    tmp_path: Path, syntax: str
) -> None:
    paths = save_all(build(Stack(shape_zyx=(4, 6, 6))), tmp_path, syntax)
    (series,) = scan_folder(tmp_path).series
    sound, complete = read_volume(series), paths[1].read_bytes()
    pixels = complete.rindex(b"\xe0\x7f\x10\x00")
    rng = np.random.default_rng(11)
    outcomes: Counter[str] = Counter()
    for index in rng.integers(128, pixels, 80):
        paths[1].write_bytes(complete[:index] + rng.bytes(1) + complete[index + 1 :])
        try:
            volumes = [read_volume(series) for series in scan_folder(tmp_path).series]
        except CSpineError as error:
            outcomes[error.code] += 1
            continue
        outcomes["read"] += 1
        for volume in volumes:
            assert volume.notes or (volume.grid.is_close(sound.grid) and np.array_equal(volume.hu_zyx, sound.hu_zyx))
    assert outcomes["read"] > 10 and outcomes["CS-GEO-002"] > 10 and "CS-INT-001" not in outcomes


# --- real CT ----------------------------------------------------------------------------------------------------------


def _real(name: str) -> Path:
    data = os.environ.get("CSPINE_TEST_DATA")
    root = Path(data) if data else Path(__file__).parents[3] / "shared" / "data"
    folder = root / "ct" / name
    if not folder.is_dir():
        pytest.skip(f"real CT {name} is not here (CSPINE_TEST_DATA)")
    return folder


@pytest.mark.parametrize(
    ("name", "shape", "spacing", "highest"),
    [
        ("head_neck_3mm", (90, 511, 511), (1.0, 1.0, 3.0), 3844),
        ("chest_partial_neck", (135, 512, 512), (0.976562, 0.976562, 3.27), 1402),
    ],
)
def test_real_ct(name: str, shape: tuple[int, ...], spacing: tuple[float, ...], highest: int) -> None:
    (series,) = scan_folder(_real(name)).series
    volume = read_volume(series)
    assert volume.hu_zyx.shape == shape
    assert volume.grid.spacing_xyz == pytest.approx(spacing, abs=1e-4)
    assert volume.hu_zyx.dtype == np.int16
    assert volume.hu_zyx.max() == highest
    assert not volume.notes


def test_reading_does_not_depend_on_the_order_of_instances(tmp_path: Path) -> None:
    series = _series(build(Stack()), tmp_path)
    reversed_series = replace(series, instances=series.instances[::-1])
    assert np.array_equal(read_volume(series).hu_zyx, read_volume(reversed_series).hu_zyx)
