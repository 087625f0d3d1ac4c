"""The steps of nnU-Net, called through its own classes: what a child process does, under the environment of its run.

nnU-Net's paths come from that environment; nothing here is to be called in a process that has another one.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch

from cspine.core.errors import TrainingError
from cspine.io.documents import read_json
from cspine.io.tables import number, write_csv, write_json
from cspine.study.training.plans import changed_plans
from cspine.study.training.run_folder import LOADERS, RunFolder
from cspine.study.training.settings import TrainingSettings
from cspine.study.training.trainers import trainer_class

#: Table of a fold's epochs, in nnU-Net's folder of the fold.
EPOCHS = "epochs.csv"
EPOCH_COLUMNS = ("epoch", "of", "train_loss", "validation_loss", "pseudo_dice", "learning_rate", "seconds")
_CHECKPOINT_EVERY_S = 300.0
_PICTURE_EVERY_S = 300.0
_PLANNERS = "nnunetv2.experiment_planning.experiment_planners"
_PLANNER_MODULES = {"ExperimentPlanner": f"{_PLANNERS}.default_experiment_planner"}
_RESENC = f"{_PLANNERS}.residual_unets.residual_encoder_unet_planners"


def plan(folder: RunFolder, settings: TrainingSettings, processes: int) -> None:
    """Extract the fingerprint of the dataset, and plan the networks.

    Parameters
    ----------
    folder : RunFolder
        Folder of the run; the plans are written there.
    settings : TrainingSettings
        Planner, and changes to its plans.
    processes : int
        Processes and threads.
    """
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor

    torch.set_num_threads(processes)
    extractor = DatasetFingerprintExtractor(folder.dataset, processes)
    extractor.show_progress_bar = False
    extractor.run(overwrite_existing=True)
    module = importlib.import_module(_PLANNER_MODULES.get(settings.planner, _RESENC))
    spacing, memory = settings.changes.spacing_mm, settings.changes.gpu_memory_gb
    planner = getattr(module, settings.planner)(
        folder.dataset,
        overwrite_target_spacing=[float(step) for step in spacing] if spacing else None,
        **({} if memory is None else {"gpu_memory_target_in_gb": memory}),
    )
    loaders = os.environ[LOADERS]
    os.environ[LOADERS] = str(processes)  # the planner makes it torch's number of threads: not 0
    try:
        planner.plan_experiment()
    finally:
        os.environ[LOADERS] = loaders
    path = folder.plans_file(settings)
    plans = json.loads(path.read_text(encoding="utf-8"))
    write_json(path, changed_plans(plans, settings.changes))


def preprocess(folder: RunFolder, settings: TrainingSettings, configuration: str, processes: int) -> None:
    """Resample and normalise the cases for a configuration, and copy the labels that validation compares with.

    Parameters
    ----------
    folder : RunFolder
        Folder of the run, with its plans.
    settings : TrainingSettings
        Settings that name the plans.
    configuration : str
        A configuration of the plans, for example ``"3d_fullres"``.
    processes : int
        Processes.
    """
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(str(folder.plans_file(settings)))
    preprocessor = manager.get_configuration(configuration).preprocessor_class(verbose=False)
    preprocessor.show_progress_bar = False
    preprocessor.run(folder.dataset, configuration, settings.plans_name, processes)
    labels = folder.preprocessed / "gt_segmentations"
    labels.mkdir(exist_ok=True)
    for files in _dataset_json(folder)["dataset"].values():
        shutil.copyfile(files["label"], labels / Path(files["label"]).name)


def train_fold(
    folder: RunFolder, settings: TrainingSettings, configuration: str, fold: str, device: str, threads: int
) -> None:
    """Train one fold, or resume it, and validate it: nnU-Net's own loop.

    Parameters
    ----------
    folder : RunFolder
        The run.
    settings : TrainingSettings
        How long, and with which trainer.
    configuration : str
        One of the settings' stages.
    fold : str
        ``"0"``, ... or ``"all"``.
    device : str
        ``"cpu"``, or ``"cuda"`` for the first GPU that this process sees.
    threads : int
        Threads of torch on a CPU.
    """
    on_gpu = device != "cpu"
    torch.set_num_threads(1 if on_gpu else threads)
    torch.backends.cudnn.benchmark = on_gpu
    np.random.seed(int(fold) if fold.isdigit() else 0)
    torch.manual_seed(int(fold) if fold.isdigit() else 0)
    plans = json.loads(folder.plans_file(settings).read_text(encoding="utf-8"))
    final = folder.fold(settings, configuration, fold) / "checkpoint_final.pth"
    latest = final.with_name("checkpoint_latest.pth")
    begun = next((path for path in (final, latest) if path.is_file()), None)
    trainer = trainer_class(settings.trainer)(
        plans={**plans, "continue_training": begun is not None},
        configuration=configuration,
        fold=int(fold) if fold.isdigit() else fold,
        # The files' names stay out of checkpoints and packages.
        dataset_json={key: value for key, value in _dataset_json(folder).items() if key != "dataset"},
        device=torch.device(device),
    )
    _set_length(trainer, settings)
    if not settings.mirror:
        _leave_mirroring(trainer)
    _watch(trainer)
    if begun is not None:
        _go_on_from(begun, trainer)
    if begun != final:
        trainer.run_training()
    trainer.perform_actual_validation()


def _go_on_from(checkpoint: Path, trainer: Any) -> None:
    try:
        trainer.load_checkpoint(str(checkpoint))
    except (OSError, EOFError, RuntimeError, KeyError, UnpicklingError) as error:
        raise TrainingError(f"{checkpoint.name} is damaged, or of another network") from error


def _set_length(trainer: Any, settings: TrainingSettings) -> None:
    for attribute, value in (
        ("num_epochs", settings.epochs),
        ("num_iterations_per_epoch", settings.iterations),
        ("num_val_iterations_per_epoch", settings.validation_iterations),
        ("initial_lr", settings.learning_rate),
    ):
        if value is not None:
            setattr(trainer, attribute, value)


def _leave_mirroring(trainer: Any) -> None:
    """Switch mirroring off as nnUNetTrainerNoMirroring does, for any trainer."""
    configure = trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size

    def without_mirroring() -> tuple[Any, ...]:
        rotation, two_dimensional, patch_size, _ = configure()
        trainer.inference_allowed_mirroring_axes = None
        return rotation, two_dimensional, patch_size, None

    trainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size = without_mirroring


def _watch(trainer: Any) -> None:
    """Record each epoch in a table, save complete checkpoints often enough, and plot nnU-Net's progress seldom.

    The training itself does not change. The class stays nnU-Net's own, so that its name stands in the checkpoints.
    """
    saved = plotted = time.monotonic()
    save, draw, end_epoch = trainer.save_checkpoint, trainer.logger.plot_progress_png, trainer.on_epoch_end

    def save_complete(path: str) -> None:
        save(f"{path}.partial")
        if Path(f"{path}.partial").is_file():
            Path(f"{path}.partial").replace(path)

    def draw_seldom(output: str) -> None:
        nonlocal plotted
        if time.monotonic() - plotted > _PICTURE_EVERY_S or trainer.current_epoch == trainer.num_epochs - 1:
            plotted = time.monotonic()
            draw(output)

    def end_and_tell() -> None:
        nonlocal saved
        due = time.monotonic() - saved > _CHECKPOINT_EVERY_S or trainer.current_epoch == 0
        trainer.save_every = 1 if due else trainer.num_epochs + 1
        if due:
            saved = time.monotonic()
        end_epoch()
        _tell_epochs(trainer)

    trainer.save_checkpoint, trainer.on_epoch_end = save_complete, end_and_tell
    trainer.logger.plot_progress_png = draw_seldom


def _tell_epochs(trainer: Any) -> None:
    logged: Callable[[str], list[float]] = lambda name: trainer.logger.get_value(name, None)  # noqa: E731
    columns = ("train_losses", "val_losses", "mean_fg_dice", "lrs", "epoch_start_timestamps", "epoch_end_timestamps")
    rows = []
    for epoch, values in enumerate(zip(*(logged(name) for name in columns), strict=False)):
        loss, validation, dice, rate, start, end = (float(value) for value in values)
        row = [number(loss, 4), number(validation, 4), number(dice, 4), f"{rate:.6g}", number(end - start, 2)]
        rows.append([str(epoch), str(trainer.num_epochs), *row])
    write_csv(Path(trainer.output_folder) / EPOCHS, EPOCH_COLUMNS, rows)


def _dataset_json(folder: RunFolder) -> dict[str, Any]:
    path = folder.preprocessed / "dataset.json"
    try:
        content = read_json(path)
    except (OSError, ValueError) as error:
        raise TrainingError(f"{path.name} of the preprocessed dataset cannot be read") from error
    if not isinstance(content, dict):
        raise TrainingError(f"{path.name} of the preprocessed dataset does not contain a JSON object")
    return content
