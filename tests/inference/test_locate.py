from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from cspine.core.geometry import reorientation, to_index
from cspine.core.shape import occupied_box
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference import locate, predict
from cspine.inference.engines.choose import choose_engine
from cspine.inference.locate import MAX_PARTS, Location, locate_neck, saves_work, survey_neck
from cspine.inference.predict import segment
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageRun, run_stage
from cspine.models.manifest import ModelManifest
from cspine.models.package_writer import write_package
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


def test_full_spine_models_are_never_limited(tmp_path, monkeypatch):
    spine = TinyModel(labels={"background": 0, "C7": 1, "L1": 2, "L2": 3}).package(tmp_path / "spine")
    locator = Locator(monkeypatch, Location(VIEW, ("C1",), 0.1))
    monkeypatch.setattr(predict, "survey_neck", lambda *of: Location(VIEW, ("C1",), 0.1))
    assert "roi" not in segment(lively_volume(), spine, InferenceSettings("cpu"), locator=locator).record
    assert locator.asked == 0


# --- the survey of a long scan ----------------------------------------------------------------------------------------

#: A patient of 1.2 m, 200 mm wide and deep, in voxels of 4 mm; the neck is where `neck_at` puts it.
LONG_ZYX, VOXEL_MM = (300, 50, 50), 4.0


def neck_at(top: int, x: int = 24) -> np.ndarray:
    """Eight cubes of 16 mm below each other, from the slice ``top`` downwards, in an image whose slices go up."""
    labels = np.zeros(LONG_ZYX, dtype=np.uint8)
    for level in range(1, 9):
        last = top - 4 * (level - 1)
        labels[last - 3 : last + 1, 20:24, x : x + 4] = level
    return labels


class Scan:
    """A long scan whose labels are known, and the parts of it that a network was asked about."""

    def __init__(self, monkeypatch, labels_zyx: np.ndarray, orientation: str = "LPS") -> None:
        up = CtVolume(np.zeros(labels_zyx.shape, np.int16), np.diag([VOXEL_MM, VOXEL_MM, VOXEL_MM, 1.0]))
        turn = reorientation(up.affine_lps, orientation)
        self.labels = turn.apply(labels_zyx)
        self.volume = CtVolume(turn.apply(up.hu_zyx), turn.grid(up.grid).affine_lps)
        self.asked: list[tuple[slice, ...]] = []
        monkeypatch.setattr(locate, "run_stage", self.answer)

    def answer(self, part: CtVolume, previous, run) -> SimpleNamespace:
        first_xyz = to_index(self.volume.affine_lps, part.affine_lps[None, :3, 3])[0]
        starts = [round(float(value)) for value in reversed(first_xyz)]
        box = tuple(slice(start, start + n) for start, n in zip(starts, part.hu_zyx.shape, strict=True))
        self.asked.append(box)
        return SimpleNamespace(labels_zyx=self.labels[box])

    def survey(self, package, between=None) -> Location | None:
        engine = choose_engine("cpu")
        return survey_neck(self.volume, package.stages[0], InferenceSettings("cpu"), engine, between)


@pytest.mark.parametrize("orientation", ["LPS", "RAI", "PSL", "ASR"])
def test_a_long_scan_is_looked_at_from_the_head_until_there_is_a_neck(orientation, finder, monkeypatch):
    scan = Scan(monkeypatch, neck_at(230), orientation)
    location = scan.survey(finder)
    assert location is not None
    assert location.levels == ("C1", "C2", "C3", "C4", "C5", "C6", "C7")
    assert location.box == occupied_box(scan.labels, (5, 5, 5))
    assert len(scan.asked) == 2  # the first part ends within the neck
    assert sum(np.prod([part.stop - part.start for part in box]) for box in scan.asked) < scan.labels.size / 2


def test_a_neck_at_the_top_needs_one_look(finder, monkeypatch):
    scan = Scan(monkeypatch, neck_at(299))
    location = scan.survey(finder)
    assert location is not None
    assert location.box is not None
    assert location.box[0].stop == 300
    assert len(scan.asked) == 1


