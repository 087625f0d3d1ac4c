"""A training from its dataset to its model package: planning, preprocessing, the folds, the package."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from cspine.core.errors import ModelError, TrainingError, UsageError
from cspine.io.documents import read_json
from cspine.models.package import ModelPackage
from cspine.models.plans import Json, read_plan
from cspine.study.training.cases import TrainingCases
from cspine.study.training.children import Machine, Step, run_steps
from cspine.study.training.nnunet_steps import EPOCHS
from cspine.study.training.packaging import Naming, package_model
from cspine.study.training.run_folder import RunFolder, open_run
from cspine.study.training.settings import CASCADE, TrainingSettings

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """The task of a training.

    Parameters
    ----------
    cases : TrainingCases
        The training cases.
    settings : TrainingSettings
        How.
    run : Path
        Folder of the run's state.
    machine : Machine
        Devices and cores.
    """

    cases: TrainingCases
    settings: TrainingSettings
    run: Path
    machine: Machine


def train(training: Training, out: Path, naming: Naming, on_progress: Callable[[int, int], None]) -> ModelPackage:
    """Train all folds that are not trained yet, and write the model package.

    Parameters
    ----------
    training : Training
        What and where; a run in the same folder resumes where it stopped.
    out : Path
        Folder of the package; one that is there is replaced.
    naming : Naming
        Name and title of the package, and the command for its card.
    on_progress : callable
        Called with the number of finished epochs and of all epochs.

    Returns
    -------
    ModelPackage

    Raises
    ------
    TrainingError
        If a step fails, or the folder holds another run.
    """
    cases, settings, machine = training.cases, training.settings, training.machine
    with RunFolder(training.run, "").locked() as lock:
        folder = open_run(training.run, cases, settings)
        one = Machine(machine.devices[:1], machine.processes)
        run_steps([Step(("plan",))], folder, one, lock, on_progress)
        plans = _checked_plans(folder, settings, cases)
        _tell_plans(plans, settings)
        prepared = dict.fromkeys("3d_fullres" if stage == CASCADE else stage for stage in settings.stages)
        steps = [Step(("preprocess", name)) for name in prepared]
        folds = [
            [_fold(folder, settings, stage, fold) for fold in cases.folds_of(settings.stages, stage)]
            for stage in settings.stages
        ]
        if machine.on_gpu:
            run_steps(steps, folder, one, lock, on_progress)
            for of_stage in folds:
                run_steps(of_stage, folder, machine, lock, on_progress)
        else:
            run_steps([*steps, *chain(*folds)], folder, machine, lock, on_progress)
        return package_model(folder, cases, settings, out, naming)


def _fold(folder: RunFolder, settings: TrainingSettings, stage: str, fold: str) -> Step:
    table = folder.fold(settings, stage, fold) / EPOCHS
    return Step(("fold", stage, fold), table)


def _checked_plans(folder: RunFolder, settings: TrainingSettings, cases: TrainingCases) -> Json:
    """Return the plans of the run, after making sure that a package can be made of what is to be trained."""
    path = folder.plans_file(settings)
    try:
        plans = read_json(path)
    except (OSError, ValueError) as error:
        raise TrainingError(
            f"{path.name} of the run cannot be read", advice="Start again in another folder."
        ) from error
    if not isinstance(plans, dict) or not isinstance(plans.get("configurations"), dict):
        raise TrainingError(f"{path.name} of the run has no configurations", advice="Start again in another folder.")
    dataset = {**cases.dataset_json(), "dataset": None}
    for stage in settings.stages:
        if stage not in plans["configurations"]:
            raise UsageError(
                f"nnU-Net's planner made no {stage} for this dataset, but {', '.join(plans['configurations'])}",
                advice="3d_lowres and the cascade exist where a patch sees less than a quarter of a typical image: "
                "train 3d_fullres, or plan for less `gpu_memory`.",
            )
        try:
            read_plan(plans, dataset, stage, settings.trainer)
        except ModelError as error:
            raise UsageError(f"cspine could not run the model: {error.message}") from error
    return plans


def _tell_plans(plans: Json, settings: TrainingSettings) -> None:
    for stage in settings.stages:
        known = plans["configurations"]["3d_fullres" if stage == CASCADE else stage]
        _log.info(
            "%s: voxels of %s mm, patches of %s, %d a batch",
            stage,
            " x ".join(f"{step:.3g}" for step in known["spacing"]),
            " x ".join(str(n) for n in known["patch_size"]),
            known["batch_size"],
        )
