"""All data sets together: no scan twice, one name per patient."""

import pytest

from cspine.core.errors import UsageError
from cspine.study.datasets.sources.collect import Folders, collect
from tests.builders.raises import raises_code
from tests.study.datasets.sources.test_verse import subject, touch


def test_a_scan_of_both_versions_is_used_once_and_patients_are_joined(tmp_path):
    subject(tmp_path / "2019", "sub-verse004")
    subject(tmp_path / "2019", "sub-verse408_split-verse223")
    touch(tmp_path / "2020", "verse223.nii.gz", "verse223_seg.nii.gz", "verse510.nii.gz", "verse510_seg.nii.gz")
    both = collect(Folders(verse2019=tmp_path / "2019", verse2020=tmp_path / "2020"))
    assert [case.patient for case in both.cases] == ["verse004", "verse408", "verse510"]
    assert both.skipped == {"VerSe 2020: the scan is in VerSe 2019 already": 1}
    alone = collect(Folders(verse2020=tmp_path / "2020"))
    assert [case.patient for case in alone.cases] == ["verse223", "verse510"]


def test_the_older_layout_gets_its_patients_from_the_other_version(tmp_path):
    touch(tmp_path / "2019", "verse600.nii.gz", "verse600_seg.nii.gz")
    subject(tmp_path / "2020", "sub-verse408_split-verse600")
    subject(tmp_path / "2020", "sub-verse408_split-verse601")
    found = collect(Folders(verse2019=tmp_path / "2019", verse2020=tmp_path / "2020"))
    assert {case.name: case.patient for case in found.cases} == {
        "verse2019_verse600": "verse408", "verse2020_sub-verse408_split-verse601": "verse408",
    }  # fmt: skip


def test_a_table_of_people_has_precedence_over_the_data_sets(tmp_path):
    for name in ("verse004", "verse005", "verse006"):
        touch(tmp_path / "2019", f"{name}.nii.gz", f"{name}_seg.nii.gz")
    people = tmp_path / "people.csv"
    people.write_text("id,patient,age,sex\nverse004,,61,F\nverse2019_verse005,verse004,62,\n")
    found = collect(Folders(verse2019=tmp_path / "2019", demographics=people))
    assert [(c.patient, c.age_years, c.sex) for c in found.cases] == [
        ("verse004", 61.0, "F"), ("verse004", 62.0, ""), ("verse006", None, ""),
    ]  # fmt: skip
    assert found.notes == []
    assert len(collect(Folders(verse2019=tmp_path / "2019"), limit=2).cases) == 2


def test_rows_of_a_table_of_people_without_effect_are_reported(tmp_path):
    touch(tmp_path / "2019", "verse004.nii.gz", "verse004_seg.nii.gz")
    people = tmp_path / "people.csv"
    people.write_text("id,patient,age,sex\nverse004,,old,missing\nverse4,verse004,,\nverse5,verse004,,\n")
    found = collect(Folders(verse2019=tmp_path / "2019", demographics=people))
    assert found.notes == [
        "people.csv has an id that matches no case and no patient: 'verse4' and 1 more",
        "people.csv has an age that cannot be read: 'verse004'",
        "people.csv has a sex that cannot be read: 'verse004'",
    ]


def test_images_without_masks_and_no_data_set_at_all_are_refused(tmp_path):
    with raises_code(UsageError, "--images"):
        collect(Folders(hnscc=tmp_path))
    with pytest.raises(UsageError):
        collect(Folders())
