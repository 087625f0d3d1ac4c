"""From a CT volume to cleaned vertebrae with their findings: the one way that runs, audits and evaluations go."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cspine.core.errors import NoVertebraError
from cspine.core.findings import NO_CERVICAL_VERTEBRA, Finding
from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.predict import Inference, segment
from cspine.inference.settings import InferenceSettings
from cspine.models.package import ModelPackage
from cspine.postprocessing.clean import Scope, column_only, postprocess


@dataclass(frozen=True)
class Vertebrae:
    """The cleaned labels with the statements about them.

    Parameters
    ----------
    labels : LabelVolume
        On the grid of the CT volume.
    findings : tuple of Finding
        Quality statements.
    """

    labels: LabelVolume
    findings: tuple[Finding, ...]


def draw(
    ct: CtVolume, package: ModelPackage, settings: InferenceSettings, progress: ProgressCallback | None = None
) -> Inference:
    """Run the model's stages; between them, what stands away from the column is removed. Errors as `segment`."""
    return segment(ct, package, settings, progress, between=column_only)


def clean(
    inference: Inference, ct: CtVolume, age_years: float | None = None, *, solve_levels: bool = True
) -> Vertebrae:
    """Clean the labels of a volume; NoVertebraError if nothing is left that the model is for.

    With ``solve_levels``, vertebrae of a full-spine model are renamed where that makes their levels follow each other.
    """
    scope = Scope(inference.levels, inference.sacrum_zyx, solve_levels)
    return Vertebrae(*postprocess(inference.labels, ct, age_years, inference.removed_mm3, scope))


def find_vertebrae(
    ct: CtVolume, package: ModelPackage, settings: InferenceSettings, progress: ProgressCallback | None = None
) -> tuple[Inference, Vertebrae]:
    """Run the model and clean its labels, for studies of many cases.

    Where no vertebra is found (by a cervical model: no cervical one), the labels are empty, and the finding says so:
    such a case counts in a study.

    Parameters
    ----------
    ct : CtVolume
        The image.
    package : ModelPackage
        The model.
    settings : InferenceSettings
        Device, folds, mirroring, step size.
    progress : callable, optional
        Told the tiles done and all tiles.

    Returns
    -------
    inference : Inference
        What the network drew.
    vertebrae : Vertebrae
        What is left of it, as `cspine run` writes it.

    Raises
    ------
    CSpineError
        As `inference.predict.segment`.
    """
    inference = draw(ct, package, settings, progress)
    try:
        return inference, clean(inference, ct)
    except NoVertebraError as error:
        drawn = inference.labels
        nothing = LabelVolume(np.zeros_like(drawn.labels_zyx), drawn.affine_lps, drawn.model)
        return inference, Vertebrae(nothing, (NO_CERVICAL_VERTEBRA.about(error.message),))
