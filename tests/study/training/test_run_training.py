"""A training as one call: what is checked before any work, and what `cspine.study.train` asks for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

import cspine
from cspine.core.errors import TrainingError, UsageError
from cspine.study.label_sets import label_set
from cspine.study.training import run_training as module
from cspine.study.training.run_training import TrainingTask, run_training
from cspine.study.training.settings import PRESETS, TrainingSettings
from tests.builders.raises import raises_code
from tests.builders.tiny_dataset import tiny_dataset


class BegunError(Exception):
    """Ends a training where its work would begin."""


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """The arguments of the training that would begin."""
    calls: list[tuple[object, ...]] = []

    def train(*arguments: object) -> None:
        calls.append(arguments)
        raise BegunError

    monkeypatch.setattr(module, "train", train)
    return calls


def test_needs_are_reported_before_the_work(tmp_path: Path, trained: list[tuple[object, ...]]) -> None:
    told: list[tuple[int, Sequence[str]]] = []
    task = TrainingTask(tiny_dataset(tmp_path / "Dataset501_Tiny").root, tmp_path / "run", tmp_path / "model")
    with pytest.raises(BegunError):
        run_training(task, lambda lines: told.append((len(trained), lines)))
    ((begun, lines),) = told
    assert begun == 0 and len(lines) >= 3 and len(trained) == 1


@pytest.mark.parametrize(
    ("changed", "value"),
    [({"name": "two words"}, "name"), ({"preset": "mine"}, "'mine'"), ({"settings": None, "preset": "x"}, "'x'")],
)
def test_what_makes_no_sense_is_refused_before_the_work(
    tmp_path: Path, trained: list[tuple[object, ...]], changed: dict[str, str], value: str
) -> None:
    dataset = tiny_dataset(tmp_path / "Dataset501_Tiny").root
    with raises_code(UsageError, value):
        cspine.study.train(dataset, tmp_path / "run", tmp_path / "model", **changed)
    assert not trained and not (tmp_path / "run").exists()


def test_a_preset_is_for_its_label_set(tmp_path: Path, trained: list[tuple[object, ...]]) -> None:
    folder = tiny_dataset(tmp_path / "Dataset501_Tiny")
    places = tmp_path / "run", tmp_path / "model"
    with raises_code(TrainingError, "--preset", "full-spine", "cervical"):
        cspine.study.train(folder.root, *places, preset="paper-full-spine")
    folder.write_dataset_json(label_set("cervical", auxiliary=True), folder.rows())
    with raises_code(TrainingError, "T2 and below"):
        cspine.study.train(folder.root, *places, preset="paper-cervical")
    assert not trained


def test_settings_are_those_of_the_preset_unless_others_are_given(
    tmp_path: Path, trained: list[tuple[object, ...]]
) -> None:
    dataset, places = tiny_dataset(tmp_path / "Dataset501_Tiny").root, (tmp_path / "run", tmp_path / "model")
    short = TrainingSettings(epochs=3)
    for given in ({}, {"preset": "smoke"}, {"preset": "smoke", "settings": short}):
        with pytest.raises(BegunError):
            cspine.study.train(dataset, *places, **given)  # type: ignore[arg-type]
    settings = [call[0].settings for call in trained]  # type: ignore[attr-defined]
    assert settings == [TrainingSettings(), PRESETS["smoke"].settings, short]
    assert {call[2].command for call in trained} == {"cspine.study.train"}  # type: ignore[attr-defined]
