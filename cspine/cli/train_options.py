"""The options of `cspine train DATASET`, and from them to settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from cspine.core.errors import UsageError

if TYPE_CHECKING:
    from cspine.study.training.settings import TrainingSettings

Command = TypeVar("Command", bound=Callable[..., object])

_PLANS = ["default", "resenc-m", "resenc-l", "resenc-xl"]
_CONFIGURATIONS = ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"]
_OPTIONS = (
    click.option(
        "--preset",
        type=click.Choice(["paper-cervical", "paper-full-spine", "smoke"]),
        help="With DATASET: settings of the paper's models, or of a trial on a CPU; further options change them.",
    ),
    click.option("--configuration", type=click.Choice(_CONFIGURATIONS), help="nnU-Net's.  [default: 3d_fullres]"),
    click.option("--plans", type=click.Choice(_PLANS), help="nnU-Net's U-Net, or its residual encoders.  "
                 "[default: default]"),
    click.option("--trainer", help="One of nnunetv2's own.  [default: nnUNetTrainer]"),
    click.option("--folds", help="For example 0,1,2; or all: one model on every case.  [default: each of the dataset]"),
    click.option("--epochs", type=click.IntRange(1), help="[default: the trainer's, 1000]"),
    click.option("--iterations-per-epoch", type=click.IntRange(1), help="[default: the trainer's, 250]"),
    click.option("--validation-iterations", type=click.IntRange(1), help="After each epoch.  [default: 50]"),
    click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="At first.  [default: 0.01]"),
    click.option("--no-mirroring", is_flag=True, help="Mirror no patches, whatever the trainer does."),
    click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), metavar="GB", help="To plan for.  "
                 "[default: that of the plans: 8, resenc-l 24, resenc-xl 40]"),
    click.option("--batch-size", type=click.IntRange(1), help="Instead of the planned one."),
    click.option("--patch-size", help="Z,Y,X voxels instead of the planned patch, for example 96,64,64."),
    click.option("--spacing", help="Z,Y,X mm of the network's grid instead of the dataset's median."),
    click.option("--features", type=click.IntRange(2), help="Channels of the first stage: a thinner network."),
    click.option("--processes", type=click.IntRange(1), help="Helper processes.  [default: one a core]"),
    click.option("--name", help="Of the model package.  [default: as the folder --out]"),
    click.option("--title", help="Of the model package, one line."),
)  # fmt: skip
#: Names of the parameters that belong to a training on a dataset alone.
NAMES = (
    "preset", "configuration", "plans", "trainer", "folds", "epochs", "iterations_per_epoch", "validation_iterations",
    "learning_rate", "no_mirroring", "gpu_memory", "batch_size", "patch_size", "spacing", "features", "processes",
    "name", "title",
)  # fmt: skip


def dataset_options(command: Command) -> Command:
    """Add the options to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def training_settings(options: Mapping[str, Any]) -> TrainingSettings:
    """Return the settings that the options say; UsageError if they make no sense."""
    from cspine.study.training.settings import PRESETS, TrainingSettings
    from cspine.study.training.trainers import check_trainer

    preset = options["preset"]
    settings = PRESETS[preset].settings if preset else TrainingSettings()
    changes = {
        "batch_size": options["batch_size"],
        "patch_size": _numbers(options["patch_size"], "--patch-size", int),
        "spacing_mm": _numbers(options["spacing"], "--spacing", float),
        "features": options["features"],
        "gpu_memory_gb": options["gpu_memory"],
    }
    given = {
        "configuration": options["configuration"],
        "plans": options["plans"],
        "trainer": options["trainer"],
        "epochs": options["epochs"],
        "iterations": options["iterations_per_epoch"],
        "validation_iterations": options["validation_iterations"],
        "learning_rate": options["learning_rate"],
        "mirror": False if options["no_mirroring"] else None,
    }
    check_trainer(given["trainer"] or settings.trainer)
    changed = replace(settings.changes, **{name: value for name, value in changes.items() if value is not None})
    return replace(settings, changes=changed, **{name: value for name, value in given.items() if value is not None})


def wanted_folds(told: str | None) -> tuple[str, ...] | None:
    """Return the folds that --folds names; UsageError if it names none."""
    if told is None:
        return None
    folds = tuple(part.strip() for part in told.split(","))
    if folds != ("all",) and not all(fold.isdecimal() for fold in folds):
        raise UsageError(f"--folds {told}: give numbers such as 0,1,2, or all")
    return folds if folds == ("all",) else tuple(str(int(fold)) for fold in folds)


def _numbers(told: str | None, option: str, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    if told is None:
        return None
    try:
        return tuple(kind(part) for part in told.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {told}: give three numbers, along z, y, x, with commas") from error
