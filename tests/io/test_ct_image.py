"""CTs that are not DICOM: read at the position that their header states, or refused for what is wrong with it."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

from cspine.core.errors import (
    AmbiguousPositionError,
    ExcessiveTiltError,
    ImpossibleGeometryError,
    InputError,
    NotHounsfieldError,
    SingleSliceError,
)
from cspine.core.geometry import ras_to_lps
from cspine.io import nifti
from cspine.io.ct_image import ct_from_nibabel, ct_from_sitk, read_ct_image
from tests.builders.raises import raises_code

_XYZ = (9, 10, 11)
_AFFINE = np.array([[-1.0, 0, 0, 20], [0, -1.0, 0, 30], [0, 0, 2.0, 40], [0, 0, 0, 1]])


def _voxels() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 2000, size=_XYZ).astype(np.int16)


def _sheared(row: int = 1, column: int = 2, by: float = 0.4) -> np.ndarray:
    affine = _AFFINE.copy()
    affine[row, column] += by
    return affine


def _save(image: nibabel.Nifti1Image, folder: Path, name: str = "ct.nii.gz") -> Path:
    nibabel.save(image, folder / name)
    return folder / name


@pytest.mark.parametrize("name", ["ct.nii.gz", "ct.nii"])
@pytest.mark.parametrize("form", ["sform", "qform", "both"])
def test_a_ct_lies_where_its_header_says(tmp_path: Path, name: str, form: str) -> None:
    image = nibabel.Nifti1Image(_voxels(), _AFFINE)
    image.set_sform(_AFFINE, 0 if form == "qform" else 1)
    image.set_qform(_AFFINE, 0 if form == "sform" else 1)
    ct = read_ct_image(_save(image, tmp_path, name))
    assert np.array_equal(ct.hu_zyx, _voxels().transpose(2, 1, 0))
    assert ct.hu_zyx.dtype == np.int16
    assert np.allclose(ct.affine_lps, ras_to_lps(_AFFINE), atol=1e-4)
    assert ct.notes == () and ct.source is None


@pytest.mark.parametrize("form", ["sform", "qform", "both"])
@pytest.mark.parametrize(("unit", "per_mm"), [("meter", 1e-3), ("micron", 1e3), ("mm", 1.0), ("unknown", 1.0)])
def test_positions_are_in_the_unit_of_the_header(tmp_path: Path, unit: str, per_mm: float, form: str) -> None:
    scaled = _AFFINE.copy()
    scaled[:3] *= per_mm
    image = nibabel.Nifti1Image(_voxels(), scaled)
    image.set_sform(scaled, 0 if form == "qform" else 1)
    image.set_qform(scaled, 0 if form == "sform" else 1)
    image.header.set_xyzt_units(unit)
    for ct in (read_ct_image(_save(image, tmp_path)), ct_from_nibabel(image)):
        assert np.allclose(ct.affine_lps, ras_to_lps(_AFFINE), atol=1e-3)


@pytest.mark.parametrize(
    ("scale", "unit", "word"),
    [
        ((1e-3, 1e-3, 1e-3), "mm", "millimetre"),
        ((1.0, 1.0, 1.0), "meter", "metre"),
        ((1.0, 1.0, 1.0), "micron", "micrometre"),
        ((1.0, 1.0, 15.0), "unknown", "millimetre"),
        ((15.0, 15.0, 1.0), "unknown", "millimetre"),
    ],
)
def test_a_grid_of_no_patient_is_refused(tmp_path: Path, scale: tuple[float, ...], unit: str, word: str) -> None:
    affine = _AFFINE @ np.diag([*scale, 1.0])
    image = nibabel.Nifti1Image(_voxels(), affine)
    image.header.set_xyzt_units(unit)
    for read in (lambda: read_ct_image(_save(image, tmp_path)), lambda: ct_from_nibabel(image)):
        with raises_code(ImpossibleGeometryError, word):
            read()


def test_an_image_wider_than_any_scanner_is_refused() -> None:
    wide = SimpleITK.GetImageFromArray(np.zeros((400, 4, 4), np.int16))
    wide.SetSpacing((1.0, 1.0, 10.0))
    with raises_code(ImpossibleGeometryError, 4000):
        ct_from_sitk(wide)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("slices", [1, 2])
def test_fewer_than_three_slices_are_no_volume(tmp_path: Path, axis: int, slices: int) -> None:
    voxels = _voxels().take(range(slices), axis)
    image = nibabel.Nifti1Image(voxels, _AFFINE)
    for read in (
        lambda: read_ct_image(_save(image, tmp_path)),
        lambda: ct_from_nibabel(image),
        lambda: ct_from_sitk(SimpleITK.GetImageFromArray(voxels)),
    ):
        with raises_code(SingleSliceError, slices):
            read()


def test_an_image_in_memory_is_the_one_of_its_file(tmp_path: Path) -> None:
    for affine in (_AFFINE, _sheared()):
        image = nibabel.Nifti1Image(_voxels(), affine)
        file, memory = read_ct_image(_save(image, tmp_path)), ct_from_nibabel(image)
        assert np.array_equal(file.hu_zyx, memory.hu_zyx)
        assert np.allclose(file.affine_lps, memory.affine_lps, atol=1e-4)
        assert file.notes == memory.notes


def test_a_sheared_image_is_resampled_to_an_orthogonal_grid(tmp_path: Path) -> None:
    ct = read_ct_image(_save(nibabel.Nifti1Image(_voxels(), _sheared()), tmp_path))
    axes = ct.affine_lps[:3, :3] / np.linalg.norm(ct.affine_lps[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3))
    (note,) = ct.notes
    assert "0.40 mm" in note
    # The fifth slice is shifted by five steps: two whole voxels, so its values are those that were stored.
    shifted = ras_to_lps(_sheared()) @ (3, 4, 5, 1)
    x, y, z = np.rint(np.linalg.solve(ct.affine_lps, shifted)[:3]).astype(int)
    assert ct.hu_zyx[z, y, x] == _voxels()[3, 4, 5]


@pytest.mark.parametrize("affine", [_sheared(1, 0), _sheared(0, 1), _sheared(1, 2, 2.5)])
def test_what_no_gantry_does_is_refused(tmp_path: Path, affine: np.ndarray) -> None:
    with pytest.raises(ExcessiveTiltError):
        read_ct_image(_save(nibabel.Nifti1Image(_voxels(), affine), tmp_path))


def test_a_header_that_says_two_things_is_refused(tmp_path: Path) -> None:
    moved = _AFFINE.copy()
    moved[:3, 3] += 5
    image = nibabel.Nifti1Image(_voxels(), _AFFINE)
    image.set_sform(_AFFINE, 2)
    image.set_qform(moved, 1)
    with raises_code(AmbiguousPositionError, "8.7 mm"):
        read_ct_image(_save(image, tmp_path))
    image = nibabel.Nifti1Image(_voxels(), _sheared())
    image.set_qform(_AFFINE, 1)
    with raises_code(AmbiguousPositionError, "sform", "qform"):
        read_ct_image(_save(image, tmp_path))


def test_a_header_that_says_nothing_is_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(_voxels(), _AFFINE)
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    with pytest.raises(AmbiguousPositionError) as refused:
        read_ct_image(_save(image, tmp_path))
    assert (refused.value.code, refused.value.exit_code) == ("CS-IN-006", 3)


def test_values_that_are_no_hounsfield_units_are_refused(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(np.abs(_voxels()), _AFFINE)
    for read in (lambda: read_ct_image(_save(image, tmp_path)), lambda: ct_from_nibabel(image)):
        with raises_code(NotHounsfieldError) as refused:
            read()
        assert (refused.value.code, refused.value.exit_code) == ("CS-PIX-004", 6)


def test_what_is_no_complete_image_is_refused(tmp_path: Path) -> None:
    complete = _save(nibabel.Nifti1Image(_voxels(), _AFFINE), tmp_path).read_bytes()
    series = nibabel.Nifti1Image(np.stack([_voxels()] * 2, axis=3), _AFFINE)
    (tmp_path / "cut.nii.gz").write_bytes(complete[: len(complete) // 2])
    (tmp_path / "text.nii").write_text("nothing")
    paths = [
        tmp_path / "cut.nii.gz",
        tmp_path / "text.nii",
        _save(series, tmp_path, "time.nii.gz"),
        _save(nibabel.Nifti2Image(_voxels(), _AFFINE), tmp_path, "two.nii.gz"),
    ]
    for path in paths:
        with pytest.raises(InputError):
            read_ct_image(path)


@pytest.mark.parametrize("name", ["cut.nii", "CUT.NII", "cut.nii.gz", "CUT.NII.GZ"])
@pytest.mark.parametrize("missing", [1, 400])
def test_an_integer_image_that_ends_early_is_damaged(tmp_path: Path, name: str, missing: int) -> None:
    content = _save(nibabel.Nifti1Image(np.abs(_voxels()) % 256, _AFFINE), tmp_path, "complete.nii").read_bytes()
    is_compressed = name.lower().endswith(".gz")
    cut = [content[:-missing], content + bytes(7)]
    if is_compressed:
        cut = [gzip.compress(content)[:-missing], *(gzip.compress(part) for part in cut)]
    *damaged, complete = cut
    for read in (read_ct_image, nifti.read_ct, nifti.read_labels):
        for part in damaged:
            (tmp_path / name).write_bytes(part)
            with raises_code(InputError, name):
                read(tmp_path / name)
    (tmp_path / name).write_bytes(complete)
    assert nifti.read_labels(tmp_path / name).labels_zyx.shape == _XYZ[::-1]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused_and_not_read_as_0(tmp_path: Path, value: float) -> None:
    voxels = _voxels().astype(np.float32)
    voxels[1, 2, 3] = value
    path = _save(nibabel.Nifti1Image(voxels, _AFFINE), tmp_path)
    for read in (read_ct_image, nifti.read_ct, nifti.read_labels):
        with raises_code(InputError, path.name):
            read(path)


def test_a_float_image_that_ends_early_is_damaged(tmp_path: Path) -> None:
    content = _save(nibabel.Nifti1Image(_voxels().astype(np.float32), _AFFINE), tmp_path, "whole.nii").read_bytes()
    (tmp_path / "cut.nii").write_bytes(content[:-400])
    for read in (read_ct_image, nifti.read_ct):
        with raises_code(InputError, "cut.nii"):
            read(tmp_path / "cut.nii")
