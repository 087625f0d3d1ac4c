"""`cspine models`: list, describe, verify and install model packages."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from cspine.core.errors import ModelChecksumError, UsageError
from cspine.io.console import progress, table
from cspine.io.machine import home_folder
from cspine.io.tables import counted

if TYPE_CHECKING:
    from cspine.models.manifest import ModelManifest

_STATEMENTS = ("title", "licence", "source", "credit", "intended_use", "limits", "training_data")


def model_folders(models: Path | None = None) -> tuple[Path, ...]:
    """Return the folders of models: the given one or that of HOLOSCAN_MODEL_PATH, the user's, those of cspine."""
    from cspine.models.registry import container_folder, search_path

    return search_path(os.environ, home_folder(), models or container_folder(os.environ))


def wanted_model(name: str | None) -> Path:
    """Return the folder of the model that a command runs, as `registry.model_to_run`."""
    from cspine.models.registry import model_to_run

    return model_to_run(name, os.environ, home_folder())


_models_option = click.option(
    "--models",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder of model packages, searched before the user's and the shipped ones.",
)


@click.group()
def command() -> None:
    """List, describe, verify and install model packages."""


@command.command("list")
@_models_option
def list_command(models: Path | None) -> None:
    """Show the models that a run can use."""
    from cspine.models.registry import list_models

    found = list_models(model_folders(models))
    rows = []
    for model in found:
        manifest = model.manifest
        if manifest is None:
            rows.append([model.name, "-", f"cannot be used: {model.fault}", "-", str(model.folder)])
        else:
            title = manifest.title + (" (DEMONSTRATION)" if manifest.demonstration else "")
            rows.append([manifest.name, manifest.version, title, _levels(manifest), str(model.folder)])
    if rows:
        table("Models", ("name", "version", "title", "levels", "folder"), rows)
    else:
        click.echo("No models. `cspine models install SOURCE` adds one.")


@command.command()
@click.argument("name")
@_models_option
def info(name: str, models: Path | None) -> None:
    """Describe the model NAME (a name or a folder)."""
    from cspine.models.manifest import MANIFEST_NAME, read_manifest
    from cspine.models.registry import find_model

    folder = find_model(name, model_folders(models))
    manifest = read_manifest(folder / MANIFEST_NAME)
    if manifest.demonstration:
        click.echo("DEMONSTRATION: shows how cspine works; do not rely on its results.")
    rows = [["name", manifest.name], ["version", manifest.version]]
    rows += [[key.replace("_", " "), str(getattr(manifest, key))] for key in _STATEMENTS]
    rows += [["checksum", manifest.identity.checksum], ["folder", str(folder)]]
    table(manifest.title, ("Field", "Value"), rows)
    stages = [
        [
            stage.name,
            stage.configuration,
            stage.trainer,
            ", ".join(stage.folds),
            stage.orientation,
            ", ".join(str(axis) for axis in stage.mirror_axes) or "none",
            ", ".join(f"{label}: {level}" for label, level in stage.labels.items()),
        ]
        for stage in manifest.stages
    ]
    table("Stages", ("stage", "configuration", "trainer", "folds", "orientation", "mirror axes", "labels"), stages)


@command.command()
@click.argument("name")
@_models_option
def verify(name: str, models: Path | None) -> None:
    """Verify the model NAME: checksums, plans, and that its weights match its networks."""
    from cspine.models.registry import find_model
    from cspine.models.verification import verify_package

    folder = find_model(name, model_folders(models))
    checks = verify_package(folder)
    for check in checks:
        click.echo(f"{'OK' if check.ok else 'FAIL'}: {check.sentence}")
    if failed := sum(not check.ok for check in checks):
        raise ModelChecksumError(f"model {folder.name}: {counted(failed, 'file')} changed or missing")


@command.command()
@click.argument("name")
@_models_option
@click.option(
    "--input", "source", required=True, type=click.Path(path_type=Path),
    help="NIfTI or DICOM images of what the model is for, as for `cspine predict`.",
)  # fmt: skip
def qualify(name: str, models: Path | None, source: Path) -> None:
    """Qualify the model NAME for engines and precisions of this computer's CPU.

    Each segments the same images; their labels are compared with those of torch in float32. A run uses bfloat16 without
    being asked for only from a mean Dice of 0.999, and 0.99 for each vertebra. The record lies beside the
    package, or with the user's models if that folder is read-only.
    """
    from cspine.models.package import load_package
    from cspine.models.registry import find_model
    from cspine.study.qualify_model import qualify_images

    package = load_package(find_model(name, model_folders(models)))
    with progress("images") as on_progress:
        record = qualify_images(package, source, on_progress)
    rows = [
        [
            one.engine, one.precision, f"{one.mean_dice:.5f}", f"{min(one.dice.values(), default=0.0):.5f}",
            "yes" if one.is_sufficient else "no",
        ]
        for one in record.results
    ]  # fmt: skip
    head = ("engine", "precision", "mean Dice", "worst level", "qualified")
    table(f"{package.identity.title} against torch float32, {record.cases} images", head, rows)
    click.echo(f"Recorded in {record.write(package)}")


