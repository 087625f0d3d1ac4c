"""VerSe is found in its layouts, and each scan belongs to its patient."""

from pathlib import Path

import pytest

from cspine.core.errors import DatasetError
from cspine.study.datasets.sources import verse
from cspine.study.dry_run import layouts
from tests.builders.closed_folders import close
from tests.builders.public_sets import LADY, small_case
from tests.builders.raises import raises_code


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def subject(root: Path, stem: str, part: str = "dataset-verse19training") -> None:
    """Empty files of a scan in the subject based layout."""
    name = stem.split("_")[0]
    touch(root, f"{part}/rawdata/{name}/{stem}_ct.nii.gz")
    beside = f"{part}/derivatives/{name}/{stem}"
    touch(root, f"{beside}_seg-vert_msk.nii.gz", f"{beside}_seg-subreg_ctd.json", f"{beside}_seg-vert_snp.png")


def test_scans_of_one_patient_in_the_subject_based_layout_belong_together(tmp_path):
    subject(tmp_path, "sub-verse004")
    subject(tmp_path, "sub-verse408_split-verse223", "dataset-verse19test")
    subject(tmp_path, "sub-verse408_split-verse224", "dataset-verse19test")
    subject(tmp_path, "sub-gl195_dir-ax")
    touch(tmp_path, "dataset-verse19training/rawdata/sub-verse004/._sub-verse004_ct.nii.gz")
    found = verse.find(tmp_path, 2019)
    assert {case.name: case.patient for case in found.cases} == {
        "verse2019_sub-verse004": "verse004",
        "verse2019_sub-verse408_split-verse223": "verse408",
        "verse2019_sub-verse408_split-verse224": "verse408",
        "verse2019_sub-gl195_dir-ax": "gl195",
    }
    first = next(case for case in found.cases if case.patient == "verse004")
    assert first.origin == "dataset-verse19training/rawdata/sub-verse004/sub-verse004_ct.nii.gz"
    assert first.labels.name == "sub-verse004_seg-vert_msk.nii.gz" and first.centroids is not None
    assert not found.broken and not found.skipped


def test_subjects_that_are_linked_into_the_folder_are_found(tmp_path):
    subject(tmp_path / "archive", "sub-verse004")
    subject(tmp_path / "data", "sub-verse005")
    for kind in ("rawdata", "derivatives"):
        linked = Path("dataset-verse19training", kind, "sub-verse004")
        (tmp_path / "data" / linked).symlink_to(tmp_path / "archive" / linked, target_is_directory=True)
    found = verse.find(tmp_path / "data", 2019)
    assert [case.patient for case in found.cases] == ["verse004", "verse005"] and not found.broken


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    subject(tmp_path, "sub-verse004")
    close(tmp_path / "dataset-verse19training" / "derivatives", monkeypatch)
    with raises_code(DatasetError, tmp_path):
        verse.find(tmp_path, 2019)


def test_the_layouts_of_the_challenges_are_read_too(tmp_path):
    touch(tmp_path, "verse004.nii.gz", "verse004_seg.nii.gz", "verse004_ctd.json")
    touch(tmp_path, "verse500_CT-ax.nii.gz", "verse500_CT-ax_seg.nii.gz", "verse500_CT-ax_iso-ctd.json")
    touch(tmp_path, "GL003_CT_ax.nii.gz", "GL003_CT_ax_seg.nii.gz")
    touch(tmp_path, "verse007/ct.nii.gz", "verse007/seg-vert_msk.nii.gz", "verse007/ctd.json")
    found = verse.find(tmp_path, 2020)
    assert {case.patient for case in found.cases} == {"verse004", "verse500", "gl003", "verse007"}
    assert sum(case.centroids is not None for case in found.cases) == 3


def test_ages_come_from_the_table_of_participants_of_any_part(tmp_path):
    for name in ("dataset-verse19training", "dataset-verse19test"):
        layouts.write_verse(tmp_path / name, 4 if "train" in name else 5, *small_case(), LADY)
    assert {(case.age_years, case.sex) for case in verse.find(tmp_path, 2019).cases} == {(61.0, "F")}


def test_an_image_without_its_mask_is_a_failure_of_its_own(tmp_path):
    subject(tmp_path, "sub-verse004")
    touch(tmp_path, "dataset-verse19training/rawdata/sub-verse005/sub-verse005_ct.nii.gz")
    found = verse.find(tmp_path, 2019)
    assert len(found.cases) == 1
    assert found.broken == [
        ("verse2019_sub-verse005", "no mask (seg-vert_msk.nii.gz or _seg.nii.gz) belongs to the image")
    ]


@pytest.mark.parametrize("name", ["absent", "."])
def test_a_folder_of_another_layout_is_refused(tmp_path, name):
    touch(tmp_path, "colon_001.nii.gz")
    with raises_code(DatasetError, tmp_path / name):
        verse.find(tmp_path / name, 2019)


def test_a_scan_of_2020_that_2019_has_is_recognised_across_layouts(tmp_path):
    subject(tmp_path / "2019", "sub-verse004")
    subject(tmp_path / "2019", "sub-verse408_split-verse223")
    touch(
        tmp_path / "2020",
        *(f"verse{n}{end}" for n in ("004", "223", "408", "510") for end in (".nii.gz", "_seg.nii.gz")),
    )
    subject(tmp_path / "2020", "sub-verse408_split-verse600")
    earlier, later = verse.find(tmp_path / "2019", 2019).cases, verse.find(tmp_path / "2020", 2020).cases
    assert {case.name for case in verse.repeats(later, earlier)} == {
        "verse2020_verse004", "verse2020_verse223", "verse2020_verse408",
    }  # fmt: skip
    assert verse.patient_of_scans([*earlier, *later]) == {"verse223": "verse408", "verse600": "verse408"}
