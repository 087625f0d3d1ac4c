"""The model card that a package gets where its maker writes none: the manifest in words."""

from __future__ import annotations

from cspine.models.manifest import AUXILIARY, ModelManifest


def model_card(manifest: ModelManifest) -> str:
    """Return the text of a model card (Markdown) made from the manifest.

    Parameters
    ----------
    manifest : ModelManifest
        Of the package.
    """
    mark = (
        "\n**DEMONSTRATION**: made to show the application at work, not to be relied on.\n"
        if manifest.demonstration
        else ""
    )
    stages = "\n".join(
        f"- *{stage.name}*: {stage.configuration}, folds {', '.join(stage.folds)}, "
        f"array orientation {stage.orientation}; {', '.join(stage.levels)}"
        + (" and auxiliary classes that no output shows" if AUXILIARY in stage.labels.values() else "")
        for stage in manifest.stages
    )
    return f"""# {manifest.title}

Model package `{manifest.name}`, version {manifest.version}.
{mark}
## Intended use

{manifest.intended_use}

## Limits

{manifest.limits}

## Stages

{stages}

## Training data

{manifest.training_data}

## Source, licence and credit

{manifest.source}

Licence: {manifest.licence}

{manifest.credit}
"""
