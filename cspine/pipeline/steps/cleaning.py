"""Clean the labels of a model, and state the findings of the result."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from cspine.core.volumes import CtVolume
from cspine.pipeline.completeness import completeness_findings
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.findings import contrast_findings, log_findings
from cspine.pipeline.steps.patient import age_and_contrast
from cspine.pipeline.steps.selection import ChosenSeries
from cspine.pipeline.subset import keep_levels

if TYPE_CHECKING:
    from cspine.inference.predict import Inference
    from cspine.pipeline.segmentation import Vertebrae


def clean(inference: Inference, ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> Vertebrae:
    """Clean the labels, keep the wanted levels, and check the completeness.

    Parameters
    ----------
    inference : Inference
        From `infer`.
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from DICOM.
    settings : RunSettings
        Wanted levels, solver, findings with which nothing is written.

    Raises
    ------
    NoVertebraError
        If no vertebra for the model is left.
    FindingError
        If the result has a finding with which none is wanted.
    """
    from cspine.pipeline import segmentation
    from cspine.pipeline.confidence import confidence_findings, confidence_of

    age, has_contrast = age_and_contrast(ct, chosen)
    cleaned = segmentation.clean(inference, ct, age, solve_levels=settings.solve_levels)
    confidence = confidence_of(inference, cleaned.labels, cleaned.findings)
    findings = (*cleaned.findings, *confidence_findings(confidence))
    cleaned = replace(cleaned, findings=findings, confidence=confidence)
    if settings.levels is not None:
        cleaned = keep_levels(cleaned, settings.levels)
    completeness = (
        completeness_findings(
            chosen.context, ct, cleaned.labels.model, settings.levels, incomplete_transfer=settings.incomplete
        )
        if chosen is not None
        else ()
    )
    findings = (*cleaned.findings, *contrast_findings(has_contrast), *completeness)
    vertebrae = replace(cleaned, labels=cleaned.labels.read_only(), findings=findings)
    log_findings(vertebrae.findings, settings)
    return vertebrae
