from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference import locate, predict
from cspine.inference.engines.choose import choose_engine
from cspine.inference.locate import Location, locate_neck, saves_work
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageRun, run_stage
from cspine.models.manifest import ModelManifest
from cspine.models.package import write_package
from tests.builders.nnunet_results import TinyModel, default_arguments
from tests.builders.stock_nnunet import lively_volume

LEVELS = {"background": 0, **{f"C{n}": n for n in range(1, 8)}, "T1": 8}
VIEW = (slice(22, 31), slice(8, 40), slice(30, 41))
MODELS = {
    "isotropic": TinyModel(),
    "linear": TinyModel(data_arguments=default_arguments(1)),
    "axes in another order": TinyModel(transpose=(1, 2, 0)),
    "thick slices": TinyModel(spacing=(7.0, 1.5, 1.5), patch=(8, 24, 20)),
    "z-score within a mask": TinyModel(normalization="ZScoreNormalization", masked=True),
    "two folds": TinyModel(folds=("0", "1")),
    "larger than the image": TinyModel(patch=(80, 24, 20)),
    "slice by slice": TinyModel(patch=(24, 20), spacing=(2.0, 2.0), configuration="2d", mirror_axes=(0, 1)),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("orientation", ["LPS", "RAS"])
def test_the_labels_of_a_view_are_those_of_the_complete_image(name, orientation, tmp_path):
    model = MODELS[name]
    content = model.manifest().model_dump(mode="json")
    content["stages"][0]["orientation"] = orientation
    package = write_package(tmp_path / "tiny", ModelManifest.model_validate(content), {"fine": model.content()})
    volume = lively_volume((60, 90, 60), (2.2, 1.2, 1.3), zero_border=3)
    seen: dict[bool, list[int]] = {True: [], False: []}

    def labels(view):
        done = seen[view is None]
        settings, engine = InferenceSettings("cpu"), choose_engine("cpu")
        run = StageRun(package.stages[0], settings, engine, lambda n, total: done.append(n))
        return run_stage(volume, None, run, view).labels_zyx

    complete, part = labels(None), labels(VIEW)
    assert len(np.unique(complete[VIEW])) > 2
    assert np.mean(part[VIEW] != complete[VIEW]) <= 1e-4  # rounding of the resampling
    part[VIEW] = 0
    assert not part.any()
    assert len(seen[False]) < len(seen[True])


def test_without_matrices_of_the_logits_the_complete_image_is_seen(tmp_path):
    package = TinyModel(logits_arguments=default_arguments(3)).package(tmp_path / "tiny")
    run = StageRun(package.stages[0], InferenceSettings("cpu"), choose_engine("cpu"), lambda n, total: None)
    volume = lively_volume((30, 40, 36))
    expected = run_stage(volume, None, run).labels_zyx
    assert np.array_equal(run_stage(volume, None, run, (slice(4, 9), slice(4, 9), slice(4, 9))).labels_zyx, expected)


def located(monkeypatch, package, labels_zyx, between=None) -> Location:
    monkeypatch.setattr(locate, "run_stage", lambda volume, previous, run: SimpleNamespace(labels_zyx=labels_zyx))
    volume = CtVolume(np.zeros(labels_zyx.shape, dtype=np.int16), np.eye(4))
    return locate_neck(volume, package, InferenceSettings("cpu"), between)


def column(levels, edge=8) -> np.ndarray:
    """Cubes of 8 mm, one below the other."""
    labels = np.zeros((160, 60, 60), dtype=np.uint8)
    for level in levels:
        top = 130 - 10 * level
        labels[top : top + edge, 30 : 30 + edge, 30 : 30 + edge] = level
    return labels


@pytest.fixture
def finder(tmp_path):
    return TinyModel(labels=LEVELS).package(tmp_path / "finder")


def test_a_column_of_levels_is_a_neck_with_a_margin(finder, monkeypatch):
    location = located(monkeypatch, finder, column(range(1, 9)))
    assert location.levels == ("C1", "C2", "C3", "C4", "C5", "C6", "C7")
    assert location.box == (slice(30, 148), slice(10, 58), slice(10, 58))
    assert not location.is_nothing
    assert not location.is_doubtful
    assert location.as_record()["box_zyx"] == [[30, 148], [10, 58], [10, 58]]


@pytest.mark.parametrize("levels", [(1, 2, 3), (1, 2, 3, 6, 7), (5,)])
def test_few_levels_or_levels_apart_are_doubtful(levels, finder, monkeypatch):
    location = located(monkeypatch, finder, column(levels))
    assert location.is_doubtful
    assert location.box is None
    assert location.levels == tuple(f"C{n}" for n in levels)


@pytest.mark.parametrize("labels", [column(()), column((8,)), column((3,), edge=5)])
def test_no_neck_is_nothing(labels, finder, monkeypatch):
    assert located(monkeypatch, finder, labels).is_nothing


def test_labels_away_from_the_column_are_removed_before(finder, monkeypatch):
    def nothing(labels: LabelVolume) -> LabelVolume:
        return replace(labels, labels_zyx=np.zeros_like(labels.labels_zyx))

    assert located(monkeypatch, finder, column(range(1, 9)), nothing).is_nothing


def test_small_work_is_done_without_a_locator(tmp_path):
    volume = lively_volume((60, 90, 60))
    small, large = TinyModel().package(tmp_path / "small"), TinyModel(spacing=(0.5,) * 3).package(tmp_path / "large")
    settings = InferenceSettings("cpu")
    assert not saves_work(volume, small.stages[0], settings)
    assert saves_work(volume, large.stages[0], settings)
    assert not saves_work(volume, large.stages[0], replace(settings, step_size=1.0))


class Locator:
    """A locator with a fixed answer, which counts how often it is asked."""

    def __init__(self, monkeypatch, location: Location) -> None:
        self.asked = 0
        monkeypatch.setattr(predict, "saves_work", lambda volume, stage, settings: True)
        monkeypatch.setattr(predict, "locate_neck", lambda volume, package, settings, between: location)

    def __call__(self):
        self.asked += 1
        return "a package"


def test_a_model_of_one_stage_sees_the_neck_alone(tmp_path, monkeypatch):
    package, volume = TinyModel().package(tmp_path / "tiny"), lively_volume((60, 90, 60))
    locator = Locator(monkeypatch, Location(VIEW, ("C1", "C2", "C3", "C4"), 0.1))
    monkeypatch.setattr(predict, "faces_reached", lambda *of: ())  # random labels reach the end of every box
    result = segment(volume, package, InferenceSettings("cpu"), locator=locator)
    complete = segment(volume, package, InferenceSettings("cpu", roi="full"), locator=locator)
    assert locator.asked == 1
    assert "roi" not in complete.record
    assert result.record["roi"]["levels"] == ["C1", "C2", "C3", "C4"]
    assert np.mean(result.labels.labels_zyx[VIEW] != complete.labels.labels_zyx[VIEW]) <= 1e-4
    assert result.labels.labels_zyx.any()
    assert result.labels.labels_zyx.sum() == result.labels.labels_zyx[VIEW].sum()


def test_a_doubtful_location_shows_the_complete_image(tmp_path, monkeypatch):
    package, volume = TinyModel().package(tmp_path / "tiny"), lively_volume()
    locator = Locator(monkeypatch, Location(None, ("C1", "C2"), 0.1))
    result = segment(volume, package, InferenceSettings("cpu"), locator=locator)
    complete = segment(volume, package, InferenceSettings("cpu"))
    assert np.array_equal(result.labels.labels_zyx, complete.labels.labels_zyx)
    assert result.record["roi"] == {"box_zyx": None, "levels": ["C1", "C2"], "seconds": 0.1}


def test_a_scan_without_a_neck_is_not_shown_to_the_model(tmp_path, monkeypatch):
    package, volume = TinyModel().package(tmp_path / "tiny"), lively_volume()
    result = segment(volume, package, InferenceSettings("cpu"), locator=Locator(monkeypatch, Location(None, (), 0.1)))
    assert not result.labels.labels_zyx.any()
    assert result.record["stages"] == []


def test_full_spine_models_and_models_of_two_stages_are_never_limited(tmp_path, monkeypatch):
    spine = TinyModel(labels={"background": 0, "C7": 1, "L1": 2, "L2": 3}).package(tmp_path / "spine")
    locator = Locator(monkeypatch, Location(VIEW, ("C1",), 0.1))
    assert "roi" not in segment(lively_volume(), spine, InferenceSettings("cpu"), locator=locator).record
    assert locator.asked == 0
