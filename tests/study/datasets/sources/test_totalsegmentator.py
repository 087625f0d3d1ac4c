"""TotalSegmentator's cases are found with the people of meta.csv."""

from cspine.core.errors import DatasetError
from cspine.study.datasets.sources import totalsegmentator
from tests.builders.raises import raises_code
from tests.study.datasets.sources.test_verse import touch

_META = "\ufeffimage_id;age;gender;institute;study_type;split\ns0000;64;m;A;ct neck;train\ns0003;;f;B;ct head;test\n"


def test_cases_are_patients_with_age_and_sex(tmp_path):
    for name in ("s0000", "s0003"):
        touch(tmp_path, f"{name}/ct.nii.gz", f"{name}/segmentations/vertebrae_C1.nii.gz")
    touch(tmp_path, "s0004/ct.nii.gz", "s0005/ct.nii.gz", "s0005/segmentations/liver.nii.gz")
    (tmp_path / "meta.csv").write_text(_META, encoding="utf-8")
    found = totalsegmentator.find(tmp_path)
    assert [(c.name, c.patient, c.age_years, c.sex, c.scheme) for c in found.cases] == [
        ("totalsegmentator_s0000", "totalsegmentator_s0000", 64.0, "M", "masks"),
        ("totalsegmentator_s0003", "totalsegmentator_s0003", None, "F", "masks"),
    ]
    assert found.broken == [("totalsegmentator_s0004", "no folder segmentations beside the image")]
    assert found.skipped == {"TotalSegmentator: no mask of a vertebra": 1}


def test_another_layout_and_another_table_are_refused(tmp_path):
    with raises_code(DatasetError, "s0000/ct.nii.gz", tmp_path):
        totalsegmentator.find(tmp_path)
    with raises_code(DatasetError, tmp_path / "absent"):
        totalsegmentator.find(tmp_path / "absent")
    touch(tmp_path, "s0000/ct.nii.gz", "s0000/segmentations/vertebrae_C1.nii.gz")
    (tmp_path / "meta.csv").write_text("image,age\ns0000,64\n")
    with raises_code(DatasetError, "meta.csv", "'image_id'"):
        totalsegmentator.find(tmp_path)
