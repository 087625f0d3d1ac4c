"""What decides about a training, and the presets."""

import json

import pytest

from cspine.core.errors import UsageError
from cspine.study.training.settings import PLANNERS, PRESETS, PlanChanges, TrainingSettings, differences
from cspine.study.training.trainers import check_trainer, trainer_class, trainers
from tests.builders.raises import raises_code


def test_the_papers_models_are_stock_nnunet_on_their_label_sets():
    for name, labels in (("paper-cervical", "cervical"), ("paper-full-spine", "full-spine")):
        assert PRESETS[name].label_set == labels
        assert PRESETS[name].settings == TrainingSettings()
    stock = TrainingSettings()
    assert (stock.configuration, stock.plans_name, stock.trainer) == ("3d_fullres", "nnUNetPlans", "nnUNetTrainer")
    assert stock.mirror and stock.changes == PlanChanges()
    assert (stock.epochs, stock.iterations, stock.learning_rate) == (None, None, None)


@pytest.mark.parametrize("settings", [preset.settings for preset in PRESETS.values()])
def test_settings_survive_json(settings):
    assert TrainingSettings.from_record(json.loads(json.dumps(settings.as_record()))) == settings


def test_the_trainers_of_all_presets_exist():
    for preset in PRESETS.values():
        check_trainer(preset.settings.trainer)


def test_a_cascade_has_two_stages():
    assert TrainingSettings(configuration="3d_cascade_fullres").stages == ("3d_lowres", "3d_cascade_fullres")
    assert TrainingSettings(configuration="2d").stages == ("2d",)


@pytest.mark.parametrize("plans", PLANNERS)
def test_every_planner_is_one_of_nnunet_and_gives_its_plans_that_name(plans):
    import importlib
    import inspect

    from cspine.study.training import nnunet_steps

    settings = TrainingSettings(plans=plans)
    name = nnunet_steps._PLANNER_MODULES.get(settings.planner, nnunet_steps._RESENC)
    planner = getattr(importlib.import_module(name), settings.planner)
    assert inspect.signature(planner).parameters["plans_name"].default == settings.plans_name


@pytest.mark.parametrize(
    "wrong",
    [
        {"configuration": "4d"},
        {"plans": "mine"},
        {"epochs": 0},
        {"iterations": -1},
        {"validation_iterations": 0},
        {"learning_rate": 0.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        TrainingSettings(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"batch_size": 0},
        {"patch_size": (16, 16)},
        {"patch_size": (16, 16, 4)},
        {"spacing_mm": (1.0, 1.0)},
        {"spacing_mm": (1.0, 1.0, 0.0)},
        {"features": 1},
        {"gpu_memory_gb": 0.0},
    ],
)
def test_changes_of_plans_that_make_no_sense_are_refused(wrong):
    with pytest.raises(UsageError):
        PlanChanges(**wrong)


def test_differences_are_reported_by_name():
    one = TrainingSettings()
    other = TrainingSettings(epochs=3, validation_iterations=1, changes=PlanChanges(patch_size=(16, 16, 16)))
    assert differences(one, one) == []
    assert differences(one, other) == ["epochs", "validation iterations", "patch size"]


def test_trainers_are_found_without_importing_them():
    assert {"nnUNetTrainer", "nnUNetTrainerNoMirroring", "nnUNetTrainer_5epochs"} <= set(trainers())
    assert trainer_class("nnUNetTrainerNoMirroring").__name__ == "nnUNetTrainerNoMirroring"
    with raises_code(UsageError, "'nnUNetTrainerOfMine'") as refused:
        check_trainer("nnUNetTrainerOfMine")
    assert "nnUNetTrainerNoMirroring" in refused.value.advice
