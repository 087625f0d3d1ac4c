"""A case is read as it is stored, or refused with the reason."""

from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import CaseGridError, DatasetError, InputError, LabelSchemeError
from cspine.core.geometry import orientation_of, reorientation
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.io import nifti
from cspine.study.datasets.read_case import read_case
from cspine.study.datasets.sources.found import FoundCase
from cspine.study.dry_run import layouts
from tests.builders.public_sets import LADY, small_case
from tests.builders.raises import raises_code


def found(image: Path, labels: Path, scheme: str = "verse") -> FoundCase:
    return FoundCase("case", source="VerSe 2019", patient="p", image=image, labels=labels, origin="x", scheme=scheme)


def written(tmp_path: Path, ct: CtVolume, labels: LabelVolume) -> FoundCase:
    nifti.write(tmp_path / "ct.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(tmp_path / "seg.nii.gz", labels.labels_zyx, labels.affine_lps)
    return found(tmp_path / "ct.nii.gz", tmp_path / "seg.nii.gz")


@pytest.mark.parametrize("orientation", ["LPS", "PIR", "RAS"])
def test_labels_stored_in_another_orientation_are_reoriented_to_the_image(tmp_path, orientation):
    ct, labels = small_case()
    change = reorientation(ct.affine_lps, orientation)
    reoriented = CtVolume(np.ascontiguousarray(change.apply(ct.hu_zyx)), change.grid(ct.grid).affine_lps)
    read = read_case(written(tmp_path, reoriented, labels))
    assert orientation_of(read.ct.affine_lps) == orientation
    assert read.labels.grid.is_close(read.ct.grid)
    assert ((read.ct.hu_zyx == 400) == (read.labels.labels_zyx > 0)).all()
    assert not read.doubts


def test_labels_on_another_grid_are_refused_with_both(tmp_path):
    ct, labels = small_case()
    shifted = labels.affine_lps.copy()
    shifted[0, 3] += 1.0
    for other in (
        LabelVolume(labels.labels_zyx, shifted),
        LabelVolume(labels.labels_zyx[:-1], labels.affine_lps),
        LabelVolume(labels.labels_zyx, labels.affine_lps @ np.diag([1.0, 1.0, 1.02, 1.0])),
    ):
        with raises_code(CaseGridError, "25 x 30 x 61", "3 x 3 x 3"):
            read_case(written(tmp_path, ct, other))


def test_numbers_that_the_scheme_does_not_know_are_refused(tmp_path):
    ct, labels = small_case()
    for number, scheme in ((40, "verse"), (28, "ctspine1k"), (26, "ctspine1k")):
        wrong = LabelVolume(np.where(labels.labels_zyx == 3, number, labels.labels_zyx), labels.affine_lps)
        case = written(tmp_path, ct, wrong)
        with raises_code(LabelSchemeError, number, scheme):
            read_case(found(case.image, case.labels, scheme))
    t13 = LabelVolume(np.where(labels.labels_zyx == 3, 28, labels.labels_zyx), labels.affine_lps)
    assert 28 in read_case(written(tmp_path, ct, t13)).labels.labels_zyx


def test_the_coccyx_is_background_and_the_sacrum_stays(tmp_path):
    ct, labels = small_case((24, 26, 27))
    present = np.unique(read_case(written(tmp_path, ct, labels)).labels.labels_zyx)
    assert present.tolist() == [0, 24, 26]


def test_empty_labels_and_damaged_files_are_refused(tmp_path):
    ct, labels = small_case()
    with raises_code(DatasetError):
        read_case(written(tmp_path, ct, LabelVolume(np.zeros_like(labels.labels_zyx), labels.affine_lps)))
    case = written(tmp_path, ct, labels)
    case.image.write_bytes(case.image.read_bytes()[:-200])
    with raises_code(InputError, "ct.nii.gz"):
        read_case(case)
    half = np.where(labels.labels_zyx == 3, 2.5, labels.labels_zyx.astype(np.float32)).astype(np.float32)
    nifti.write(tmp_path / "seg.nii.gz", half, labels.affine_lps)
    with raises_code(InputError, 255):
        read_case(written(tmp_path, ct, LabelVolume(half, labels.affine_lps)))


def test_an_image_without_air_is_doubted(tmp_path):
    ct, labels = small_case()
    read = read_case(written(tmp_path, CtVolume(np.maximum(ct.hu_zyx, 0), ct.affine_lps), labels))
    assert [doubt.kind for doubt in read.doubts] == ["intensity"]


# --- TotalSegmentator -------------------------------------------------------------------------------------------------


def masks(tmp_path: Path) -> FoundCase:
    layouts.write_totalsegmentator(tmp_path, 1, *small_case((24, 26)), LADY)
    return found(tmp_path / "s0001" / "ct.nii.gz", tmp_path / "s0001" / "segmentations", "masks")


def test_one_mask_a_vertebra_becomes_one_label_image(tmp_path):
    read = read_case(masks(tmp_path))
    assert np.unique(read.labels.labels_zyx).tolist() == [0, 24, 26]
    assert not read.doubts


def test_a_mask_that_is_absent_or_on_another_grid_is_refused(tmp_path):
    case = masks(tmp_path)
    path = case.labels / "vertebrae_C4.nii.gz"
    mask = nifti.read_labels(path)
    nifti.write(path, mask.labels_zyx, mask.affine_lps @ np.diag([1.0, 1.0, 2.0, 1.0]))
    with raises_code(CaseGridError, "vertebrae_C4.nii.gz"):
        read_case(case)
    path.unlink()
    with raises_code(DatasetError, 1, "vertebrae_C4.nii.gz"):
        read_case(case)


def test_masks_that_overlap_are_doubted_and_those_of_an_empty_case_are_not_refused(tmp_path):
    case = masks(tmp_path)
    lumbar = nifti.read_labels(case.labels / "vertebrae_L5.nii.gz")
    nifti.write(case.labels / "vertebrae_L4.nii.gz", lumbar.labels_zyx, lumbar.affine_lps)
    read = read_case(case)
    assert [doubt.kind for doubt in read.doubts] == ["overlap"]
    for path in case.labels.glob("*.nii.gz"):
        nifti.write(path, np.zeros_like(lumbar.labels_zyx), lumbar.affine_lps)
    assert not read_case(case).labels.labels_zyx.any()


# --- DICOM ------------------------------------------------------------------------------------------------------------


WIDE = (3.0, 3.0, 9.0)


def patient(tmp_path: Path, *series: CtVolume) -> FoundCase:
    """A patient's folder as TCIA gives it: one folder per study and per series; and the mask of the first one."""
    _, labels = small_case(spacing_xyz=WIDE)
    for number, volume in enumerate(series):
        about = CtSeriesDescription(
            f"s{number}", "HN_P001", patient_sex="M", patient_age="047Y", study_seed=f"t{number}"
        )
        write_ct_series(volume, tmp_path / "HN_P001" / f"study{number}" / "series", about)
    layouts.write_mask(tmp_path, "HN_P001", labels)
    return found(tmp_path / "HN_P001", tmp_path / "HN_P001_seg.nii.gz", "ctspine1k")


def moved(ct: CtVolume, step_mm: float) -> CtVolume:
    affine = ct.affine_lps.copy()
    affine[2, 3] += step_mm
    return CtVolume(ct.hu_zyx, affine)


def test_the_series_on_whose_slices_the_labels_lie_is_chosen(tmp_path):
    ct, _ = small_case(spacing_xyz=WIDE)
    read = read_case(patient(tmp_path, moved(ct, 40.0), ct))
    assert read.ct.grid.is_close(ct.grid)
    assert (read.age_years, read.sex, read.doubts) == (47.0, "M", ())
    assert ((read.ct.hu_zyx == 400) == (read.labels.labels_zyx > 0)).all()


def test_of_two_series_with_the_same_slices_the_one_with_bone_under_the_labels_is_chosen_and_doubted(tmp_path):
    ct, _ = small_case(spacing_xyz=WIDE)
    read = read_case(patient(tmp_path, CtVolume(np.roll(ct.hu_zyx, 1, axis=0), ct.affine_lps), ct))
    assert ((read.ct.hu_zyx == 400) == (read.labels.labels_zyx > 0)).all()
    assert [doubt.kind for doubt in read.doubts] == ["series"]


def test_a_patient_without_a_fitting_series_is_refused_with_the_reasons(tmp_path):
    ct, _ = small_case(spacing_xyz=WIDE)
    with raises_code(CaseGridError, 2, "CS-DAT-002", "CS-DAT-002"):
        read_case(patient(tmp_path, moved(ct, 40.0), moved(ct, 80.0)))
