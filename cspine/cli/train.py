"""`cspine train`: a model package, from a dataset of the study or from synthetic images."""

from __future__ import annotations

import shlex
import sys
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cspine.cli.train_options import NAMES, dataset_options, training_settings, wanted_folds
from cspine.core.errors import TrainingError, UsageError
from cspine.io.console import progress

if TYPE_CHECKING:
    from cspine.study.training.cases import TrainingCases

_SYNTHETIC_NAMES = ("atlas", "recipe", "iterations", "labelled", "start_from", "after", "minutes")


@click.command(name="train")
@click.argument("dataset", required=False, type=click.Path(path_type=Path))
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the run's state.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the model package to write.")
@click.option(
    "--device", default="auto", show_default=True,
    help="auto, cpu, cuda or cuda:N; with DATASET also cuda:0,1: one fold a GPU at a time.",
)  # fmt: skip
@dataset_options
@click.option("--synthetic", is_flag=True, help="Train on images made on the fly from the anatomical atlas.")
@click.option(
    "--atlas", type=click.Path(path_type=Path), help="Folder of the anatomical atlas, or of its meshes for spines."
)
@click.option("--recipe", default="cervical-demo", show_default=True, help="Name of a shipped recipe, or a YAML file.")
@click.option("--iterations", type=click.IntRange(1), help="Instead of the recipe's number.")
@click.option("--labelled", type=click.Path(path_type=Path), help="nnU-Net raw dataset whose cases are mixed in.")
@click.option("--start-from", help="Model package whose stage of the recipe's name gives the first weights.")
@click.option("--after", help="For a cascade: model package whose stages go before this one.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Limit of training time in all.")
@click.pass_context
def command(
    context: click.Context,
    /,
    dataset: Path | None,
    folder: Path,
    out: Path,
    device: str,
    synthetic: bool,
    atlas: Path | None,
    recipe: str,
    iterations: int | None,
    labelled: Path | None,
    start_from: str | None,
    after: str | None,
    minutes: float | None,
    **options: Any,
) -> None:
    """Train a network and write a model package. The same command goes on where an interrupted run stopped.

    \b
    cspine train DATASET --run RUN --out PACKAGE   nnU-Net on a dataset of the study
    cspine train --synthetic --run RUN --out PACKAGE   on images made on the fly

    DATASET is a folder that `cspine dataset convert` made and `cspine dataset split` split. nnU-Net's own planner,
    preprocessor and trainers do the work, on the dataset's folds; no environment variable is needed. With several GPUs,
    as many folds train at a time. The package holds all folds and a model card with each fold's Dice. Options from
    --preset to --title go with DATASET; docs/training.md tells of the presets, and of the hours and the disk that they
    need.

    --synthetic and the options after it: a recipe instead of a dataset. A checkpoint is kept every three minutes; the
    loss is in RUN/log.csv. --labelled takes an nnU-Net raw dataset (imagesTr/X_0000.nii.gz, labelsTr/X.nii.gz,
    dataset.json) with the labels C1..C7 = 1..7, T1 = 8, "T2 and below" = 9, as `cspine audit --pseudo-labels` writes
    it; it is held in memory. --start-from and --after take the name or the folder of a model package. The recipe
    cervical-demo-fine is the second stage of a cascade: it needs --after with the package of the first.
    """  # noqa: D301
    if synthetic == (dataset is not None):
        raise UsageError("a training has either a DATASET or --synthetic", advice="Give a dataset, or --synthetic.")
    foreign = [
        f"--{name.replace('_', '-')}"
        for name in (NAMES if synthetic else _SYNTHETIC_NAMES)
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT
    ]
    if foreign:
        raise UsageError(f"{', '.join(foreign)} {'does' if len(foreign) == 1 else 'do'} not go with "
                         f"{'--synthetic' if synthetic else 'a DATASET'}")  # fmt: skip
    if dataset is not None:
        _train_on_dataset(dataset, folder, out, device, options)
    else:
        _train_on_synthetic(folder, out, device, atlas, recipe, iterations, labelled, start_from, after, minutes)


