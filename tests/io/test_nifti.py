"""Image files out and in, compared with nibabel."""

from __future__ import annotations

import resource
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from scipy.spatial.transform import Rotation

from cspine.core.errors import InputError, OutputError
from cspine.core.geometry import Affine, make_affine, ras_to_lps
from cspine.io import nifti
from cspine.io.nifti_files import files_in, nifti_stem
from tests.builders.raises import raises_code

_SHAPE = (5, 6, 7)


def _affine(mirrored: bool = False) -> Affine:
    axes = Rotation.from_euler("xyz", (9.0, -14.0, 21.0), degrees=True).as_matrix()
    if mirrored:
        axes[:, 0] *= -1
    return make_affine(axes, (0.5, 0.75, 2.0), np.array([-11.0, 7.0, -23.0]))


def _hu() -> np.ndarray:
    return np.random.default_rng(0).integers(-1024, 3000, size=_SHAPE).astype(np.int16)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii", "a.nrrd", "a.mha"])
@pytest.mark.parametrize("mirrored", [False, True])
def test_an_oblique_image_comes_back_as_it_was(tmp_path: Path, name: str, mirrored: bool) -> None:
    nifti.write(tmp_path / "deep" / name, _hu(), _affine(mirrored))
    volume = nifti.read_ct(tmp_path / "deep" / name)
    assert np.array_equal(volume.hu_zyx, _hu())
    assert volume.hu_zyx.dtype == np.int16
    assert np.allclose(volume.affine_lps, _affine(mirrored), atol=1e-4)
    assert [p.name for p in (tmp_path / "deep").iterdir()] == [name]


@pytest.mark.parametrize("mirrored", [False, True])
def test_nibabel_sees_every_voxel_at_the_same_position(tmp_path: Path, mirrored: bool) -> None:
    nifti.write(tmp_path / "a.nii.gz", _hu(), _affine(mirrored))
    image = nibabel.load(tmp_path / "a.nii.gz")
    assert np.allclose(ras_to_lps(image.affine), _affine(mirrored), atol=1e-4)
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), _hu())


def test_an_image_of_nibabel_is_read_at_its_position(tmp_path: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(_hu().transpose(2, 1, 0), ras_to_lps(_affine())), tmp_path / "a.nii.gz")
    volume = nifti.read_ct(tmp_path / "a.nii.gz")
    assert np.array_equal(volume.hu_zyx, _hu())
    assert np.allclose(volume.affine_lps, _affine(), atol=1e-4)


@pytest.mark.parametrize(
    ("value", "dtype", "expected"),
    [(-5, np.int32, np.int16), (200, np.uint8, np.int16), (40000, np.int32, np.float32), (0.5, np.float64, np.float32)],
)
def test_integer_values_become_int16_where_they_fit(tmp_path: Path, value: float, dtype: type, expected: type) -> None:
    nifti.write(tmp_path / "a.nii.gz", np.full(_SHAPE, value, dtype=dtype), np.eye(4))
    volume = nifti.read_ct(tmp_path / "a.nii.gz")
    assert volume.hu_zyx.dtype == expected
    assert (volume.hu_zyx == value).all()


def test_labels_come_back_whatever_the_type_of_the_file(tmp_path: Path) -> None:
    labels = np.arange(np.prod(_SHAPE)).reshape(_SHAPE) % 256
    for dtype in (np.uint8, np.int16, np.float32):
        nifti.write(tmp_path / "a.nii.gz", labels.astype(dtype), _affine())
        volume = nifti.read_labels(tmp_path / "a.nii.gz")
        assert volume.labels_zyx.dtype == np.uint8
        assert np.array_equal(volume.labels_zyx, labels)


def test_a_file_that_was_cut_short_or_changed_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.nii.gz"
    nifti.write(path, _hu(), _affine())
    complete = path.read_bytes()
    half = len(complete) // 2
    for damaged in (
        complete[:-5],
        complete[:half],
        complete[:half] + bytes([complete[half] ^ 255]) + complete[half + 1 :],
        b"",
    ):
        path.write_bytes(damaged)
        with raises_code(InputError, "a.nii.gz"):
            nifti.read_ct(path)


def test_a_file_that_the_disk_cannot_hold_is_an_error_and_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))
    try:
        with raises_code(OutputError, "a.nii.gz"):
            nifti.write(tmp_path / "a.nii.gz", _hu(), _affine())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [-1.0, 256.0, 1.5, np.nan])
def test_what_are_no_labels_is_refused(tmp_path: Path, value: float) -> None:
    array = np.zeros(_SHAPE, dtype=np.float32)
    array[2, 2, 2] = value
    nifti.write(tmp_path / "a.mha", array, np.eye(4))  # a NIfTI reader takes NaN for 0
    with raises_code(InputError, "a.mha", 255):
        nifti.read_labels(tmp_path / "a.mha")


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"nothing")
    for name in ("a.nii.gz", "absent.nii.gz"):
        with raises_code(InputError, name):
            nifti.read_ct(tmp_path / name)


def test_an_image_of_other_dimensions_or_channels_is_refused(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.Image([4, 5], SimpleITK.sitkInt16), str(tmp_path / "flat.mha"))
    SimpleITK.WriteImage(SimpleITK.Image([4, 5, 6, 2], SimpleITK.sitkInt16), str(tmp_path / "time.nii.gz"))
    SimpleITK.WriteImage(SimpleITK.Image([4, 5, 6], SimpleITK.sitkVectorInt16, 3), str(tmp_path / "colour.mha"))
    for name in ("flat.mha", "time.nii.gz", "colour.mha"):
        with raises_code(InputError, name):
            nifti.read_ct(tmp_path / name)


def test_an_image_that_cannot_be_written_is_an_error_of_the_output_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        nifti.write(tmp_path / "file" / "a.nii.gz", _hu(), _affine())
    with pytest.raises(OutputError):
        nifti.write(tmp_path / "a.unknown", _hu(), _affine())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_hidden_files_are_no_images_and_errors_advise_about_nifti(tmp_path: Path) -> None:
    for name in ("b.nii.gz", "a.nii.gz", "._a.nii.gz", ".partial-a.nii.gz", "a.txt"):
        (tmp_path / name).write_bytes(b"")
    assert [path.name for path in files_in(tmp_path)] == ["a.nii.gz", "b.nii.gz"]
    assert files_in(tmp_path / "absent") == []
    assert nifti_stem(tmp_path / "a_b.nii.gz") == "a_b"
    with pytest.raises(InputError) as refused:
        nifti.read_labels(tmp_path / "a.nii.gz")
    assert "NIfTI" in refused.value.advice and "DICOM" not in refused.value.advice
