"""Signs of absent instances, and everything that looks like one and is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from pydicom import Dataset

from cspine.dicom.completeness import MissingInstances, find_missing_instances
from cspine.dicom.scan import scan_folder
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import Stack, build, enhanced, renumbered, save_all, scout

NONE = MissingInstances()


def series(seed: str = "a", orientation: str = "LPS") -> list[Dataset]:
    """Six slices of a study."""
    return build(Stack(orientation=orientation, description=CtSeriesDescription(uid_seed=seed, study_seed="one")))


def stating(datasets: Iterable[Dataset], **attributes: object) -> list[Dataset]:
    """The same datasets with these attributes."""
    stated = list(datasets)
    for dataset in stated:
        for keyword, value in attributes.items():
            setattr(dataset, keyword, value)
    return stated


def numbered(datasets: list[Dataset], numbers: Iterable[int]) -> list[Dataset]:
    for dataset, number in zip(datasets, numbers, strict=True):
        dataset.InstanceNumber = number
    return datasets


def absences(folder: Path, datasets: list[Dataset], *others: list[Dataset]) -> MissingInstances:
    """What is found of the first series in a study with the others."""
    for number, members in enumerate((datasets, *others)):
        save_all(members, folder / str(number))
    study = scan_folder(folder)
    (chosen,) = [s for s in study.series if s.series_uid == datasets[0].SeriesInstanceUID]
    return find_missing_instances(study, chosen)


def test_a_complete_series_gives_no_sign(tmp_path: Path) -> None:
    assert absences(tmp_path, series()) == NONE


@pytest.mark.parametrize(
    ("keyword", "values"),
    [
        ("NumberOfSeriesRelatedInstances", r"\(0020,1209\).*\b9\b.*\b6\b"),
        ("ImagesInAcquisition", r"\(0020,1002\).*\b9\b.*\b6\b"),
    ],
)
def test_a_count_that_is_larger_than_the_series_is_reported(tmp_path: Path, keyword: str, values: str) -> None:
    (sign,) = absences(tmp_path / "more", stating(series(), **{keyword: 9})).stated
    assert re.search(values, sign)
    assert absences(tmp_path / "equal", stating(series(), **{keyword: 6})) == NONE
    assert absences(tmp_path / "fewer", stating(series(), **{keyword: 1})) == NONE


@pytest.mark.parametrize("keyword", ["NumberOfSeriesRelatedInstances", "ImagesInAcquisition"])
def test_a_count_that_instances_do_not_agree_on_is_none(tmp_path: Path, keyword: str) -> None:
    datasets = stating(series(), **{keyword: 9})
    setattr(datasets[2], keyword, 8)
    assert absences(tmp_path, datasets) == NONE


def test_a_part_of_a_concatenation_is_reported(tmp_path: Path) -> None:
    part = enhanced(series())
    part.InConcatenationNumber, part.InConcatenationTotalNumber = 1, 2
    found = absences(tmp_path, [part])
    assert re.search(r"\(0020,9163\).*\b2\b.*\b1\b", *found.stated)


def test_damaged_files_of_the_series_are_reported(tmp_path: Path) -> None:
    paths = save_all(series(), tmp_path)
    paths[0].write_bytes(paths[0].read_bytes()[:-20])
    study = scan_folder(tmp_path)
    assert re.search(r"\b1\b.*damaged", *find_missing_instances(study, study.series[0]).stated)


def test_images_of_other_reconstructions_explain_the_count_of_an_acquisition(tmp_path: Path) -> None:
    complete = (stating(series(seed), ImagesInAcquisition=12) for seed in ("a", "b"))
    assert absences(tmp_path / "both", *complete) == NONE
    of_another = stating(series("b"), ImagesInAcquisition=12, AcquisitionNumber=2)
    apart = absences(tmp_path / "apart", stating(series("a"), ImagesInAcquisition=12), of_another)
    assert len(apart.stated) == 1


def test_several_acquisitions_in_a_series_make_the_count_of_one_meaningless(tmp_path: Path) -> None:
    datasets = stating(series(), ImagesInAcquisition=50)
    datasets[0].AcquisitionNumber = 2
    assert absences(tmp_path, datasets) == NONE


def test_a_reformat_copies_counts_and_numbers_that_mean_nothing(tmp_path: Path) -> None:
    datasets = stating(series(), ImagesInAcquisition=50, ImageType=["DERIVED", "SECONDARY", "REFORMATTED"])
    assert absences(tmp_path, numbered(datasets, range(50, 56))) == NONE


@pytest.mark.parametrize("numbers", [range(41, 47), range(46, 40, -1)], ids=["up", "down"])
@pytest.mark.parametrize("orientation", ["LPS", "LSA"])
def test_numbers_that_begin_late_are_a_hint(tmp_path: Path, numbers: range, orientation: str) -> None:
    found = absences(tmp_path, numbered(series(orientation=orientation), numbers))
    assert not found.stated and re.search(r"\(0020,0013\).*\b41\b", *found.hinted)


@pytest.mark.parametrize(
    "numbers",
    [range(0, 6), range(4, 10), [1, 3, 5, 7, 9, 11], [41, 43, 45, 47, 49, 51], [41, 44, 42, 46, 43, 45], [41] * 6],
    ids=["from zero", "after three localizers", "gaps", "every other", "another order", "one number"],
)
def test_numbers_that_scanners_choose_otherwise_are_no_hint(tmp_path: Path, numbers: Iterable[int]) -> None:
    assert absences(tmp_path, numbered(series(), numbers)) == NONE


def test_numbering_that_runs_on_from_series_to_series_is_no_hint(tmp_path: Path) -> None:
    later, before = numbered(series("a"), range(7, 13)), series("b")
    assert absences(tmp_path / "split", later, before) == NONE
    localizer = renumbered(scout(series("c")[0], 6), 6, "localizer")
    localizer.SeriesInstanceUID = "2.25.7"
    assert absences(tmp_path / "scout", numbered(series("a"), range(7, 13)), [localizer]) == NONE


def test_absent_numbers_are_no_hint(tmp_path: Path) -> None:
    datasets = numbered(series(), range(41, 47))
    datasets[3].InstanceNumber = None
    assert absences(tmp_path, datasets) == NONE
