"""From a training run's averaged weights to a model package with its card."""

from __future__ import annotations

from pathlib import Path

import torch

from cspine.models.card import model_card
from cspine.models.manifest import AUXILIARY, ModelManifest, StageManifest
from cspine.models.package import ModelPackage, StageContent, write_package
from cspine.study.recipe import BELOW, Recipe, dataset_json, network_labels, plans_json

_CREDIT = (
    'Trained on images made from the atlas of "BodyParts3D, (c) The Database Center for Life Science" (CC BY 4.0).'
)


def package_model(recipe: Recipe, weights: dict[str, torch.Tensor], iterations: int, out: Path) -> ModelPackage:
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

    Returns
    -------
    ModelPackage
    """
    labels = {number: AUXILIARY if name == BELOW else name for name, number in network_labels().items() if number}
    stage = StageManifest(
        name="neck",
        folder="neck",
        configuration="3d_fullres",
        trainer="nnUNetTrainer",
        mirror_axes=(2,),
        orientation="LPS",
        folds=("all",),
        labels=labels,
        field_of_view="body",
    )
    manifest = ModelManifest(
        name=recipe.name,
        version=recipe.version,
        title=recipe.title,
        licence="CC-BY-4.0",
        source=f"cspine train --synthetic --recipe {recipe.name}",
        credit=_CREDIT,
        intended_use="Demonstration and test of cspine. Research use only; not a medical device.",
        limits=(
            "Has seen synthetic images of one adult anatomy only, varied in posture, size and shape. Not trained on "
            "patients, children, fractures, tumours or implants. Works on a grid of "
            f"{' x '.join(f'{s:g}' for s in recipe.network.spacing)} mm: thin processes may be lost."
        ),
        training_data=(
            f"{iterations} iterations of batches of {recipe.batch_size} patches from synthetic CT volumes made on the "
            f"fly from one anatomical atlas (seeds from {recipe.first_seed} on). No image of a patient was used."
        ),
        demonstration=True,
        stages=(stage,),
    )
    half = {name: value.half() if value.is_floating_point() else value for name, value in weights.items()}
    content = StageContent(plans_json(recipe), dataset_json(recipe), {"all": half})
    card = model_card(manifest)
    if recipe.evaluation:
        card += f"\n## Evaluation\n\n{recipe.evaluation.strip()}\n"
    return write_package(out, manifest, {"neck": content}, card=card, replace=True)
