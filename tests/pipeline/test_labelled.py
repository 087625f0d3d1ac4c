"""Labels that exist, from wherever a path leads, with the names that their files give them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import VERTEBRAE, vertebra
from cspine.core.errors import InputError, LabelSchemeError, UsageError
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.pipeline.label_schemes import in_scheme
from cspine.pipeline.labelled import read_labelled
from cspine.study.label_sets import label_set
from tests.builders.measured_study import ct_series, labelled, segmentation
from tests.builders.raises import raises_code


def levels_in(path: Path, scheme: str | None = None) -> list[str]:
    return [level.name for level in read_labelled(path, scheme).labels.levels]


def written(path: Path, *numbers: int) -> Path:
    """Labels that hold each number once."""
    array = np.zeros((3, 4, 30), dtype=np.uint8)
    array.flat[: len(numbers)] = numbers
    nifti.write(path, array, np.eye(4))
    return path


@pytest.mark.parametrize(
    ("name", "levels"), [("full-spine", ("T12", "T13", "L1", "L6")), ("cervical", ("C1", "C7", "T1", "T2"))]
)
def test_labels_of_a_dataset_go_by_the_names_of_its_dataset_json(
    tmp_path: Path, name: str, levels: tuple[str, ...]
) -> None:
    labels = label_set(name, auxiliary=True)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels.network_labels()}))
    anatomy = np.zeros((2, 3, 30), dtype=np.uint8)
    anatomy.flat[: len(levels)] = [vertebra(level).label for level in levels]
    nifti.write(tmp_path / "labelsTr" / "a.nii.gz", labels.to_network(anatomy), np.eye(4))
    in_set = [level.name for level in labels.levels if level.name in levels]
    assert levels_in(tmp_path / "labelsTr" / "a.nii.gz") == in_set
    numbers = set(labels.to_network(anatomy).ravel().tolist()) - {0}
    as_verse = [level.name for level in VERTEBRAE if level.label in numbers]
    assert levels_in(tmp_path / "labelsTr" / "a.nii.gz", "verse") == as_verse != in_set


def test_labels_of_a_run_within_a_dataset_are_its_own(tmp_path: Path) -> None:
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": {"background": 0, "T1": 1}}))
    file = written(tmp_path / "report" / "labels.nii.gz", 1)
    assert levels_in(file) == ["T1"] and levels_in(tmp_path) == ["C1"]
    (file.parent / "labels.json").write_text("{}")
    assert levels_in(file) == ["C1"]


@pytest.mark.parametrize(("number", "known"), [(26, True), (27, True), (29, False), (200, False)])
def test_a_number_that_no_scheme_in_force_knows_is_refused(tmp_path: Path, number: int, known: bool) -> None:
    file = written(tmp_path / "a.nii.gz", 3, number)
    if known:
        assert levels_in(file) == ["C3"]
        return
    with raises_code(LabelSchemeError, "a.nii.gz", number, "verse"):
        read_labelled(file)


def test_numbers_of_another_system(tmp_path: Path) -> None:
    file = written(tmp_path / "a.nii.gz", 11, 17, 21, 1, 63)
    assert levels_in(file, "totalspineseg") == ["C1", "C7", "T1"]
    with raises_code(UsageError, "'mine'"):
        read_labelled(file, "mine")
    with pytest.raises(LabelSchemeError):
        read_labelled(file, "nnunet")


def test_folders_of_a_run_and_of_masks(tmp_path: Path) -> None:
    labels = labelled(("C4", "C5"))
    seg = tmp_path / "run" / "dicom" / "segmentation.dcm"
    seg.parent.mkdir(parents=True)
    segmentation(labels, ct_series(tmp_path / "ct", labels), seg)
    for place in (tmp_path / "run", tmp_path / "run" / "dicom", seg):
        found = read_labelled(place)
        assert [level.name for level in found.labels.levels] == ["C4", "C5"]
        assert found.path == seg and found.record is not None and found.labels.model is not None
    plain = written(tmp_path / "plain" / "report" / "labels.nii.gz", 4)
    assert levels_in(tmp_path / "plain") == ["C4"] and read_labelled(tmp_path / "plain").path == plain
    for name in ("C2", "T1"):
        written(tmp_path / "case" / "segmentations" / f"vertebrae_{name}.nii.gz", *([0] * int(name[1])), 1)
    for place in (tmp_path / "case", tmp_path / "case" / "segmentations"):
        assert levels_in(place) == levels_in(place, "masks") == ["C2", "T1"]
    (tmp_path / "empty").mkdir()
    for place, scheme in (("empty", None), ("absent", None), ("case", "verse"), ("run", "masks")):
        with pytest.raises(InputError):
            read_labelled(tmp_path / place, scheme)


def test_other_image_files_are_read_too(tmp_path: Path) -> None:
    written(tmp_path / "a.nrrd", 2)
    assert levels_in(tmp_path / "a.nrrd") == ["C2"]


def test_a_scheme_keeps_what_is_known_of_labels() -> None:
    volume = LabelVolume(np.full((1, 1, 1), 11, np.uint8), np.eye(4), labelled().model, frozenset({11}))
    found = in_scheme(volume, "totalspineseg", "labels")
    assert found.labels_zyx.item() == 1 and found.model == volume.model and found.cut == {1}
    for scheme in ("masks", "nnunet", "dicom-seg", "mine"):
        with pytest.raises(UsageError):
            in_scheme(volume, scheme, "labels")
