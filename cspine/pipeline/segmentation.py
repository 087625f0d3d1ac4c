"""From a CT volume to cleaned vertebrae with their findings, for runs, audits and evaluations alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from cspine.core.anatomy import vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.findings import NO_CERVICAL_VERTEBRA, ROI_DOUBTFUL, STAGES_DISAGREE, TRUNCATED, Finding
from cspine.core.progress import ProgressCallback
from cspine.core.shape import shapes_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.predict import Inference, segment
from cspine.inference.settings import InferenceSettings
from cspine.measurements.confidence import Confidence
from cspine.models.package import ModelPackage, load_package
from cspine.models.registry import DEFAULT_MODEL, shipped_folder
from cspine.postprocessing.clean import Scope, column_only, postprocess
from cspine.postprocessing.image_findings import image_findings
from cspine.postprocessing.label_findings import unit_findings

#: A later stage that moves borders changes less of a level than this; more is another opinion on the level.
MAX_CHANGED_SHARE = 0.4


@dataclass(frozen=True)
class Vertebrae:
    """The cleaned labels with their findings.

    Parameters
    ----------
    labels : LabelVolume
        On the grid of the CT volume.
    findings : tuple of Finding
        Quality statements.
    confidence : mapping of str to Confidence
        Confidence in each vertebra by its level; empty if the model is not calibrated.
    """

    labels: LabelVolume
    findings: tuple[Finding, ...]
    confidence: Mapping[str, Confidence] = field(default_factory=dict)


def predict(
    ct: CtVolume, package: ModelPackage, settings: InferenceSettings, progress: ProgressCallback | None = None
) -> Inference:
    """Run the model's stages; between them, labels away from the column are removed.

    Parameters
    ----------
    ct : CtVolume
        The image.
    package : ModelPackage
        The model.
    settings : InferenceSettings
        Device, folds, mirroring, step size.
    progress : callable, optional
        Called with the number of finished tiles and of all tiles.

    Raises
    ------
    CSpineError
        As in `inference.predict.segment`.
    """
    return segment(ct, package, settings, progress, between=column_only, locator=shipped_locator)


@cache
def shipped_locator() -> ModelPackage | None:
    """Return the shipped cervical model, whose first stage finds the neck for models of one stage; None without it."""
    shipped = shipped_folder()
    folder = None if shipped is None else shipped / DEFAULT_MODEL
    return load_package(folder) if folder is not None and folder.is_dir() else None


def clean(
    inference: Inference, ct: CtVolume, age_years: float | None = None, *, solve_levels: bool = True
) -> Vertebrae:
    """Clean the labels of a volume.

    With ``solve_levels``, vertebrae are renamed if their levels are then consecutive.

    Parameters
    ----------
    inference : Inference
        The prediction of the network.
    ct : CtVolume
        The image.
    age_years : float, optional
        Age of the patient at the time of the study; a finding states one below 18 years.
    solve_levels : bool
        True to rename vertebrae if their levels are then consecutive.

    Raises
    ------
    NoVertebraError
        If no vertebra for the model is left.
    """
    from cspine.measurements.anchor_shape import anchor_findings

    scope = Scope(inference.levels, inference.sacrum_zyx, solve_levels, inference.auxiliary_zyx)
    labels, findings = postprocess(inference.labels, ct, age_years, inference.removed_mm3, scope)
    truncated = frozenset(finding.level for finding in findings if finding.code == TRUNCATED.code)
    cut = frozenset(level.label for level in inference.levels if level.name in truncated)
    findings = (*findings, *anchor_findings(labels, shapes_of(labels.labels_zyx, labels.grid, None, cut)))
    return Vertebrae(
        labels,
        (
            *findings,
            *unit_findings(ct),
            *_stage_findings(inference, labels),
            *_roi_findings(inference),
            *image_findings(ct, labels),
        ),
    )


def _roi_findings(inference: Inference) -> tuple[Finding, ...]:
    """Return a finding if the neck was not located with certainty, so that the model saw the complete image."""
    roi = inference.record.get("roi")
    if roi is None or roi["box_zyx"] is not None or not roi["levels"]:
        return ()
    located = ", ".join(roi["levels"])
    return (ROI_DOUBTFUL.about(f"Only {located} was located in advance; the model saw the complete image."),)


def _stage_findings(inference: Inference, labels: LabelVolume) -> tuple[Finding, ...]:
    """Return a finding for each level of the result that the stage before had mostly named otherwise."""
    return tuple(
        STAGES_DISAGREE.about(
            f"{vertebra(label).name}: the first stage assigned {100 * share:.0f} % of it to another level.",
            vertebra(label).name,
        )
        for label, share in sorted(inference.changed_share.items())
        if share > MAX_CHANGED_SHARE and (labels.labels_zyx == label).any()
    )


def find_vertebrae(
    ct: CtVolume, package: ModelPackage, settings: InferenceSettings, progress: ProgressCallback | None = None
) -> tuple[Inference, Vertebrae]:
    """Run the model and clean its labels, for studies of many cases.

    If no vertebra is predicted (by a cervical model: no cervical one), the labels are empty, and a finding states it:
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
        Called with the number of finished tiles and of all tiles.

    Returns
    -------
    inference : Inference
        The prediction of the network.
    vertebrae : Vertebrae
        The cleaned labels, as `cspine run` writes them.

    Raises
    ------
    CSpineError
        As `inference.predict.segment`.
    """
    inference = predict(ct, package, settings, progress)
    return inference, clean_or_empty(inference, ct)


def clean_or_empty(inference: Inference, ct: CtVolume) -> Vertebrae:
    """Clean the labels as `clean`; without a vertebra for the model they are empty, and a finding states it.

    Parameters
    ----------
    inference : Inference
        The prediction of the network.
    ct : CtVolume
        The image.
    """
    try:
        return clean(inference, ct)
    except NoVertebraError as error:
        predicted = inference.labels
        nothing = LabelVolume(np.zeros_like(predicted.labels_zyx), predicted.affine_lps, predicted.model)
        return Vertebrae(nothing, (NO_CERVICAL_VERTEBRA.about(error.message),))
