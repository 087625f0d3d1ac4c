"""Two models on the same sets: one command, figures side by side, and nothing done twice."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from benchmarks import judge_model as module
from benchmarks.judge_model import judge, sets_in
from cspine.core.errors import InputError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.settings import InferenceSettings
from cspine.io import nifti
from cspine.models.package import ModelPackage
from cspine.pipeline.segmentation import Vertebrae
from cspine.study.prediction import prediction
from tests.benchmarks.conftest import certain_model


@pytest.fixture
def models(tmp_path: Path, small_sets: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """A model that is always right, and one that calls each vertebra as the one below and says nothing of it."""
    truth = {
        nifti.read_ct(image).hu_zyx.tobytes(): nifti.read_labels(
            image.parent.parent / "labels" / image.name.replace("_0000", "")
        )
        for image in small_sets.glob("*/images/*.nii.gz")
    }

    def find(ct: CtVolume, package: ModelPackage, settings: InferenceSettings) -> tuple[None, Vertebrae]:
        labels = truth[ct.hu_zyx.tobytes()]
        below = package.manifest.version == "0.2.0"
        numbers = np.where(labels.labels_zyx > 0, labels.labels_zyx + below, 0).astype(np.uint8)
        return None, Vertebrae(LabelVolume(numbers, labels.affine_lps), ())

    monkeypatch.setattr(prediction, "find_vertebrae", find)
    return [certain_model(tmp_path / version, 0, version) for version in ("0.1.0", "0.2.0")]


def test_models_are_evaluated_side_by_side_and_a_second_call_recomputes_nothing(
    models: list[Path], small_sets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sets, out = shutil.copytree(small_sets, tmp_path / "sets"), tmp_path / "out"
    figures = judge(models, sets, out, "cpu")
    assert [each.set_name for each in figures] == ["hard", "hard", "ordinary", "ordinary"]
    assert [each.cases for each in figures] == [1] * 4
    right, wrong = figures[2:]
    assert (right.levels["all"].dice, right.levels["all"].neighbour_p95) == (1.0, 0.0)
    assert (right.subjects_right, right.silent) == (1.0, 0)
    assert wrong.levels["C4"].dice == 0
    assert wrong.levels["C4"].neighbour_median == 1.0
    assert (wrong.subjects_right, wrong.silent) == (0.0, 1)
    content = json.loads((out / "judgement.json").read_text("utf-8"))["figures"]
    assert [each["model"] for each in content] == [each.model for each in figures]
    page = (out / "judgement.md").read_text("utf-8")
    assert page.index("## hard") < page.index("## ordinary")
    assert (out / "hard" / module.judged_model(models[0]).key / "evaluation" / "sheet.png").is_file()

    def done(*_: object, **__: object) -> None:
        raise AssertionError("done before")

    monkeypatch.setattr(prediction, "find_vertebrae", done)
    monkeypatch.setattr(module.evaluate.command, "main", done)
    assert judge(models, sets, out, "cpu") == figures


def test_new_references_are_evaluated_again(models: list[Path], small_sets: Path, tmp_path: Path) -> None:
    sets = tmp_path / "sets"
    shutil.copytree(small_sets / "hard", sets / "hard")
    (first,) = judge(models[:1], sets, tmp_path / "out", "cpu")
    reference = sets / "hard" / "labels" / "hard_1.nii.gz"
    labels = nifti.read_labels(reference)
    nifti.write(reference, np.where(labels.labels_zyx == 4, 0, labels.labels_zyx), labels.affine_lps)
    (second,) = judge(models[:1], sets, tmp_path / "out", "cpu")
    assert (first.subjects_right, second.subjects_right) == (1.0, 0.0)  # a C4 that is not there


def test_a_folder_without_sets_is_an_error_with_advice(models: list[Path], tmp_path: Path) -> None:
    (tmp_path / "sets" / "half" / "images").mkdir(parents=True)
    assert sets_in(tmp_path / "sets") == []
    with pytest.raises(InputError) as caught:
        judge(models, tmp_path / "sets", tmp_path / "out")
    assert caught.value.advice
