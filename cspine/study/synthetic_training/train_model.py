"""The complete workflow of `cspine train --synthetic`: from a recipe to a model package."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike, environ, fspath
from pathlib import Path

from cspine.core.errors import UsageError
from cspine.core.progress import ProgressCallback
from cspine.inference.engines.torch_engine import torch_device
from cspine.io.machine import home_folder
from cspine.models.package import ModelPackage, load_package
from cspine.models.registry import model_to_run
from cspine.study.synthetic_training.labelled_cases import TrainingVolumes, read_dataset
from cspine.study.synthetic_training.packaging import Provenance, manifest_of, package_model, stage_weights
from cspine.study.synthetic_training.recipe import Recipe, find_recipe
from cspine.study.synthetic_training.train_synthetic import Run, train
from cspine.study.synthetic_training.train_synthetic import snapshot as snapshot_of
from cspine.study.training.packaging import check_output_folder

Place = str | PathLike[str]


@dataclass(frozen=True)
class TrainingSources:
    """The sources of the images of a synthetic training.

    Parameters
    ----------
    atlas : path, optional
        Folder of the anatomical atlas; for spines, of its meshes, or simple solids if omitted.
    anatomies : path, optional
        Folder with one folder of vertebrae per person, for articulated necks.
    labelled : path, optional
        nnU-Net raw dataset whose cases are added to the synthetic ones.
    """

    atlas: Place | None = None
    anatomies: Place | None = None
    labelled: Place | None = None


def train_synthetic(
    recipe: Place | Recipe,
    run: Place,
    out: Place,
    *,
    sources: TrainingSources | None = None,
    iterations: int | None = None,
    start_from: Place | None = None,
    other_stages: Place | None = None,
    snapshot: bool = False,
    device: str = "auto",
    progress: ProgressCallback = lambda done, total: None,
) -> ModelPackage:
    """Train a network on synthetic images, generated while it is trained, and write a model package.

    Parameters
    ----------
    recipe : str, path or Recipe
        Name of a shipped recipe (``"cervical-demo"``), a YAML file, or a recipe in memory.
    run : path
        Folder of the run's state; the same call resumes where an interrupted one stopped.
    out : path
        Folder of the package; a package that is there is replaced.
    sources : TrainingSources, optional
        Atlas, other people's vertebrae, labelled cases; required unless the recipe is of spines made of simple solids.
    iterations : int, optional
        Number of iterations; that of the recipe if omitted. A larger number continues a finished run.
    start_from : str or path, optional
        Model with the initial weights: its stage with the name of the recipe's; random weights if omitted.
    other_stages : str or path, optional
        Model with the other stages; required for a recipe of a cascade.
    snapshot : bool
        True to train nothing and package the latest checkpoint, also while the run is in progress.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"cuda:N"``.
    progress : callable
        Gets the iterations done and all of them.

    Returns
    -------
    ModelPackage

    Raises
    ------
    UsageError
        If something else than a package would be replaced, or the recipe requires ``other_stages`` or ``anatomies``.
    TrainingError
        If recipe, models, labelled cases or the run's folder do not go together, or the training fails.
    AtlasError, ModelError
        If the atlas or a model cannot be used.

    Examples
    --------
    >>> sources = cspine.study.TrainingSources("atlas", "anatomies")  # doctest: +SKIP
    >>> cspine.study.train_synthetic("cervical-demo", "run", "model", sources=sources)  # doctest: +SKIP
    """
    given, folder, place = sources or TrainingSources(), Path(run), Path(out)
    chosen = _with_length(recipe if isinstance(recipe, Recipe) else find_recipe(recipe), iterations)
    check_output_folder(place, (folder,))
    _check_sources(chosen, given, other_stages)
    target, start = _model(other_stages), _model(start_from)
    manifest_of(chosen, Provenance(0), target)  # refuse a recipe that cannot be packaged before training
    labelled = Path(given.labelled) if given.labelled is not None else None
    cases = _labelled_cases(chosen, labelled)
    task = Run(
        chosen,
        Path(given.atlas) if given.atlas is not None else None,
        folder,
        torch_device(device),
        Path(given.anatomies) if given.anatomies is not None else None,
        cases,
        stage_weights(start, chosen) if start is not None else None,
    )
    weights, done = snapshot_of(task) if snapshot else train(task, progress)
    provenance = Provenance(
        done,
        f"{len(cases)} labelled cases of {labelled.name}" if labelled is not None else "",
        f"{start.identity.title} (sha256 {start.identity.checksum[:16]})" if start is not None else "",
    )
    return package_model(chosen, weights, provenance, place, target)


def _with_length(recipe: Recipe, iterations: int | None) -> Recipe:
    if iterations is None:
        return recipe
    if iterations < 1:
        raise UsageError(f"{iterations} iterations", advice="Give one or more.")
    return recipe.model_copy(update={"iterations": iterations})


def _check_sources(recipe: Recipe, sources: TrainingSources, other_stages: Place | None) -> None:
    if recipe.cascade and other_stages is None:
        raise UsageError("a recipe of a cascade requires `other_stages` PACKAGE with the previous stages")
    if recipe.anatomy == "articulated" and sources.anatomies is None:
        raise UsageError("a recipe of articulated necks requires `anatomies` DIR with the vertebrae of several people")


def _model(wanted: Place | None) -> ModelPackage | None:
    return load_package(model_to_run(fspath(wanted), environ, home_folder())) if wanted is not None else None


def _labelled_cases(recipe: Recipe, folder: Path | None) -> tuple[TrainingVolumes, ...]:
    if folder is None:
        return ()
    return tuple(read_dataset(folder, recipe.labels.network_labels(), recipe.network.spacing[0]))
