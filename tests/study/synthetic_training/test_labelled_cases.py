"""Cases from outside: on the recipe's grid, in its orientation, or refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import InputError, TrainingError
from cspine.core.geometry import reorientation
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.label_sets import label_set
from cspine.study.synthetic_training.labelled_cases import digest, read_dataset
from tests.builders.raises import raises_code

_SPACING = 2.0
_LABELS = label_set("cervical", auxiliary=True).network_labels()


def _write(folder: Path, name: str = "case", orientation: str = "LPS") -> np.ndarray:
    """Write a case of 3 x 1 x 1 mm voxels (z, y, x) whose labelled block is bright, and return its labels."""
    labels = np.zeros((20, 40, 60), dtype=np.uint8)
    labels[4:10, 8:20, 40:52] = 3
    labels[10:16, 8:20, 40:52] = 2
    hu = np.where(labels > 0, 700, -50).astype(np.int16)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    change = reorientation(affine, orientation)
    for stem, array in ((f"imagesTr/{name}_0000", hu), (f"labelsTr/{name}", labels)):
        reoriented = np.ascontiguousarray(change.apply(array))
        grid = change.grid(LabelVolume(labels, affine).grid)
        nifti.write(folder / f"{stem}.nii.gz", reoriented, grid.affine_lps)
    (folder / "dataset.json").write_text(json.dumps({"labels": _LABELS}), encoding="utf-8")
    return labels


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "PIR"])
def test_image_and_labels_come_to_the_grid_together_whatever_their_orientation(
    tmp_path: Path, orientation: str
) -> None:
    _write(tmp_path, orientation=orientation)
    (case,) = read_dataset(tmp_path, _LABELS, _SPACING)
    assert case.name == "case"
    assert case.hu_zyx.shape == case.labels_zyx.shape == (30, 20, 30)
    assert (case.hu_zyx.dtype, case.labels_zyx.dtype) == (np.int16, np.uint8)
    inner = case.hu_zyx[8:13, 5:9, 21:25]
    assert (inner == 700).all()
    assert set(np.unique(case.labels_zyx)) == {0, 2, 3}
    assert np.argwhere(case.labels_zyx == 2)[:, 0].mean() > np.argwhere(case.labels_zyx == 3)[:, 0].mean()
    assert (case.hu_zyx[case.labels_zyx == 0] == -50).mean() > 0.9


def test_what_is_no_dataset_of_this_network_is_refused(tmp_path: Path) -> None:
    with raises_code(TrainingError, "dataset.json", tmp_path):
        read_dataset(tmp_path, _LABELS, _SPACING)
    (tmp_path / "dataset.json").write_text("[")
    with raises_code(TrainingError, "dataset.json", "JSON"):
        read_dataset(tmp_path, _LABELS, _SPACING)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "C1": 1}}))
    with raises_code(TrainingError, tmp_path.name, "recipe"):
        read_dataset(tmp_path, _LABELS, _SPACING)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": _LABELS}))
    with raises_code(TrainingError, "labelsTr/*.nii.gz"):
        read_dataset(tmp_path, _LABELS, _SPACING)


def test_labels_without_their_image_are_an_error(tmp_path: Path) -> None:
    _write(tmp_path)
    (tmp_path / "imagesTr" / "case_0000.nii.gz").unlink()
    with raises_code(InputError, "labelsTr/case.nii.gz", "imagesTr/case_0000.nii.gz"):
        read_dataset(tmp_path, _LABELS, _SPACING)


def test_labels_on_another_grid_are_an_error(tmp_path: Path) -> None:
    _write(tmp_path)
    nifti.write(tmp_path / "labelsTr" / "case.nii.gz", np.zeros((20, 40, 59), dtype=np.uint8), np.eye(4))
    with raises_code(TrainingError, "grids"):
        read_dataset(tmp_path, _LABELS, _SPACING)


def test_labels_that_lie_elsewhere_are_an_error(tmp_path: Path) -> None:
    labels = _write(tmp_path)
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[0, 3] = 30
    nifti.write(tmp_path / "labelsTr" / "case.nii.gz", labels, affine)
    with raises_code(TrainingError, "grids"):
        read_dataset(tmp_path, _LABELS, _SPACING)


def test_labels_that_the_network_does_not_have_are_an_error(tmp_path: Path) -> None:
    labels = _write(tmp_path)
    nifti.write(
        tmp_path / "labelsTr" / "case.nii.gz", np.where(labels == 3, np.uint8(12), labels), np.diag([1.0, 1, 3, 1])
    )
    with raises_code(TrainingError, 12):
        read_dataset(tmp_path, _LABELS, _SPACING)


def test_values_beyond_ct_do_not_wrap_and_hidden_files_are_no_cases(tmp_path: Path) -> None:
    labels = _write(tmp_path)
    hu = np.where(labels > 0, 40000.0, -50.0).astype(np.float32)
    nifti.write(tmp_path / "imagesTr" / "case_0000.nii.gz", hu, np.diag([1.0, 1.0, 3.0, 1.0]))
    (tmp_path / "labelsTr" / "._case.nii.gz").write_bytes(b"x")
    (case,) = read_dataset(tmp_path, _LABELS, _SPACING)
    assert case.hu_zyx.max() == 3071


def test_cases_are_recognised_by_their_content(tmp_path: Path) -> None:
    _write(tmp_path)
    first, again = (read_dataset(tmp_path, _LABELS, _SPACING) for _ in range(2))
    assert digest(first) == digest(again) != digest(first * 2)
    assert digest([]) == ""
