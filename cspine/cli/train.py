"""`cspine train`: a model package, from a dataset of the study or from synthetic images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from cspine.cli.train_options import NAMES, dataset_options, training_settings
from cspine.core.errors import UsageError
from cspine.io.console import progress

_SYNTHETIC_NAMES = ("atlas", "anatomies", "recipe", "iterations", "labelled", "start_from", "other_stages", "snapshot")


@click.command(name="train")
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the run's state.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the model package to write.")
@click.option(
    "--device", default="auto", show_default=True,
    help="auto, cpu, cuda or cuda:N; with DATASET also cuda:0,1: one fold per GPU at a time.",
)  # fmt: skip
@dataset_options
@click.option("--synthetic", is_flag=True, help="Train on images generated from the anatomical atlas.")
@click.option(
    "--atlas", type=click.Path(path_type=Path), help="Folder of the anatomical atlas; for spines, of its meshes."
)
@click.option(
    "--anatomies", type=click.Path(path_type=Path), help="Folder of vertebrae of other people, for articulated necks."
)
@click.option("--recipe", default="cervical-demo", show_default=True, help="Name of a shipped recipe, or a YAML file.")
@click.option("--iterations", type=click.IntRange(1), help="Number of iterations.  [default: that of the recipe]")
@click.option(
    "--labelled",
    type=click.Path(path_type=Path),
    help="nnU-Net raw dataset whose cases are added to the synthetic ones.",
)
@click.option("--start-from", help="Model package with the initial weights: its stage with the name of the recipe.")
@click.option("--other-stages", help="Model package with the other stages; required for a cascade.")
@click.option(
    "--snapshot",
    is_flag=True,
    help="Do not train: write the package of the latest checkpoint of a run, also while it is running.",
)
@click.pass_context
def command(
    context: click.Context,
    /,
    dataset: Path | None,
    folder: Path,
    out: Path,
    device: str,
    synthetic: bool,
    **options: Any,
) -> None:
    """Train a network and write a model package. The same command resumes an interrupted run.

    \b
    cspine train DATASET --run RUN --out PACKAGE   nnU-Net on a dataset of the study
    cspine train --synthetic --run RUN --out PACKAGE   on generated images

    DATASET is a folder of `cspine dataset convert` and `cspine dataset split`. nnU-Net's own planner, preprocessor and
    trainers are used, with the dataset's folds; no environment variable is needed. With several GPUs, one fold per GPU
    is trained at a time. The package has all folds and a model card with the Dice of each fold. Options from
    --preset to --title require DATASET; docs/guide/training.md describes the presets, their time and disk space.

    --synthetic and the options after it use a recipe instead of a dataset. A checkpoint is written every three
    minutes; the loss is in RUN/log.csv. --labelled takes an nnU-Net raw dataset (imagesTr/X_0000.nii.gz,
    labelsTr/X.nii.gz, dataset.json) with the labels C1..C7 = 1..7, T1 = 8, "T2 and below" = 9, as written by
    `cspine audit --pseudo-labels`; it is kept in memory. The length is counted in iterations: an interrupted or paused
    run loses none, and a larger --iterations continues a finished one. --snapshot packages the averaged weights of the
    latest checkpoint. --start-from and --other-stages take the name or the folder of a model package. The recipe
    cervical-demo-fine is the second stage of a cascade: it requires --other-stages with a package that has the first
    stage; a stage with the name of the recipe is replaced.
    """  # noqa: D301
    if synthetic == (dataset is not None):
        raise UsageError("give either DATASET or --synthetic")
    foreign = [
        f"--{name.replace('_', '-')}"
        for name in (NAMES if synthetic else _SYNTHETIC_NAMES)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if foreign:
        other = "--synthetic" if synthetic else "DATASET"
        raise UsageError(f"{', '.join(foreign)} cannot be combined with {other}")  # fmt: skip
    if dataset is not None:
        _train_on_dataset(dataset, folder, out, device, options)
    else:
        _train_on_synthetic(folder, out, device, options)


def _train_on_dataset(dataset: Path, folder: Path, out: Path, device: str, options: dict[str, Any]) -> None:
    from cspine.inference.settings import parse_folds
    from cspine.study.training.run_training import TrainingTask, run_training

    task = TrainingTask(
        dataset,
        folder,
        out,
        training_settings(options),
        preset=options["preset"],
        folds=parse_folds(options["folds"]),
        device=device,
        processes=options["processes"],
        name=options["name"],
        title=options["title"],
        command=_command_line(),
    )
    with progress("epochs") as on_progress:
        package = run_training(task, _print_needs, on_progress)
    click.echo(f"Model package {package.identity.title} in {out}; its README.md has each fold's Dice")


def _print_needs(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)


def _command_line() -> str:
    """Return the command as given, with names instead of paths of folders, because packages are passed on."""
    words = [_without_folders(word) for word in sys.argv[1:]]
    return shlex.join(["cspine", *words]) if words[:1] == ["train"] or "train" in words else "cspine train"


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + (Path(value).name if "/" in value else value)


def _train_on_synthetic(folder: Path, out: Path, device: str, options: Mapping[str, Any]) -> None:
    from cspine.study.synthetic_training.train_model import TrainingSources, train_synthetic

    with progress("iterations") as on_progress:
        package = train_synthetic(
            options["recipe"],
            folder,
            out,
            sources=TrainingSources(options["atlas"], options["anatomies"], options["labelled"]),
            iterations=options["iterations"],
            start_from=options["start_from"],
            other_stages=options["other_stages"],
            snapshot=options["snapshot"],
            device=device,
            progress=on_progress,
        )
    click.echo(f"Model package {package.identity.title} in {out}")
