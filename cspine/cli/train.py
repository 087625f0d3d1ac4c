"""`cspine train`: a model package from synthetic images."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from cspine.cli.console import progress
from cspine.errors import UsageError


@click.command(name="train")
@click.option("--synthetic", is_flag=True, help="Train on images made on the fly from the anatomical atlas.")
@click.option(
    "--atlas", type=click.Path(path_type=Path), help="Folder of the anatomical atlas, or of its meshes for spines."
)
@click.option("--recipe", default="cervical-demo", show_default=True, help="Name of a shipped recipe, or a YAML file.")
@click.option("--run", "folder", required=True, type=click.Path(path_type=Path), help="Folder of the run's state.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the model package to write.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--iterations", type=click.IntRange(1), help="Instead of the recipe's number.")
@click.option("--labelled", type=click.Path(path_type=Path), help="nnU-Net raw dataset whose cases are mixed in.")
@click.option("--start-from", help="Model package whose stage of the recipe's name gives the first weights.")
@click.option("--after", help="For a cascade: model package whose stages go before this one.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Limit of training time in all.")
def command(
    synthetic: bool,
    atlas: Path | None,
    recipe: str,
    folder: Path,
    out: Path,
    device: str,
    iterations: int | None,
    labelled: Path | None,
    start_from: str | None,
    after: str | None,
    minutes: float | None,
) -> None:
    """Train nnU-Net's network on synthetic images and write a model package.

    A checkpoint is kept every three minutes: the same command goes on where an interrupted run stopped. The loss is
    in RUN/log.csv.

    --labelled takes an nnU-Net raw dataset (imagesTr/X_0000.nii.gz, labelsTr/X.nii.gz, dataset.json) with the labels
    C1..C7 = 1..7, T1 = 8, "T2 and below" = 9, as `cspine audit --pseudo-labels` writes it; it is held in memory.
    --start-from and --after take the name or the folder of a model package. The recipe cervical-demo-fine is the second
    stage of a cascade: it needs --after with the package of the first.
    """
    if not synthetic:
        raise UsageError("cspine trains on synthetic images only", advice="Give --synthetic.")
    from cspine.cli.models import wanted_model
    from cspine.inference.engine import choose_engine
    from cspine.models.package import load_package
    from cspine.study.synthetic_training.labelled_cases import read_dataset
    from cspine.study.synthetic_training.packaging import Provenance, manifest_of, package_model, stage_weights
    from cspine.study.synthetic_training.recipe import load_recipe
    from cspine.study.synthetic_training.train_synthetic import Run, train

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
