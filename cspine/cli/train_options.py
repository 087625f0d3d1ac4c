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
    click.option("--configuration", type=click.Choice(_CONFIGURATIONS), help="Of nnU-Net.  [default: 3d_fullres]"),
    click.option("--plans", type=click.Choice(_PLANS), help="nnU-Net's U-Net, or its residual encoders.  "
                 "[default: default]"),
    click.option("--trainer", help="A trainer of nnunetv2.  [default: nnUNetTrainer]"),
    click.option("--folds", help="Folds, for example 0,1,2; or all: one model on all cases.  [default: every fold]"),
    click.option("--epochs", type=click.IntRange(1), help="Number of epochs.  [default: the trainer's, 1000]"),
    click.option("--iterations-per-epoch", type=click.IntRange(1), help="[default: the trainer's, 250]"),
    click.option("--validation-iterations", type=click.IntRange(1), help="After each epoch.  [default: 50]"),
    click.option("--learning-rate", type=click.FloatRange(0, min_open=True), help="Initial rate.  [default: 0.01]"),
    click.option("--no-mirroring", is_flag=True, help="Disable mirroring in training and prediction."),
    click.option("--gpu-memory", type=click.FloatRange(0, min_open=True), metavar="GB", help="GPU memory to plan for.  "
                 "[default: that of the plans: 8, resenc-l 24, resenc-xl 40]"),
    click.option("--batch-size", type=click.IntRange(1), help="Batch size.  [default: as planned]"),
    click.option("--patch-size", help="Z,Y,X voxels of a patch, for example 96,64,64.  [default: as planned]"),
    click.option("--spacing", help="Z,Y,X mm of the network's grid.  [default: median of the dataset]"),
    click.option("--features", type=click.IntRange(2), help="Channels of the first level.  [default: as planned]"),
    click.option("--processes", type=click.IntRange(1), help="Helper processes.  [default: one per core]"),
    click.option("--name", help="Name of the model package.  [default: that of the folder --out]"),
    click.option("--title", help="Title of the model package, one line."),
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
    """Return the settings of the options; UsageError if they are not valid."""
    from cspine.study.training.settings import TrainingSettings, preset_named
    from cspine.study.training.trainers import check_trainer

    preset = options["preset"]
    settings = preset_named(preset).settings if preset else TrainingSettings()
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


def _numbers(text: str | None, option: str, kind: Callable[[str], Any]) -> tuple[Any, ...] | None:
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{option} {text}: give three numbers, along z, y, x, separated by commas") from error
