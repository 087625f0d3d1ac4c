"""Worst cases as pictures, from files that may be absent, damaged or numbered differently."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cspine.io import nifti
from cspine.study.comparison import pictures
from cspine.study.comparison.alignment import align
from cspine.study.comparison.pictures import worst_cases, write_pictures
from cspine.study.comparison.reading import read_evaluation
from tests.builders.evaluation_folders import SMALL, Line, missed, write_folder, write_images
from tests.builders.spine_phantom import draw

CASES = {"good": 0.95, "bad": 0.5, "worst": 0.2}


def cohort(root: Path, files: list[list[str]], other: list[list[str]] | None = None):
    first = write_folder(root / "m1", [Line(case, "C1", 0.9) for case in CASES], files=files)
    second = write_folder(root / "m2", [Line(c, "C1", dice) for c, dice in CASES.items()], files=other or files)
    return align([read_evaluation(first), read_evaluation(second)])


def coloured(path: Path) -> int:
    """Pixels that are not grey."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"), dtype=int)[70:, 310:]
    return int((np.ptp(pixels, axis=-1) > 60).sum())


def test_the_worst_case_of_any_model_comes_first(tmp_path: Path) -> None:
    found = cohort(tmp_path, [])
    assert worst_cases(found, 2) == [("worst", "m2", 0.2), ("bad", "m2", 0.5)]
    assert [case for case, _, _ in worst_cases(found, 9)] == ["worst", "bad", "good"]
    assert write_pictures(found, 0, tmp_path / "plots") == []


def test_a_picture_shows_every_model_and_the_same_bytes_again(tmp_path: Path) -> None:
    first = write_images(tmp_path / "files", ["worst"], "m1")
    second = write_images(tmp_path / "files", ["worst"], "m2", lost=4)
    for name in ("a", "b"):
        (picture,) = write_pictures(cohort(tmp_path, first, second), 1, tmp_path / name)
    assert picture.name == "worst-1" and picture.remarks == () and "mean Dice 0.200 of m2" in picture.caption
    assert coloured(tmp_path / "a" / "worst-1.png") > 500
    assert (tmp_path / "a" / "worst-1.png").read_bytes() == (tmp_path / "b" / "worst-1.png").read_bytes()


def test_without_an_image_the_labels_are_shown(tmp_path: Path) -> None:
    files = write_images(tmp_path / "files", ["worst"], "m1")
    files[0][1] = ""
    (picture,) = write_pictures(cohort(tmp_path, files), 1, tmp_path)
    assert picture.remarks == ("m1: no image: labels only", "m2: no image: labels only")
    assert coloured(tmp_path / "worst-1.png") > 500


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    files = write_images(tmp_path / "files", ["worst", "bad"], "m1")
    Path(files[0][4]).write_bytes(b"no image")
    Path(files[1][1]).write_bytes(b"no image")
    pictures = write_pictures(cohort(tmp_path, files), 3, tmp_path)
    assert pictures[0].remarks[0] == "m1: worst.nii.gz cannot be read"
    assert pictures[1].remarks[0] == "m1: bad_0000.nii.gz cannot be read: labels only"
    assert pictures[2].remarks[0] == "m1: files.csv does not name its images"


def test_another_grid_is_said_and_another_orientation_is_none(tmp_path: Path) -> None:
    files = write_images(tmp_path / "files", ["worst"], "m1")
    labels, affine = draw(SMALL), SMALL.grid().affine_lps.copy()
    affine[:3, 3] += 30
    nifti.write(Path(files[0][2]), labels, affine)
    (picture,) = write_pictures(cohort(tmp_path, files), 1, tmp_path)
    assert "different grids" in picture.remarks[0] and (tmp_path / "worst-1.png").is_file()
    flipped = SMALL.grid().affine_lps.copy()
    flipped[0, 3] += flipped[0, 0] * (labels.shape[2] - 1)
    flipped[0, 0] *= -1
    nifti.write(Path(files[0][2]), np.ascontiguousarray(labels[:, :, ::-1]), flipped)
    (picture,) = write_pictures(cohort(tmp_path, files), 1, tmp_path)
    assert picture.remarks == ()


def test_labels_of_a_network_are_read_by_their_dataset_json(tmp_path: Path) -> None:
    files = write_images(tmp_path / "files", ["worst"], "m1")
    names = ["background", *(f"C{i}" for i in range(1, 8)), "T1"]
    text = json.dumps({"labels": {name: 9 - number if number else 0 for number, name in enumerate(names)}})
    for column, scheme in ((2, 3), (4, 5)):
        path = Path(files[0][column])
        labels = nifti.read_labels(path)
        nifti.write(path, np.where(labels.labels_zyx > 0, 9 - labels.labels_zyx, 0).astype(np.uint8), labels.affine_lps)
        (path.parent / "dataset.json").write_text(text)
        files[0][scheme] = "nnunet"
    write_pictures(cohort(tmp_path, files), 1, tmp_path / "network")
    write_pictures(cohort(tmp_path, write_images(tmp_path / "verse", ["worst"], "m1")), 1, tmp_path / "verse")
    assert (tmp_path / "network/worst-1.png").read_bytes() == (tmp_path / "verse/worst-1.png").read_bytes()


def test_words_report_missed_and_false_levels(tmp_path: Path) -> None:
    lines = [Line("a", "C1"), missed(Line("a", "C2")), Line("a", "C3", 0.0, None, reference_ml=0.0)]
    found = align([read_evaluation(write_folder(tmp_path, lines))])
    (picture,) = write_pictures(found, 1, tmp_path)
    assert picture.caption == f"a: mean Dice 0.300 of {tmp_path.name}"
    (row,) = pictures._rows(list(found.models), "a", [])
    assert (row.good, row.headline) == (False, "mean Dice 0.300")
    assert row.lines[:3] == ("- missed: C2", "- not in the reference: C3", "lowest: C2 0.00, C3 0.00, C1 0.90")


@pytest.mark.parametrize(("dice", "good"), [(0.6, True), (0.4, False)])
def test_a_poorly_segmented_case_does_not_look_good(tmp_path: Path, dice: float, good: bool) -> None:
    (model,) = align([read_evaluation(write_folder(tmp_path, [Line("a", "C1", dice)]))]).models
    (row,) = pictures._rows([model], "a", [])
    assert (row.good, row.headline) == (good, f"mean Dice {dice:.3f}")
