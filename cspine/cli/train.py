"""`cspine train`: a model package, from a dataset of the study or from synthetic images."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cspine.cli.train_options import NAMES, dataset_options, training_settings, wanted_folds
from cspine.core.errors import TrainingError, UsageError
from cspine.io.console import progress

if TYPE_CHECKING:
    from cspine.study.training.cases import TrainingCases

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
    from cspine.io.machine import usable_cores
    from cspine.study.training.cases import read_cases_of
    from cspine.study.training.children import machine_of
    from cspine.study.training.needs import needs
    from cspine.study.training.packaging import check_naming, check_output_folder, naming_of, refuse_within
    from cspine.study.training.settings import PRESETS
    from cspine.study.training.train import Training, train

    settings = training_settings(options)
    cases = read_cases_of(dataset, wanted_folds(options["folds"]))
    if options["preset"]:
        _check_label_set(cases, options["preset"], PRESETS[options["preset"]].label_set)
    naming = naming_of(out, options["name"], options["title"], cases, _command_line())
    check_naming(naming)
    check_output_folder(out, (dataset, folder))
    refuse_within(dataset, {"run": folder, "out": out})
    machine = machine_of(device, options["processes"] or usable_cores())
    for line in needs(cases, settings, folder):
        click.echo(line)
    with progress("epochs") as on_progress:
        package = train(Training(cases, settings, folder, machine), out, naming, on_progress)
    click.echo(f"Model package {package.identity.title} in {out}; its README.md has each fold's Dice")


def _check_label_set(cases: TrainingCases, preset: str, wanted: str) -> None:
    if not wanted:
        return
    if cases.labels.name != wanted:
        raise TrainingError(
            f"--preset {preset} requires the label set {wanted}; the dataset has {cases.labels.name}",
            advice="Give the other preset, or convert the dataset with --label-set.",
        )
    if cases.labels.auxiliary:
        raise TrainingError(
            f"the dataset has the class {cases.labels.auxiliary!r}, which the paper's model lacks",
            advice="Convert the dataset without --auxiliary, or train it without --preset.",
        )


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
