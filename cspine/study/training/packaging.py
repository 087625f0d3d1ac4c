"""From the results of a training to a model package: the machinery of installation, with what the training knows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from cspine.core.errors import UsageError
from cspine.models.card import model_card
from cspine.models.install import READER_ORIENTATIONS
from cspine.models.manifest import AUXILIARY, MANIFEST_NAME, ModelManifest, StageManifest, explain
from cspine.models.package import ModelPackage
from cspine.models.package_writer import StageContent, write_package
from cspine.models.plans import NetworkPlan, read_plan
from cspine.models.sources import TrainedModel, read_trained
from cspine.study.training.card import card_sections, data_sentence, licences_sentence
from cspine.study.training.cases import TrainingCases
from cspine.study.training.run_folder import RunFolder
from cspine.study.training.settings import CASCADE, TrainingSettings
from cspine.study.training.validation import fold_scores

#: Names of the stages, by configuration; one of them alone is called "segment".
_STAGE_NAMES = {"3d_lowres": "locate", CASCADE: "fine"}
#: The second stage of a cascade sees the whole image, as nnU-Net's does.
_WHOLE_IMAGE_MM = 500.0
_ORIENTATION = READER_ORIENTATIONS["SimpleITKIOWithReorient"]
_CREDIT = (
    "nnU-Net (Isensee et al., Nature Methods 2021); the study follows Diotalevi et al., EMBC 2025 "
    "(doi 10.1109/EMBC58623.2025.11253480). The data sets ask for credit of their own: see the training data."
)


@dataclass(frozen=True)
class Naming:
    """The name and title of a model, as its user gives them.

    Parameters
    ----------
    name : str
        Name of the package: small letters, digits, ``. _ -``.
    title : str
        One line.
    command : str
        The command that makes it, for the card.
    """

    name: str
    title: str
    command: str


def naming_of(out: Path, name: str | None, title: str | None, cases: TrainingCases, command: str) -> Naming:
    """Return the name and title of a package; from its folder and its labels if omitted.

    Parameters
    ----------
    out : Path
        Folder of the package.
    name, title : str or None
        What the user gives.
    cases : TrainingCases
        The training cases, with their label set.
    command : str
        What makes the package, for its card.
    """
    slug = name or re.sub(r"[^a-z0-9._-]+", "-", out.resolve().name.lower()).strip("-._")
    levels = cases.labels.levels
    return Naming(slug, title or f"nnU-Net, {levels[0].name}..{levels[-1].name}, {cases.labels.name}", command)


def check_naming(naming: Naming) -> None:
    """Refuse a name that no package can have, before anything is trained.

    Parameters
    ----------
    naming : Naming
        Name and title of the package.

    Raises
    ------
    UsageError
        With the fault.
    """
    stage = StageManifest(
        name="segment", folder="segment", configuration="-", trainer="-", orientation="RAS", folds=("0",),
        labels={1: "C1"},
    )  # fmt: skip
    placeholders = {
        "licence": "-",
        "source": "-",
        "credit": "-",
        "intended_use": "-",
        "limits": "-",
        "training_data": "-",
    }
    _valid_manifest({"name": naming.name, "version": "1", "title": naming.title, "stages": (stage,), **placeholders})


def check_output_folder(out: Path, others: Iterable[Path]) -> None:
    """Refuse a folder for a package where something else would be lost, before anything is trained.

    Parameters
    ----------
    out : Path
        Folder of the package; a package that is there will be replaced.
    others : iterable of Path
        Folders that are read or written: the dataset, the run.

    Raises
    ------
    UsageError
        If it is one of the others or lies around one, or holds something else than a package.
    """
    for other in (path.resolve() for path in others):
        if other.is_relative_to(out.resolve()):
            raise UsageError(f"`out` is {other.name}, or lies around it", advice="Give the package its own folder.")
    if out.exists() and not (out / MANIFEST_NAME).is_file() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(
            f"`out` {out} exists already and is not a model package", advice="Give another folder: it would be lost."
        )


def refuse_within(dataset: Path, places: Mapping[str, Path]) -> None:
    """Refuse to write a training into its dataset, which would grow by it, and lose it when it is made again.

    Parameters
    ----------
    dataset : Path
        Folder of the dataset.
    places : mapping of str to Path
        Folders that are written, by the option that names each.

    Raises
    ------
    UsageError
        If one is the dataset, or lies in it.
    """
    for option, place in places.items():
        if place.resolve().is_relative_to(dataset.resolve()):
            raise UsageError(f"`{option}` lies in the dataset", advice=f"Give `{option}` a folder beside the dataset.")


def package_model(
    folder: RunFolder, cases: TrainingCases, settings: TrainingSettings, out: Path, naming: Naming
) -> ModelPackage:
    """Write the model package of a finished training.

    Parameters
    ----------
    folder : RunFolder
        The run, all of whose folds are trained and validated.
    cases : TrainingCases
        The training cases.
    settings : TrainingSettings
        How.
    out : Path
        Folder of the package; one that is there is replaced.
    naming : Naming
        What it is called.

    Raises
    ------
    TrainingError, ModelError
        If the results are not whole.
    """
    trained = {stage: read_trained(folder.results(settings, stage), cases.folds) for stage in settings.stages}
    plans = {
        stage: read_plan(model.plans, model.dataset, stage, model.checkpoint.trainer)
        for stage, model in trained.items()
    }
    stages = tuple(_stage(cases, settings, model, plans[stage]) for stage, model in trained.items())
    manifest = _valid_manifest(
        {
            "format": 1 if cases.split is None else 2,
            "name": naming.name,
            "version": "1",
            "title": naming.title,
            "licence": licences_sentence(cases.rows),
            "source": naming.command,
            "credit": _CREDIT,
            "intended_use": "Research use only; not a medical device.",
            "limits": (
                "Trained on adults as the public data sets have them; fractures, metastases, implants and children are "
                "rare among them or absent. Numbers of the validation are of those data sets, not of your scanner. "
                "Evaluate it on your own cases before you rely on it."
            ),
            "training_data": data_sentence(cases),
            "split": cases.split,
            "stages": stages,
        }
    )
    last = settings.stages[-1]
    scores = [fold_scores(folder.fold(settings, last, fold), fold, cases.labels) for fold in cases.folds]
    plans_text = "; ".join(_plan_text(plan) for plan in plans.values())
    card = model_card(manifest) + card_sections(cases, settings, plans_text, scores, naming.command)
    contents = {
        stage.name: StageContent(model.plans, model.dataset, model.weights)
        for stage, model in zip(stages, trained.values(), strict=True)
    }
    return write_package(out, manifest, contents, card=card, replace=True)


def _stage(cases: TrainingCases, settings: TrainingSettings, model: TrainedModel, plan: NetworkPlan) -> StageManifest:
    name = _STAGE_NAMES.get(plan.configuration, "segment") if len(settings.stages) > 1 else "segment"
    auxiliary = cases.labels.auxiliary
    return StageManifest(
        name=name,
        folder=name,
        configuration=plan.configuration,
        trainer=model.checkpoint.trainer,
        mirror_axes=model.checkpoint.mirror_axes,
        orientation=_ORIENTATION,
        folds=tuple(model.weights),
        labels={
            label: AUXILIARY if level_name == auxiliary else level_name
            for label, level_name in plan.label_names.items()
        },
        margin_mm=_WHOLE_IMAGE_MM if plan.is_cascade else 20.0,
    )


def _plan_text(plan: NetworkPlan) -> str:
    network = plan.architecture
    spacing = " x ".join(f"{step:.3g}" for step in plan.spacing_mm)
    patch = " x ".join(str(n) for n in plan.patch_size)
    features = ", ".join(str(n) for n in network.arguments["features_per_stage"])
    name = network.class_name.rpartition(".")[2]
    return f"{plan.configuration}: {name} ({features} channels), voxels of {spacing} mm, patches of {patch}"


def _valid_manifest(values: dict[str, object]) -> ModelManifest:
    try:
        return ModelManifest.model_validate(values)
    except ValidationError as error:
        raise UsageError(f"the model package cannot be described: {explain(error)}") from error
