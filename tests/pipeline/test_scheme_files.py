"""Files of other systems are read by their scheme: nnU-Net's names, masks, and what a folder says of itself."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import VERTEBRAE
from cspine.core.errors import CaseGridError, LabelSchemeError, UsageError
from cspine.io import nifti
from cspine.pipeline.label_files import mask_folder
from cspine.pipeline.scheme_files import levels_of_files, read_labels, scheme_of_folder
from cspine.study.label_sets import label_set
from tests.builders.raises import raises_code


def write(path: Path, *numbers: int, affine: np.ndarray | None = None) -> Path:
    """An image that holds each number once, and background."""
    array = np.zeros((3, 4, 30), dtype=np.uint8)
    array.flat[: len(numbers)] = numbers
    nifti.write(path, array, np.eye(4) if affine is None else affine)
    return path


def read(path: Path, scheme: str) -> list[int]:
    """What an image of `write` holds as labels of cspine, in its order, without what became background."""
    return [int(v) for v in read_labels(path, scheme).labels_zyx.ravel() if v]


def test_labels_of_nnunet_go_by_their_names(tmp_path: Path) -> None:
    labels = {"background": 0, "vertebrae_C2": 1, "C1": 2, "T2 and below": 3, "sacrum": 4}
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels}))
    (tmp_path / "labelsTr").mkdir()
    assert scheme_of_folder(tmp_path / "labelsTr", None) == scheme_of_folder(tmp_path, None) == "nnunet"
    assert levels_of_files([(tmp_path / "labelsTr" / "a.nii.gz", "nnunet")]) == {"C1", "C2"}
    assert read(write(tmp_path / "labelsTr" / "a.nii.gz", 1, 2, 3, 4), "nnunet") == [2, 1]
    with raises_code(LabelSchemeError, "a.nii.gz", 5):
        read(write(tmp_path / "labelsTr" / "a.nii.gz", 1, 5), "nnunet")


@pytest.mark.parametrize("name", ["cervical", "full-spine"])
@pytest.mark.parametrize("auxiliary", [False, True])
def test_every_label_set_of_cspine_comes_back(tmp_path: Path, name: str, auxiliary: bool) -> None:
    labels = label_set(name, auxiliary)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels.network_labels()}))
    numbers = range(1, len(labels.levels) + 1 + auxiliary)
    assert read(write(tmp_path / "a.nii.gz", *numbers), "nnunet") == [level.label for level in labels.levels]
    assert levels_of_files([(tmp_path / "a.nii.gz", "nnunet")]) == {level.name for level in labels.levels}


@pytest.mark.parametrize(
    "content", ["{", '{"labels": {"C1": [1, 2]}}', '{"labels": ["C1"]}', '{"labels": {"liver": 1}}', "{}"]
)
def test_a_dataset_json_of_no_use_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "dataset.json").write_text(content)
    with raises_code(LabelSchemeError, "dataset.json"):
        scheme_of_folder(tmp_path, None)


def test_predictions_of_cspine_within_a_dataset_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "C1": 1}}))
    (tmp_path / "P").mkdir()
    assert scheme_of_folder(tmp_path / "P", None) == "nnunet"
    (tmp_path / "P" / "summary.json").write_text(json.dumps({"command": "cspine predict"}))
    assert scheme_of_folder(tmp_path / "P", None) == "verse" and scheme_of_folder(tmp_path / "P", "nnunet") == "nnunet"


def test_a_scheme_that_is_named_goes_before_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text("{}")
    assert scheme_of_folder(tmp_path, "spineps") == "spineps"
    assert scheme_of_folder(tmp_path / "x" / "y", None) == "verse"
    with raises_code(UsageError, "'mine'"):
        scheme_of_folder(tmp_path, "mine")
    with raises_code(LabelSchemeError, "dataset.json", "y"):
        scheme_of_folder(tmp_path / "x" / "y", "nnunet")


def test_masks_are_one_file_a_vertebra(tmp_path: Path) -> None:
    folder = tmp_path / "s0001" / "segmentations"
    for name, numbers in {"vertebrae_C1": (1,), "vertebrae_T13": (0, 1, 1), "vertebrae_S1": (0, 0, 0, 1)}.items():
        write(folder / f"{name}.nii.gz", *numbers)
    write(folder / "sacrum.nii.gz", 0, 0, 0, 0, 1)
    assert mask_folder(tmp_path / "s0001") == mask_folder(folder) == folder and mask_folder(tmp_path) is None
    assert read(folder, "masks") == [1, 28, 28]
    write(folder / "vertebrae_C2.nii.gz", 1, 1)
    assert read(folder, "masks") == [2, 28, 28]  # the one further down has what two claim
    write(folder / "vertebrae_C3.nii.gz", 1, affine=np.diag([1.0, 1, 2, 1]))
    with raises_code(CaseGridError, "vertebrae_C3.nii.gz"):
        read(folder, "masks")
    (tmp_path / "empty").mkdir()
    with raises_code(LabelSchemeError, "empty"):
        read(tmp_path / "empty", "masks")


def test_which_levels_files_can_name(tmp_path: Path) -> None:
    def named(*schemes: str) -> frozenset[str] | None:
        return levels_of_files((tmp_path / "a.nii.gz", scheme) for scheme in schemes)

    every = {level.name for level in VERTEBRAE}
    assert named("verse") is None and named("masks") is None and named() is None
    assert named("totalsegmentator-v2") == every - {"T13", "L6"} and named("ctspine1k") == every - {"T13"}
    assert named("totalsegmentator-v1", "ctspine1k") == every - {"T13"} and named("ctspine1k", "masks") is None
