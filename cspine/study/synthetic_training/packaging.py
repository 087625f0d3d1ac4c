"""From a training run's averaged weights to a model package with its card."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from pydantic import ValidationError

from cspine.core.errors import TrainingError
from cspine.io.tables import counted
from cspine.models.card import model_card
from cspine.models.manifest import AUXILIARY, ModelManifest, StageManifest, explain
from cspine.models.package import ModelPackage, Stage, read_model_json
from cspine.models.package_writer import StageContent, write_package
from cspine.study.synthetic_training.recipe import (
    Recipe,
    configuration_name,
    dataset_json,
    plans_json,
)

#: How far the box of a fine stage reaches beyond the vertebrae of the coarse one.
_FINE_MARGIN_MM = 14.0
#: Part of the names of the layers whose rows are classes, in nnU-Net's networks.
_OUTPUT_LAYER = ".seg_layers."
_CREDIT = (
    'Trained on images made from the atlas of "BodyParts3D, (c) The Database Center for Life Science" (CC BY 4.0).'
)
_MADE_FROM = {
    "neck": "one anatomical atlas",
    "spine": "the meshes of one anatomical atlas and simple solids",
    "articulated": "the vertebrae of several people and the soft tissue of one anatomical atlas",
}
_PEOPLE = {"neck": "one adult anatomy", "spine": "one adult anatomy", "articulated": "the bones of three adults"}
_MORE_CREDIT = {
    "articulated": (
        "The shapes of vertebrae of other people come from surface models of the Visible Human Male (U.S. National "
        "Library of Medicine, Visible Human Project; surfaces: zlyreed/WSU) and of the Visible Korean Human (ArtiSynth "
        "models, vkhUpperAirway).",
    )
}


def stage_weights(package: ModelPackage, recipe: Recipe) -> dict[str, torch.Tensor]:
    """Return the weights of a package's stage for a further training, float32.

    Parameters
    ----------
    package : ModelPackage
        Its stage of the recipe's name is taken; for a network that sees the CT alone, else the first one.
    recipe : Recipe
        What is trained. Where it has other classes than the stage, each output layer gets the stage's row of the same
        level; a level that the stage does not know begins as what it calls "below" (the auxiliary class).

    Raises
    ------
    TrainingError
        If it has no such stage with one fold, or the stage has no class that a new one can begin from.
    """
    named = [stage for stage in package.stages if stage.manifest.name == recipe.stage]
    stage = named[0] if named else None if recipe.cascade else package.stages[0]
    if stage is None or len(stage.manifest.folds) != 1:
        raise TrainingError(f"model {package.manifest.name} has no stage {recipe.stage!r} with one fold")
    weights = stage.weights(stage.manifest.folds[0])
    rows = _rows_of(stage.manifest.labels, recipe)
    return {
        key: (value[rows] if _OUTPUT_LAYER in key else value).float() if value.is_floating_point() else value
        for key, value in weights.items()
    }


def _rows_of(known: Mapping[int, str], recipe: Recipe) -> list[int]:
    """Return for each class of a recipe the class of another network that it begins from."""
    numbers = {name: number for number, name in known.items()} | {"background": 0}
    names = [AUXILIARY if name == recipe.labels.auxiliary else name for name in recipe.labels.network_labels()]
    absent = [name for name in names if name not in numbers]
    if absent and AUXILIARY not in numbers:
        raise TrainingError(f"the weights to start from have no class for {absent[0]}, and none for the levels below")
    return [numbers.get(name, numbers.get(AUXILIARY, 0)) for name in names]


@dataclass(frozen=True)
class Provenance:
    """What a stage's weights come from, besides its recipe.

    Parameters
    ----------
    iterations : int
        How many were made.
    labelled : str
        Name and size of the dataset of labelled cases, for example ``"32 labelled cases of Pseudo"``.
    started_from : str
        Title and checksum of the model whose weights it started from.
    """

    iterations: int
    labelled: str = ""
    started_from: str = ""

    def sentences(self, recipe: Recipe) -> str:
        """Return the sentences of the model card about a stage."""
        text = f"Stage {recipe.stage}: {recipe.training_data.strip()}".rstrip(" :")
        batch = counted(recipe.batch_size, "patch", "patches")
        text += (
            f" {self.iterations} iterations of batches of {batch} from synthetic CT volumes made "
            f"on the fly from {_MADE_FROM[recipe.anatomy]} (seeds from {recipe.first_seed} on)"
        )
        if self.labelled:
            text += f", {recipe.labelled_share:.0%} of the patches from {self.labelled}"
        if self.started_from:
            text += f", started from the weights of {self.started_from}"
        return f"{text}."


def manifest_of(recipe: Recipe, provenance: Provenance, into: ModelPackage | None = None) -> ModelManifest:
    """Return the manifest of a recipe's model: made before a training, to find errors early.

    Parameters
    ----------
    recipe : Recipe
        What is trained.
    provenance : Provenance
        What the weights come from.
    into : ModelPackage, optional
        Its stages stay beside the new one, which takes the place of one of the same name, or the last place; its data,
        credit and licence are stated too.

    Raises
    ------
    TrainingError
        If recipe and package do not make a model.
    """
    auxiliary = recipe.labels.auxiliary
    numbers = recipe.labels.network_labels()
    labels = {number: AUXILIARY if name == auxiliary else name for name, number in numbers.items() if number}
    there = into.manifest.stages if into is not None else ()
    place = next((i for i, stage in enumerate(there) if stage.name == recipe.stage), len(there))
    before, behind = there[:place], there[place + 1 :]
    if recipe.cascade != bool(before):
        raise TrainingError("a recipe of a cascade needs the stages before it, and no other does")
    if any(stage.labels != labels for stage in (*before, *behind)):
        raise TrainingError(f"the stages of {into.manifest.name if into else ''} have other labels")
    earlier = [into.manifest] if into is not None else []
    try:
        stage = StageManifest(
            name=recipe.stage,
            folder=recipe.stage,
            configuration=configuration_name(recipe),
            trainer="nnUNetTrainer",
            mirror_axes=(2,),
            orientation="LPS",
            folds=("all",),
            labels=labels,
            margin_mm=_FINE_MARGIN_MM,
            field_of_view="image" if recipe.cascade else "body",
        )
        return ModelManifest(
            name=recipe.name,
            version=recipe.version,
            title=recipe.title,
            licence=_joined([*(m.licence for m in earlier), "CC-BY-4.0"], " AND "),
            source=f"cspine train --synthetic --recipe {recipe.name}",
            credit=_joined([*(m.credit for m in earlier), _CREDIT, *_MORE_CREDIT.get(recipe.anatomy, ())], " "),
            intended_use="Demonstration and test of cspine. Research use only; not a medical device.",
            limits=(
                f"Its labels come from {_PEOPLE[recipe.anatomy]}, varied in posture, size and shape. Not trained on "
                "children, fractures, tumours or implants. Its last stage works on a grid of "
                f"{' x '.join(f'{s:g}' for s in recipe.network.spacing)} mm."
            ),
            training_data=_joined(
                [*(_without_stage(m.training_data, recipe.stage) for m in earlier), provenance.sentences(recipe)], " "
            ),
            demonstration=True,
            stages=(*before, stage, *behind),
        )
    except ValidationError as error:
        raise TrainingError(f"the recipe makes no model: {explain(error)}", advice="Correct the recipe.") from error


def package_model(
    recipe: Recipe,
    weights: dict[str, torch.Tensor],
    provenance: Provenance,
    out: Path,
    into: ModelPackage | None = None,
) -> ModelPackage:
    """Write the model package of a finished synthetic training run, weights in half precision.

    Parameters
    ----------
    recipe : Recipe
        What was trained.
    weights : dict of str to Tensor
        State dict of the network.
    provenance : Provenance
        What they come from.
    out : Path
        Folder of the package; one that is there is replaced.
    into : ModelPackage, optional
        As `manifest_of`.

    Returns
    -------
    ModelPackage

    Raises
    ------
    TrainingError
        As `manifest_of`.
    """
    manifest = manifest_of(recipe, provenance, into)
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    contents = {stage.manifest.name: _content_of(stage) for stage in into.stages} if into is not None else {}
    contents[recipe.stage] = StageContent(plans_json(recipe), dataset_json(recipe), {"all": half})
    card = model_card(manifest)
    if recipe.evaluation:
        card += f"\n## Evaluation\n\n{recipe.evaluation.strip()}\n"
    return write_package(out, manifest, contents, card=card, replace=True)


def replace_card(package: ModelPackage, card: str) -> ModelPackage:
    """Write a package again in its own folder, with the same weights and another model card.

    Parameters
    ----------
    package : ModelPackage
        The package.
    card : str
        Text of its card.
    """
    contents = {stage.manifest.name: _content_of(stage) for stage in package.stages}
    return write_package(package.folder, package.manifest, contents, card=card, replace=True)


def _without_stage(training_data: str, stage: str) -> str:
    """Return what a model card says of the training data of all stages but one."""
    return re.sub(rf"Stage {re.escape(stage)}: .*?(?=Stage [^\s:]+: |$)", "", training_data, flags=re.DOTALL).strip()


def _joined(parts: list[str], between: str) -> str:
    """Join the texts that are not part of those before."""
    joined = ""
    for part in parts:
        if part and part not in joined:
            joined += f"{between}{part}" if joined else part
    return joined


def _content_of(stage: Stage) -> StageContent:
    plans, dataset = (read_model_json(stage.folder / name) for name in ("plans.json", "dataset.json"))
    return StageContent(plans, dataset, {fold: stage.weights(fold) for fold in stage.manifest.folds})
