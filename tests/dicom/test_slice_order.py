"""Whether positions agree with the attributes that count slices."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset

from cspine.dicom.scan import scan_folder
from cspine.dicom.slice_order import contradicting_order
from tests.builders.ct_series import Stack, build, save_all


def _datasets(*, reverse_numbers: bool = False) -> list[Dataset]:
    datasets = build(Stack(shape_zyx=(8, 9, 8)))
    for number, dataset in enumerate(datasets):
        dataset.SliceLocation = 2.0 * number
        dataset.InstanceNumber = 8 - number if reverse_numbers else number + 1
    return datasets


def _contradiction(datasets: list[Dataset], folder: Path) -> str:
    save_all(datasets, folder)
    return contradicting_order(scan_folder(folder).series[0])


@pytest.mark.parametrize("reverse", [False, True])
def test_numbers_in_either_direction_agree(tmp_path: Path, reverse: bool) -> None:
    assert not _contradiction(_datasets(reverse_numbers=reverse), tmp_path)


def test_exchanged_positions_contradict_number_and_location(tmp_path: Path) -> None:
    datasets = _datasets()
    a, b = datasets[2], datasets[5]
    a.ImagePositionPatient, b.ImagePositionPatient = b.ImagePositionPatient, a.ImagePositionPatient
    assert "2 of 8" in _contradiction(datasets, tmp_path)


def test_numbers_alone_in_another_order_are_no_contradiction(tmp_path: Path) -> None:
    datasets = _datasets()
    datasets[2].InstanceNumber, datasets[5].InstanceNumber = 6, 3
    assert not _contradiction(datasets, tmp_path)


def test_slices_without_locations_say_nothing(tmp_path: Path) -> None:
    datasets = _datasets()
    a, b = datasets[2], datasets[5]
    a.ImagePositionPatient, b.ImagePositionPatient = b.ImagePositionPatient, a.ImagePositionPatient
    del datasets[0].SliceLocation
    assert not _contradiction(datasets, tmp_path)