@command.command()
@click.argument("name")
@_models_option
@click.option(
    "--images", required=True, multiple=True, type=click.Path(path_type=Path),
    help="Folder of CTs (NIfTI) that the model was not trained on; may be repeated.",
)  # fmt: skip
@click.option(
    "--labels", required=True, multiple=True, type=click.Path(path_type=Path),
    help="Folder of their true labels, X.nii.gz: numbers of VerSe, or of a dataset.json there; one for each --images.",
)  # fmt: skip
@click.option("--full", is_flag=True, help="Calibrate `--confidence full` as well; takes four times as long.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), help="Write the reliability plot (PNG).")
def calibrate(
    name: str, models: Path | None, images: tuple[Path, ...], labels: tuple[Path, ...], *, full: bool, plot: Path | None
) -> None:
    """Calibrate the confidence of the model NAME on cases whose truth is known.

    Only then does `cspine run` state, for each vertebra, the probability that its level is right and the Dice
    coefficient to expect. The table shows the expected calibration error on subjects that a curve was not fitted to.
    The record lies beside the package, or with the user's models if that folder is read-only.
    """
    from cspine.models.package import load_package
    from cspine.models.registry import find_model
    from cspine.study.calibrate_model import calibrate_folders, error_rows
    from cspine.study.reliability_plot import write_reliability

    if len(images) != len(labels):
        raise UsageError(
            f"{len(images)} times --images and {len(labels)} times --labels", advice="Give pairs of folders."
        )
    package = load_package(find_model(name, model_folders(models)))
    with progress("images") as on_progress:
        record = calibrate_folders(package, zip(images, labels, strict=True), full=full, progress=on_progress)
    ways = [("fast", record.fast)] + ([("full", record.full)] if record.full is not None else [])
    rows = [row for way, each in ways for row in error_rows(way, each)]
    head = ("confidence", "images of", "error of the level", "error of the Dice")
    counts = f"{record.fast.vertebrae} vertebrae of {record.cases} images"
    table(f"Expected calibration error of {package.identity.title}, {counts}", head, rows)
    if plot is not None:
        write_reliability(record, package.identity.title, plot)
    click.echo(f"Recorded in {record.write(package)}")


@command.command()
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option("--name", help="Name of the package.  [default: that of the data set]")
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML that maps network labels, by number or name, to C1..L6 or 'auxiliary'.",
)
@click.option("--orientation", help="Directions of the x, y, z axes of the training images, for example LPS.")
@click.option("--folds", help="Folds to install, for example 0,1,2 or all.  [default: all numbered ones]")
@click.option("--configuration", help="Configuration, if the source has several: for example 3d_fullres.")
@click.option(
    "--checkpoint",
    type=click.Choice(["final", "best", "latest"]),
    default="final",
    show_default=True,
    help="Checkpoint of each fold: that of the last epoch, of the best one, or of an unfinished training.",
)
@click.option("--force", is_flag=True, help="Replace an installed package of this name.")
@click.option("--is-ct", is_flag=True, help="The model was trained on CT, although it names its channel otherwise.")
@click.option("--model-version", help="Version of the package.")
@click.option("--title", help="Title of the model, one line.")
@click.option("--licence", help="Licence of the weights.")
@click.option("--source-text", "source_text", help="Publication of the model.")
@click.option("--credit", help="Credit for the model.")
@click.option("--intended-use", help="Intended use of the model.")
@click.option("--limits", help="Limits of the model.")
@click.option("--training-data", help="Training data of the model.")
@click.option(
    "--into", type=click.Path(file_okay=False, path_type=Path), help="Folder of packages.  [default: the user's]"
)
def install(
    source: Path,
    name: str | None,
    labels: Path | None,
    folds: str | None,
    checkpoint: Literal["final", "best", "latest"],
    force: bool,
    is_ct: bool,
    into: Path | None,
    **texts: str | None,
) -> None:
    """Install SOURCE: an nnU-Net v2 results folder, its exported zip, a MONAI bundle, or a model package.

    Checkpoints are read without executing their content, and stored as safetensors.
    """
    from cspine.inference.settings import parse_folds
    from cspine.models.install import InstallOptions, read_label_map
    from cspine.models.install import install as install_model
    from cspine.models.registry import user_folder

    orientation, configuration = texts.pop("orientation"), texts.pop("configuration")
    renamed = {"model_version": "version", "source_text": "source"}
    options = InstallOptions(
        name=name,
        labels=read_label_map(labels) if labels else None,
        orientation=orientation,
        folds=parse_folds(folds),
        configuration=configuration,
        checkpoint=checkpoint,
        force=force,
        is_ct=is_ct,
        statements={renamed.get(key, key): text for key, text in texts.items() if text is not None},
    )
    package = install_model(source, into or user_folder(os.environ, home_folder()), options)
    click.echo(f"Installed {package.identity.title} in {package.folder}")
    if into is None:
        click.echo(f"Use it with: cspine run IN OUT --model {package.manifest.name}")


def _levels(manifest: ModelManifest) -> str:
    levels = manifest.stages[-1].levels
    return levels[0] if len(levels) == 1 else f"{levels[0]}..{levels[-1]}"
