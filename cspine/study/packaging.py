"""From a training run's averaged weights to a model package with its card."""

from __future__ import annotations

from pathlib import Path

import torch

from cspine.errors import TrainingError
from cspine.models.card import model_card
from cspine.models.manifest import AUXILIARY, ModelManifest, StageManifest
from cspine.models.package import ModelPackage, Stage, StageContent, read_json, write_package
from cspine.study.recipe import BELOW, Recipe, configuration_name, dataset_json, network_labels, plans_json

#: How far the box of a fine stage reaches beyond the vertebrae of the coarse one.
_FINE_MARGIN_MM = 14.0
_CREDIT = (
    'Trained on images made from the atlas of "BodyParts3D, (c) The Database Center for Life Science" (CC BY 4.0).'
)


def stage_weights(package: ModelPackage, name: str) -> dict[str, torch.Tensor]:
    """Return the weights of a package's stage for a further training, float32.

    Raises
    ------
    TrainingError
        If it has no stage of that name with one fold.
    """
    for stage in package.stages:
        if stage.manifest.name == name and len(stage.manifest.folds) == 1:
            weights = stage.weights(stage.manifest.folds[0])
            return {key: value.float() if value.is_floating_point() else value for key, value in weights.items()}
    raise TrainingError(f"model {package.manifest.name} has no stage {name!r} with one fold")


def package_model(
    recipe: Recipe, weights: dict[str, torch.Tensor], iterations: int, out: Path, before: ModelPackage | None = None
) -> ModelPackage:
    """Write the model package of a finished synthetic training run, weights in half precision.

    Parameters
    ----------
    recipe : Recipe
        What was trained.
    weights : dict of str to Tensor
        State dict of the network.
    iterations : int
        How many were made.
    out : Path
        Folder of the package; one that is there is replaced.
    before : ModelPackage, optional
        For a cascade: its stages go before the new one, and its training data are told too.

    Returns
    -------
    ModelPackage
    """
    labels = {number: AUXILIARY if name == BELOW else name for name, number in network_labels().items() if number}
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
    training_data = f"Stage {recipe.stage}: {recipe.training_data.strip()} {iterations} iterations."
    if before is not None:
        training_data = f"{before.manifest.training_data} {training_data}"
    manifest = ModelManifest(
        name=recipe.name,
        version=recipe.version,
        title=recipe.title,
        licence="CC-BY-4.0",
        source=f"cspine train --synthetic --recipe {recipe.name}",
        credit=_CREDIT,
        intended_use="Demonstration and test of cspine. Research use only; not a medical device.",
        limits=(
            "Its labels come from one adult anatomy, varied in posture, size and shape. Not trained on children, "
            "fractures, tumours or implants. Its last stage works on a grid of "
            f"{' x '.join(f'{s:g}' for s in recipe.network.spacing)} mm."
        ),
        training_data=training_data,
        demonstration=True,
        stages=(*(before.manifest.stages if before is not None else ()), stage),
    )
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    contents = {stage.manifest.name: _content_of(stage) for stage in before.stages} if before is not None else {}
    contents[recipe.stage] = StageContent(plans_json(recipe), dataset_json(recipe), {"all": half})
    card = model_card(manifest)
    if recipe.evaluation:
        card += f"\n## Evaluation\n\n{recipe.evaluation.strip()}\n"
    return write_package(out, manifest, contents, card=card, replace=True)


def _content_of(stage: Stage) -> StageContent:
    plans, dataset = (read_json(stage.folder / name) for name in ("plans.json", "dataset.json"))
    return StageContent(plans, dataset, {fold: stage.weights(fold) for fold in stage.manifest.folds})
