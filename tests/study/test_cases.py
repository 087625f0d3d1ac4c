"""How the files of a case are named, and which case a file is of."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.core.errors import InputError
from cspine.study.cases import image_name, image_of, images_by_case, labels_name, marked, name_of, raw_pair


@pytest.mark.parametrize(
    ("file", "name"),
    [("a_0000.nii.gz", "a"), ("a.nii.gz", "a"), ("a_ct.nii.gz", "a_ct"), ("_0000.nii.gz", "_0000")],
)
def test_the_channel_is_no_part_of_a_name(file: str, name: str) -> None:
    assert name_of(Path(file)) == name


def test_the_name_of_an_image_leads_back_to_its_case() -> None:
    assert name_of(Path(image_name("a_1"))) == name_of(Path(labels_name("a_1"))) == "a_1"


def test_other_suffixes_are_given_by_the_caller() -> None:
    files = [Path("b_ct.nii.gz"), Path("a_0000.nii.gz"), Path("c.nii.gz")]
    assert images_by_case(files, ("_0000", "_ct")) == {"a": files[1], "b": files[0], "c": files[2]}
    assert marked(files, ("_ct",)) == files[:1]


def test_two_images_of_one_case_are_refused() -> None:
    with pytest.raises(InputError):
        images_by_case([Path("a_0000.nii.gz"), Path("a.nii.gz")])


def test_a_pair_of_a_raw_dataset() -> None:
    assert raw_pair(Path("d"), "a") == (Path("d/imagesTr/a_0000.nii.gz"), Path("d/labelsTr/a.nii.gz"))
    assert raw_pair(Path("d"), "a", "Ts") == (Path("d/imagesTs/a_0000.nii.gz"), Path("d/labelsTs/a.nii.gz"))


def test_an_image_may_have_a_folder_of_its_own(tmp_path: Path) -> None:
    assert image_of(tmp_path, "a") is None
    for name in ("a/ct.nii.gz", "a.nii.gz", "a_0000.nii.gz"):  # the more telling name wins
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
        assert image_of(tmp_path, "a") == tmp_path / name
