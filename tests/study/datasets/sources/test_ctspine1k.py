"""CTSpine1K's masks find their images, beside them or in the collections that they come from."""

from cspine.core.errors import DatasetError
from cspine.study.datasets.sources import ctspine1k
from tests.builders.raises import raises_code
from tests.study.datasets.sources.test_verse import touch

COLONOG = "1.3.6.1.4.1.9328.50.4.0001"


def test_names_give_source_patient_and_case(tmp_path):
    names = (COLONOG, "CTC-1018399231", "HN_P001", "liver_0", "colon_001", "volume-covid19-A-0202_0_ct")
    for name in names:
        touch(tmp_path, f"raw_data/volumes/X/{name}.nii.gz", f"raw_data/labels/X/{name}_seg.nii.gz")
    found = ctspine1k.find(tmp_path)
    assert {case.source: case.patient for case in found.cases if case.patient != "CTC-1018399231"} == {
        "COLONOG": COLONOG,
        "HNSCC-3DCT-RT": "HN_P001",
        "MSD liver": "liver_0",
        "MSD colon": "colon_001",
        "COVID-19": "volume-covid19-A-0202",
    }
    assert {case.scheme for case in found.cases} == {"ctspine1k"}
    assert "ctspine1k_1-3-6-1-4-1-9328-50-4-0001" in {case.name for case in found.cases}
    assert not found.skipped


def test_images_lie_in_the_collections_that_they_come_from(tmp_path):
    for name in (COLONOG, "HN_P001", "HN_P002", "colon_001", "colon_002"):
        touch(tmp_path, f"masks/{name}_seg.nii.gz")
    touch(tmp_path, "tcia/HNSCC-3DCT-RT/HN_P001/01-01-1900-CT/2.000000-xx/1-01.dcm")
    touch(tmp_path, "tcia/HNSCC-3DCT-RT/HN_P009/01-01-1900-CT/2.000000-xx/1-01.dcm")
    touch(tmp_path, "Task10_Colon/imagesTr/colon_001.nii.gz", "Task10_Colon/imagesTr/._colon_001.nii.gz")
    touch(tmp_path, "Task10_Colon/labelsTr/colon_001.nii.gz", "Task10_Colon/imagesTs/colon_030.nii.gz")
    touch(tmp_path, f"more/{COLONOG}/study/series/000001.dcm")
    found = ctspine1k.find(tmp_path / "masks", tmp_path / "tcia", tmp_path / "Task10_Colon", [tmp_path / "more"])
    assert {case.patient: case.origin for case in found.cases} == {
        "HN_P001": "HNSCC-3DCT-RT/HN_P001",
        "colon_001": "imagesTr/colon_001.nii.gz",
        COLONOG: COLONOG,
    }
    assert found.skipped == {
        "CTSpine1K: the images of HNSCC-3DCT-RT were not given": 1,
        "CTSpine1K: the images of MSD colon were not given": 1,
        "CTSpine1K: images without a mask": 2,
    }


def test_a_patient_that_is_linked_into_a_collection_is_found(tmp_path):
    touch(tmp_path, "masks/HN_P001_seg.nii.gz", "archive/x/HN_P001/study/series/1-01.dcm", "tcia/LICENSE")
    (tmp_path / "tcia" / "linked").symlink_to(tmp_path / "archive" / "x", target_is_directory=True)
    (case,) = ctspine1k.find(tmp_path / "masks", tmp_path / "tcia").cases
    assert (case.patient, case.origin) == ("HN_P001", "linked/HN_P001")


def test_folders_without_masks_or_images_are_refused(tmp_path):
    touch(tmp_path, "masks/HN_P001_seg.nii.gz", "empty/readme.txt")
    with raises_code(DatasetError, tmp_path / "empty", "NAME.nii.gz"):
        ctspine1k.find(tmp_path / "masks", tmp_path / "empty")
    with raises_code(DatasetError, tmp_path / "empty", "*_seg.nii.gz"):
        ctspine1k.find(tmp_path / "empty")
    with raises_code(DatasetError, tmp_path / "absent"):
        ctspine1k.find(tmp_path / "masks", tmp_path / "absent")
