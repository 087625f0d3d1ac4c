"""`cspine train`: a model package, from a dataset of the study or from synthetic images."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from cspine.cli.train_options import NAMES, dataset_options, training_settings, wanted_folds
from cspine.core.errors import TrainingError, UsageError
from cspine.io.console import progress

if TYPE_CHECKING:
    from cspine.study.synthetic_training.recipe import Recipe
    from cspine.study.training.cases import TrainingCases

_SYNTHETIC_NAMES = ("atlas", "anatomies", "recipe", "iterations", "labelled", "start_from", "into", "snapshot")


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
@click.option(
    "--anatomies", type=click.Path(path_type=Path), help="Folder of other people's vertebrae, for articulated necks."
)
@click.option("--recipe", default="cervical-demo", show_default=True, help="Name of a shipped recipe, or a YAML file.")
@click.option("--iterations", type=click.IntRange(1), help="Instead of the recipe's number.")
@click.option("--labelled", type=click.Path(path_type=Path), help="nnU-Net raw dataset whose cases are mixed in.")
@click.option("--start-from", help="Model package whose stage of the recipe's name gives the first weights.")
@click.option("--into", help="Model package whose other stages stay beside this one; a cascade needs one.")
@click.option(
    "--snapshot", is_flag=True, help="Train nothing: write the package of a run as it is now, which may be going on."
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
    atlas: Path | None,
    anatomies: Path | None,
    recipe: str,
    iterations: int | None,
    labelled: Path | None,
    start_from: str | None,
    into: str | None,
    snapshot: bool,
    **options: Any,
) -> None:
    """Train a network and write a model package. The same command goes on where an interrupted run stopped.

    \b
    cspine train DATASET --run RUN --out PACKAGE   nnU-Net on a dataset of the study
    cspine train --synthetic --run RUN --out PACKAGE   on images made on the fly

    DATASET is a folder that `cspine dataset convert` made and `cspine dataset split` split. nnU-Net's own planner,
    preprocessor and trainers do the work, on the dataset's folds; no environment variable is needed. With several GPUs,
    as many folds train at a time. The package holds all folds and a model card with each fold's Dice. Options from
    --preset to --title go with DATASET; docs/guide/training.md describes the presets, their time and their disk space.

    --synthetic and the options after it: a recipe instead of a dataset. A checkpoint is kept every three minutes; the
    loss is in RUN/log.csv. --labelled takes an nnU-Net raw dataset (imagesTr/X_0000.nii.gz, labelsTr/X.nii.gz,
    dataset.json) with the labels C1..C7 = 1..7, T1 = 8, "T2 and below" = 9, as `cspine audit --pseudo-labels` writes
    it; it is held in memory. The length is counted in iterations: a run that is interrupted or paused loses none, and a
    larger --iterations goes on with a finished one. --snapshot packages the averaged weights of the last checkpoint.
    --start-from and --into take the name or the folder of a model package. The recipe cervical-demo-fine is the second
    stage of a cascade: it needs --into with a package that holds the first; a stage of the recipe's name in it is
    replaced.
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
        choice = _Synthetic(atlas, anatomies, labelled, start_from, into, snapshot)
        _train_on_synthetic(folder, out, device, _recipe(recipe, iterations), choice)


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


@dataclass(frozen=True)
class _Synthetic:
    """The options that go with --synthetic: what images are made of, and what the model begins from and joins."""

    atlas: Path | None
    anatomies: Path | None
    labelled: Path | None
    start_from: str | None
    into: str | None
    snapshot: bool


def _recipe(name: str, iterations: int | None) -> Recipe:
    """Read a recipe by the name of one that ships or by its path."""
    from cspine.study.synthetic_training.recipe import load_recipe

    path = Path(name)
    if not path.suffix:
        path = Path(str(resources.files("cspine.study.synthetic_training") / "recipes" / f"{name}.yaml"))
    recipe = load_recipe(path)
    return recipe if iterations is None else recipe.model_copy(update={"iterations": iterations})


def _train_on_synthetic(folder: Path, out: Path, device: str, recipe: Recipe, choice: _Synthetic) -> None:
    from cspine.cli.models import wanted_model
    from cspine.inference.engine import choose_engine
    from cspine.models.package import load_package
    from cspine.study.synthetic_training import train_synthetic
    from cspine.study.synthetic_training.labelled_cases import read_dataset
    from cspine.study.synthetic_training.packaging import Provenance, manifest_of, package_model, stage_weights
    from cspine.study.training.packaging import check_place

    check_place(out, (folder,))
    if recipe.cascade and choice.into is None:
        raise UsageError("a recipe of a cascade needs --into PACKAGE, which holds the stages before it")
    if recipe.anatomy == "articulated" and choice.anatomies is None:
        raise UsageError("a recipe of articulated necks needs --anatomies DIR, the vertebrae of several people")
    target = load_package(wanted_model(choice.into)) if choice.into is not None else None
    start = load_package(wanted_model(choice.start_from)) if choice.start_from is not None else None
    manifest_of(recipe, Provenance(0), target)  # what cannot be packed is not trained
    cases = (
        read_dataset(choice.labelled, recipe.labels.network_labels(), recipe.network.spacing[0])
        if choice.labelled is not None
        else []
    )
    run = train_synthetic.Run(
        recipe,
        choice.atlas,
        folder,
        choose_engine(device).device,
        choice.anatomies,
        tuple(cases),
        stage_weights(start, recipe) if start is not None else None,
    )
    if choice.snapshot:
        weights, done = train_synthetic.snapshot(run)
    else:
        with progress("iterations") as tell:
            weights, done = train_synthetic.train(run, tell)
    provenance = Provenance(
        done,
        f"{len(cases)} labelled cases of {choice.labelled.name}" if choice.labelled is not None else "",
        f"{start.identity.title} (sha256 {start.identity.checksum[:16]})" if start is not None else "",
    )
    package = package_model(recipe, weights, provenance, out, target)
    click.echo(f"Model package {package.identity.title} in {out}")
