"""`cspine.study`: the functions of the study, on tiny inputs."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import cspine
from cspine.core.errors import UsageError, hashed
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.comparison.statistics import Settings
from cspine.study.grids import common_grid, on_grid
from tests.builders.evaluation_folders import Scores
from tests.builders.raises import raises_code


def test_importing_the_study_loads_no_library() -> None:
    code = (
        "import sys, cspine; dir(cspine.study)\n"
        "print(sorted({'numpy', 'torch', 'pydicom', 'click'} & {m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    assert all(getattr(cspine.study, name) is not None for name in cspine.study.__all__)
    with pytest.raises(AttributeError):
        cspine.study.nothing_of_the_kind  # noqa: B018


@pytest.fixture(scope="module")
def seg(bright_study: Path, bright_model: Path) -> cspine.Segmentation:
    return cspine.segment(bright_study, bright_model, device="cpu")


@pytest.fixture(scope="module")
def folders(seg: cspine.Segmentation, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same labels as NIfTI, as a folder of `cspine run`, and as a DICOM file alone."""
    root = tmp_path_factory.mktemp("labels")
    seg.to_nifti(root / "nifti" / "a.nii.gz")
    seg.save(root / "run" / "a")
    seg.save(root / "labelmap" / "a", seg_type="labelmap", outputs=["seg"])
    (root / "file").mkdir()
    (root / "labelmap" / "a" / "dicom" / "segmentation.dcm").rename(root / "file" / "a.dcm")
    return {name: root / name for name in ("nifti", "run", "file")}


@pytest.mark.parametrize(
    ("predictions", "references"),
    [("run", "nifti"), ("file", "nifti"), ("nifti", "run"), ("nifti", "file"), ("run", "file")],
)
def test_labels_are_compared_whatever_their_format(predictions: str, references: str, folders: dict[str, Path]) -> None:
    options = cspine.study.EvaluationOptions(jobs=1)
    found = cspine.study.evaluate(folders[predictions], folders[references], options=options)
    (result,) = found.results
    assert result.error == "" and result.case == "a"
    assert [(row["case"], row["level"], row["dice"], row["hd95_mm"]) for row in found.scores()] == [
        ("a", "C2", 1.0, 0.0)
    ]
    assert found.title == folders[predictions].name and found.summary()["cases"] == 1


def test_an_evaluation_of_segmentations_is_written_with_its_pictures(
    seg: cspine.Segmentation, folders: dict[str, Path], tmp_path: Path
) -> None:
    nifti.write(tmp_path / "images" / "a_0000.nii.gz", seg.ct.array, seg.ct.affine)
    inputs = cspine.study.Inputs(images=tmp_path / "images")
    options = cspine.study.EvaluationOptions(levels="C1-C7", jobs=1, title="mine")
    cspine.study.evaluate(folders["run"], folders["file"], out=tmp_path / "out", inputs=inputs, options=options)
    with (tmp_path / "out" / "files.csv").open(newline="") as lines:
        (row,) = csv.DictReader(lines)
    assert (row["prediction_scheme"], row["reference_scheme"]) == ("dicom-seg", "dicom-seg")
    assert Path(row["prediction"]).name == "segmentation.dcm"
    assert (tmp_path / "out" / "sheet.png").is_file()


def test_a_model_is_evaluated_on_images(
    seg: cspine.Segmentation, folders: dict[str, Path], bright_model: Path, tmp_path: Path
) -> None:
    nifti.write(tmp_path / "images" / "a_0000.nii.gz", seg.ct.array, seg.ct.affine)
    inputs = cspine.study.Inputs(images=tmp_path / "images")
    options = cspine.study.EvaluationOptions(device="cpu", pictures=0)
    found = cspine.study.evaluate(None, folders["nifti"], model=bright_model, inputs=inputs, options=options)
    assert [(row["level"], row["dice"]) for row in found.scores() if row["dice"]] == [("C2", 1.0)]
    assert found.model is not None and found.model["name"] == "bright"
    with raises_code(UsageError, "--images"):
        cspine.study.evaluate(None, folders["nifti"], model=bright_model)
    with raises_code(UsageError, "--model"):
        cspine.study.evaluate(folders["run"], folders["nifti"], model=bright_model)


def test_predictions_name_their_sources(
    seg: cspine.Segmentation, bright_study: Path, bright_model: Path, tmp_path: Path
) -> None:
    nifti.write(tmp_path / "images" / "b_0000.nii.gz", seg.ct.array, seg.ct.affine)
    settings = cspine.InferenceSettings(device="cpu")
    out = tmp_path / "predictions"
    (first,) = cspine.study.predict(bright_study.parent, out, model=bright_model, settings=settings)
    cspine.study.predict(tmp_path / "images", out, model=bright_model, settings=settings)
    with (out / "sources.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    name = bright_study.name
    assert first.case == name and first.error == ""
    assert rows == [
        {"case": name, "hashed": hashed(name), "kind": "DICOM", "source": str(bright_study.resolve())},
        {"case": "b", "hashed": hashed("b"), "kind": "NIfTI", "source": str(tmp_path / "images" / "b_0000.nii.gz")},
    ]
    assert np.array_equal(nifti.read_labels(out / "b.nii.gz").array, seg.labels.array)


def test_a_part_of_a_grid_is_inserted_at_its_index_and_a_common_grid_contains_both() -> None:
    complete = np.zeros((6, 7, 8), dtype=np.uint8)
    complete[2:4, 1:3, 5:7] = 3
    affine = np.diag([-1.0, 2.0, 3.0, 1.0])
    part_affine = affine.copy()
    part_affine[:3, 3] = affine[:3, :3] @ (5, 1, 2)
    part = LabelVolume(complete[2:4, 1:3, 5:7].copy(), part_affine)
    grid = LabelVolume(complete, affine).grid
    assert np.array_equal(on_grid(part, grid, partial=True).labels_zyx, complete)
    other_affine = affine.copy()
    other_affine[:3, 3] = affine[:3, :3] @ (3, 0, 3)
    other = LabelVolume(np.ones((4, 2, 3), dtype=np.uint8), other_affine)
    both = common_grid(part, other)
    assert both.shape_zyx == (5, 3, 4)
    assert np.array_equal(both.affine_lps[:3, 3], affine[:3, :3] @ (3, 0, 2))
    assert on_grid(other, both, partial=True).labels_zyx.sum() == 24


def test_models_are_compared_with_the_default_margins(tmp_path: Path) -> None:
    for number in (1, 2):
        Scores().write(tmp_path / f"m{number}")
    results = cspine.study.compare([tmp_path / "m1", tmp_path / "m2"], out=tmp_path / "out")
    assert results.settings.margins == {"dice": 0.02, "hd95_mm": 0.5}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["complete"]
    more = {"reference": tmp_path / "m2", "title": "mine", "single": ["external-000"], "worst": 0, "with_paper": True}
    found = cspine.study.compare([tmp_path / "m1", tmp_path / "m2"], levels="C1-C3", force=True, **more)
    assert found.with_paper and found.title == "mine"
    with raises_code(UsageError, "assd_mm"):
        Settings(margins={"assd_mm": 1.0})
    assert Settings(margins={"dice": 0.1}).margins == {"dice": 0.1, "hd95_mm": 0.5}
