"""The default model card of a package, generated from its manifest."""

from __future__ import annotations

from cspine.models.manifest import AUXILIARY, ModelManifest


def model_card(manifest: ModelManifest) -> str:
    """Return the text of a model card (Markdown) generated from the manifest.

    Parameters
    ----------
    manifest : ModelManifest
        Manifest of the package.
    """
    mark = (
        "\n**DEMONSTRATION**: made to demonstrate the application; do not rely on its results.\n"
        if manifest.demonstration
        else ""
    )
    stages = "\n".join(
        f"- *{stage.name}*: {stage.configuration}, folds {', '.join(stage.folds)}, "
        f"array orientation {stage.orientation}; {', '.join(stage.levels)}"
        + (" and auxiliary classes, which no output contains" if AUXILIARY in stage.labels.values() else "")
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