@pytest.mark.parametrize(
    ("labels", "looks"),
    [
        (np.zeros(LONG_ZYX, np.uint8), MAX_PARTS),
        (neck_at(40), MAX_PARTS),  # at the feet
        (np.where(neck_at(290) > 3, 0, neck_at(290)), MAX_PARTS),  # three levels
        (neck_at(290, x=40), MAX_PARTS),  # cut by the side of the part
    ],
)
def test_without_a_certain_neck_in_the_first_parts_the_complete_image_is_seen(labels, looks, finder, monkeypatch):
    scan = Scan(monkeypatch, labels)
    assert scan.survey(finder) is None
    assert len(scan.asked) == looks


def test_a_scan_of_head_and_neck_is_not_surveyed(finder, monkeypatch):
    scan = Scan(monkeypatch, neck_at(299)[-120:])
    assert scan.survey(finder) is None
    assert not scan.asked


def test_the_survey_removes_labels_away_from_the_column(finder, monkeypatch):
    scan = Scan(monkeypatch, neck_at(299))
    empty = lambda labels: replace(labels, labels_zyx=np.zeros_like(labels.labels_zyx))  # noqa: E731
    assert scan.survey(finder, empty) is None


def test_a_locator_surveys_long_scans(finder, monkeypatch):
    scan = Scan(monkeypatch, neck_at(299))
    location = locate_neck(scan.volume, finder, InferenceSettings("cpu"))
    assert location.levels == ("C1", "C2", "C3", "C4", "C5", "C6", "C7")
    assert len(scan.asked) == 1
    scan = Scan(monkeypatch, neck_at(40))  # found by the look at all of it
    assert locate_neck(scan.volume, finder, InferenceSettings("cpu")).levels[0] == "C1"
    assert len(scan.asked) == MAX_PARTS + 1


def two_stages(folder):
    """A model of two stages, each of random weights."""
    model = TinyModel()
    content = model.manifest().model_dump(mode="json")
    stages = [{**content["stages"][0], "name": name, "folder": name, "margin_mm": 500} for name in ("coarse", "fine")]
    manifest = ModelManifest.model_validate({**content, "stages": stages})
    return write_package(folder, manifest, {"coarse": model.content(), "fine": model.content()})


def test_the_first_stage_of_a_model_of_several_sees_what_the_survey_found(tmp_path, monkeypatch):
    package, volume = two_stages(tmp_path / "two"), lively_volume((60, 90, 60))
    settings, full = InferenceSettings("cpu"), InferenceSettings("cpu", roi="full")
    monkeypatch.setattr(predict, "survey_neck", lambda *of: Location(VIEW, ("C1",), 0.1))
    monkeypatch.setattr(predict, "faces_reached", lambda *of: ())
    first, complete = (segment(volume, package, setting) for setting in (settings, full))
    assert first.record["roi"]["box_zyx"] == [[22, 31], [8, 40], [30, 41]]
    assert "roi" not in complete.record
    assert [record["name"] for record in first.record["stages"]] == ["coarse", "fine"]
    assert np.prod(first.record["stages"][0]["network_grid"]["shape"]) < np.prod(
        complete.record["stages"][0]["network_grid"]["shape"]
    )


def test_where_the_column_goes_on_a_model_of_several_stages_sees_the_complete_image(tmp_path, monkeypatch):
    package, volume = two_stages(tmp_path / "two"), lively_volume((60, 90, 60))
    complete = segment(volume, package, InferenceSettings("cpu", roi="full"))
    monkeypatch.setattr(predict, "survey_neck", lambda *of: Location(VIEW, ("C1",), 0.1))
    result = segment(volume, package, InferenceSettings("cpu"))  # random labels reach the end of every box
    assert np.array_equal(result.labels.labels_zyx, complete.labels.labels_zyx)
    assert "roi" not in result.record


def test_a_survey_without_a_certain_neck_changes_nothing(tmp_path, monkeypatch):
    package, volume = two_stages(tmp_path / "two"), lively_volume((60, 90, 60))
    asked = []
    run = locate.run_stage
    monkeypatch.setattr(locate, "MIN_SURVEY_MM", 1.0)
    monkeypatch.setattr(locate, "run_stage", lambda *of: asked.append(of) or run(*of))
    result = segment(volume, package, InferenceSettings("cpu"))  # random labels are no column
    complete = segment(volume, package, InferenceSettings("cpu", roi="full"))
    assert asked
    assert np.array_equal(result.labels.labels_zyx, complete.labels.labels_zyx)
    assert "roi" not in result.record
