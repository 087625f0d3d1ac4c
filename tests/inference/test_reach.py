"""A vertebra that reaches the end of what a network saw is segmented in a larger part of the image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cspine.core.geometry import Grid
from cspine.core.shape import Box
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume
from cspine.inference import locate, predict
from cspine.inference.predict import Inference, segment
from cspine.inference.reach import enlarged, faces_reached
from cspine.inference.settings import InferenceSettings
from cspine.inference.stage import StageRun
from cspine.models.package import load_package
from tests.builders.nnunet_results import TinyModel

ROOT = Path(__file__).parents[2]
GRID = Grid((20, 30, 40), np.diag([1.0, 2.0, 3.0, 1.0]))  # 1 mm along x, 2 along y, 3 along z
BOX: Box = (slice(5, 15), slice(0, 30), slice(10, 40))


@pytest.mark.parametrize(
    ("where", "faces"),
    [
        ((0, slice(0, 3), slice(3, 6)), ((0, 0),)),
        ((-1, slice(0, 3), slice(3, 6)), ((0, 1),)),
        ((slice(0, 10), slice(3, 9), slice(3, 6)), ((0, 0), (0, 1))),
        ((slice(3, 6), slice(3, 9), 0), ()),  # beside the column
        ((0, 0, slice(0, 3)), ()),  # 6 square millimetres
    ],
)
def test_faces_above_and_below_within_the_image_count(
    where: tuple[int | slice, ...], faces: tuple[object, ...]
) -> None:
    labels = np.zeros((10, 30, 30), np.uint8)
    labels[where] = 1
    assert faces_reached(labels, BOX, BOX, GRID) == faces
    whole = (slice(0, 20), *BOX[1:])
    assert faces_reached(np.pad(labels, ((5, 5), (0, 0), (0, 0)), "edge"), whole, whole, GRID) == ()


def test_of_a_view_its_own_faces_count() -> None:
    labels = np.zeros((10, 30, 30), np.uint8)
    labels[4:8, 3:9, 3:9] = 1
    view = (slice(9, 12), slice(0, 30), slice(10, 40))
    assert faces_reached(labels, BOX, view, GRID) == ((0, 0), (0, 1))


def test_a_box_grows_at_its_faces_within_the_image() -> None:
    assert enlarged(BOX, ((0, 0), (0, 1), (2, 0)), 7.0, GRID) == (slice(2, 18), slice(0, 30), slice(3, 40))
    assert enlarged(BOX, ((0, 0), (2, 0)), 70.0, GRID) == (slice(0, 15), slice(0, 30), slice(0, 40))


# --- the stages of a model --------------------------------------------------------------------------------------------

AFFINE = np.eye(4)


def column() -> LabelArray:
    """Cubes of 12 mm, 14 mm apart, C1 at the top."""
    labels = np.zeros((160, 50, 50), np.uint8)
    for level in range(1, 9):
        top = 135 - 14 * level
        labels[top : top + 12, 18:30, 18:30] = level
    return labels


TRUTH = column()
CT = CtVolume(np.where(TRUTH > 0, 350, 40).astype(np.int16), AFFINE)


def truth_of(volume: CtVolume, missed: tuple[int, ...] = ()) -> LabelArray:
    x, y, z = np.round(volume.affine_lps[:3, 3]).astype(int)
    shape = volume.hu_zyx.shape
    part = TRUTH[z : z + shape[0], y : y + shape[1], x : x + shape[2]].copy()
    part[np.isin(part, missed)] = 0
    return part


def without_network(monkeypatch: pytest.MonkeyPatch, missed: tuple[int, ...]) -> list[str]:
    """Let the first stage miss levels and the second be right; return the stages in the order of their runs."""
    ran: list[str] = []

    def run_stage(volume: CtVolume, previous: LabelArray | None, run: StageRun, view: Box | None = None) -> object:
        ran.append(run.stage.manifest.name)
        labels = truth_of(volume, missed if ran[-1] == "neck" else ())
        return SimpleNamespace(labels_zyx=labels, record={}, probabilities=None)

    monkeypatch.setattr(predict, "run_stage", run_stage)
    return ran


def test_labels_beside_the_column_enlarge_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = without_network(monkeypatch, (8,))
    removed: list[int] = []

    def between(labels: LabelVolume) -> LabelVolume:
        removed.append(1)
        return replace(labels, labels_zyx=np.where(labels.labels_zyx == 8, 0, labels.labels_zyx).astype(np.uint8))

    segment(CT, load_package(ROOT / "models" / "cervical-demo"), InferenceSettings("cpu"), between=between)
    assert ran == ["neck", "fine"] and len(removed) == 2


@pytest.mark.parametrize(
    ("missed", "runs"),
    [((), ["neck", "fine"]), ((8,), ["neck", "fine", "fine"]), ((7, 8), ["neck", "fine", "fine", "fine"])],
)
def test_levels_that_the_first_stage_missed_are_complete(
    missed: tuple[int, ...], runs: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = without_network(monkeypatch, missed)
    found = segment(CT, load_package(ROOT / "models" / "cervical-demo"), InferenceSettings("cpu"))
    assert ran == runs
    assert np.array_equal(found.labels.labels_zyx, TRUTH)


def located(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, lowest: int) -> tuple[Inference, list[bool]]:
    """Segment with a model of one stage, where C1 down to a level are located; also return which runs had a view."""
    package = TinyModel(
        labels={"background": 0, **{f"C{n}": n for n in range(1, 8)}, "T1": 8}, spacing=(0.4,) * 3
    ).package(tmp_path / "model")
    views: list[bool] = []

    def run_locator(volume: CtVolume, previous: None, run: StageRun) -> object:
        return SimpleNamespace(labels_zyx=truth_of(volume, tuple(range(lowest + 1, 9))))

    def run_stage(volume: CtVolume, previous: None, run: StageRun, view: Box | None = None) -> object:
        views.append(view is not None)
        labels, seen = truth_of(volume), np.zeros(volume.hu_zyx.shape, bool)
        seen[view or ...] = True
        return SimpleNamespace(labels_zyx=np.where(seen, labels, np.uint8(0)), record={}, probabilities=None)

    monkeypatch.setattr(locate, "run_stage", run_locator)
    monkeypatch.setattr(predict, "run_stage", run_stage)
    finder: Callable[[], object] = lambda: package  # noqa: E731
    return segment(CT, package, InferenceSettings("cpu"), locator=finder), views  # type: ignore[arg-type]


def test_a_neck_that_was_located_completely_is_all_that_is_seen(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, views = located(monkeypatch, tmp_path, 8)
    assert views == [True] and found.record["roi"]["box_zyx"] is not None
    assert np.array_equal(found.labels.labels_zyx, TRUTH)


def test_a_column_that_goes_on_beyond_the_located_neck_is_seen_completely(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found, views = located(monkeypatch, tmp_path, 5)
    assert views == [True, False] and found.record["roi"]["box_zyx"] is None
    assert np.array_equal(found.labels.labels_zyx, TRUTH)