def _train_on_dataset(dataset: Path, folder: Path, out: Path, device: str, options: dict[str, Any]) -> None:
    from cspine.io.machine import usable_cores
    from cspine.study.training.cases import read_cases_of
    from cspine.study.training.children import machine_of
    from cspine.study.training.needs import needs
    from cspine.study.training.packaging import check_naming, check_place, naming_of, refuse_within
    from cspine.study.training.settings import PRESETS
    from cspine.study.training.train import Training, train

    settings = training_settings(options)
    cases = read_cases_of(dataset, wanted_folds(options["folds"]))
    if options["preset"]:
        _check_label_set(cases, options["preset"], PRESETS[options["preset"]].label_set)
    naming = naming_of(out, options["name"], options["title"], cases, _command_line())
    check_naming(naming)
    check_place(out, (dataset, folder))
    refuse_within(dataset, {"--run": folder, "--out": out})
    machine = machine_of(device, options["processes"] or usable_cores())
    for line in needs(cases, settings, folder):
        click.echo(line)
    with progress("epochs") as tell:
        package = train(Training(cases, settings, folder, machine), out, naming, tell)
    click.echo(f"Model package {package.identity.title} in {out}; its README.md has each fold's Dice")


def _check_label_set(cases: TrainingCases, preset: str, wanted: str) -> None:
    if not wanted:
        return
    if cases.labels.name != wanted:
        raise TrainingError(
            f"--preset {preset} is for the label set {wanted}, and the dataset has {cases.labels.name}",
            advice="Give the other preset, or convert the dataset with --label-set.",
        )
    if cases.labels.auxiliary:
        raise TrainingError(
            f"the paper's model has no class {cases.labels.auxiliary!r}, and the dataset has it",
            advice="Convert the dataset without --auxiliary, or train it without --preset.",
        )


def _command_line() -> str:
    """Return the command as it was given; the folders' names alone, because packages travel."""
    words = [_without_folders(word) for word in sys.argv[1:]]
    return shlex.join(["cspine", *words]) if words[:1] == ["train"] or "train" in words else "cspine train"


def _without_folders(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return option + equals + (Path(value).name if "/" in value else value)


def _train_on_synthetic(
    folder: Path,
    out: Path,
    device: str,
    atlas: Path | None,
    recipe: str,
    iterations: int | None,
    labelled: Path | None,
    start_from: str | None,
    after: str | None,
    minutes: float | None,
) -> None:
    from cspine.cli.models import wanted_model
    from cspine.inference.engine import choose_engine
    from cspine.models.package import load_package
    from cspine.study.synthetic_training.labelled_cases import read_dataset
    from cspine.study.synthetic_training.packaging import Provenance, manifest_of, package_model, stage_weights
    from cspine.study.synthetic_training.recipe import load_recipe
    from cspine.study.synthetic_training.train_synthetic import Run, train
    from cspine.study.training.packaging import check_place

    check_place(out, (folder,))
    path = Path(recipe)
    if not path.suffix:
        path = Path(str(resources.files("cspine.study.synthetic_training") / "recipes" / f"{recipe}.yaml"))
    loaded = load_recipe(path)
    if iterations is not None:
        loaded = loaded.model_copy(update={"iterations": iterations})
    if loaded.cascade != (after is not None):
        raise UsageError("--after PACKAGE goes with a recipe of a cascade, and only with one")
    before = load_package(wanted_model(after)) if after is not None else None
    start = load_package(wanted_model(start_from)) if start_from is not None else None
    manifest_of(loaded, Provenance(0), before)  # what cannot be packed is not trained
    cases = (
        read_dataset(labelled, loaded.labels.network_labels(), loaded.network.spacing[0])
        if labelled is not None
        else []
    )
    run = Run(
        loaded,
        atlas,
        folder,
        choose_engine(device).device,
        minutes,
        tuple(cases),
        stage_weights(start, loaded) if start is not None else None,
    )
    with progress("iterations") as tell:
        weights, done = train(run, tell)
    provenance = Provenance(
        done,
        f"{len(cases)} labelled cases of {labelled.name}" if labelled is not None else "",
        f"{start.identity.title} (sha256 {start.identity.checksum[:16]})" if start is not None else "",
    )
    package = package_model(loaded, weights, provenance, out, before)
    click.echo(f"Model package {package.identity.title} in {out}")
