"""The confidence in each vertebra of a result: features of the prediction, and a calibration of the model over them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from cspine.core.anatomy import rank, vertebra
from cspine.core.errors import NotCalibratedError
from cspine.core.findings import LOW_CONFIDENCE, ONE_SIDED, TRUNCATED, Finding, Severity
from cspine.core.shape import shapes_of
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.inference.predict import Inference
from cspine.inference.probability import evidence_of
from cspine.inference.settings import InferenceSettings
from cspine.measurements.confidence import Confidence
from cspine.models.calibration import Calibration
from cspine.models.package import ModelPackage
from cspine.pipeline.agreement import Rerun, model_agreement
from cspine.pipeline.settings import ConfidenceName
from cspine.postprocessing.order import ANCHORS

#: Features of one run of the network, and the one of altered images.
FAST_FEATURES = (
    "log_confusion",
    "log_neighbour_confusion",
    "logit_soft_dice",
    "stage_change",
    "serious",
    "truncated",
    "anchored",
)
FULL_FEATURES = (*FAST_FEATURES, "disagreement")
#: A confusion of less says nothing more.
_MIN_CONFUSION = 1e-4

#: Below this a finding states that the level is doubtful: one in five such vertebrae or more has a neighbour's level.
MIN_LEVEL_PROBABILITY = 0.8

Features = dict[str, float]


def features_of(
    inference: Inference, labels: LabelVolume, findings: Iterable[Finding], disagreement: Mapping[str, float] | None
) -> dict[str, Features]:
    """Return the features of each vertebra by its level.

    Parameters
    ----------
    inference : Inference
        The prediction, with its probabilities.
    labels : LabelVolume
        The cleaned labels.
    findings : iterable of Finding
        Findings of the result.
    disagreement : mapping of str to float or None
        1 minus the mean Dice with results of altered images, by level; None if that was not measured.

    Returns
    -------
    dict of str to dict of str to float
        From head to foot; a vertebra without any probability, because no voxel of it was predicted as one, has none.
    """
    if inference.probabilities is None:
        return {}
    by_label = evidence_of(inference.probabilities, labels)
    evidence = {vertebra(label).name: by_label[label] for label in sorted(by_label, key=rank)}
    findings = tuple(findings)
    serious = [finding.level for finding in findings if finding.severity is Severity.SERIOUS]
    truncated = {finding.level for finding in findings if finding.code == TRUNCATED.code}
    anchored = float(bool(ANCHORS & evidence.keys()))
    ordered = list(evidence)
    found = {}
    for place, (level, own) in enumerate(evidence.items()):
        beside = [evidence[name].confusion for name in ordered[max(place - 1, 0) : place + 2] if name != level]
        soft = min(max(own.soft_dice, 1e-3), 1 - 1e-3)
        found[level] = {
            "log_confusion": math.log(own.confusion + _MIN_CONFUSION),
            "log_neighbour_confusion": math.log(max(beside, default=own.confusion) + _MIN_CONFUSION),
            "logit_soft_dice": math.log(soft / (1 - soft)),
            "stage_change": inference.changed_share.get(vertebra(level).label, 0.0),
            "serious": float(level in serious) + float(None in serious),
            "truncated": float(level in truncated),
            "anchored": anchored,
        }
        if disagreement is not None:
            found[level]["disagreement"] = disagreement.get(level, 1.0)
    return found


def disagreement_of(
    ct: CtVolume, labels: LabelVolume, package: ModelPackage, settings: InferenceSettings
) -> dict[str, float]:
    """Return 1 minus the mean Dice of each level with results of a shifted, a cropped and a noisy image, by level.

    Parameters
    ----------
    ct : CtVolume
        The image.
    labels : LabelVolume
        Its vertebrae.
    package : ModelPackage
        The model.
    settings : InferenceSettings
        As of the first run.
    """
    shapes = tuple(shapes_of(labels.labels_zyx, labels.grid))
    found = model_agreement(ct, labels, shapes, Rerun(package, settings, "confidence"))
    names = [shape.vertebra.name for shape in shapes]
    return {name: 1 - sum(dices[name] for dices in found.values()) / len(found) for name in names}


def calibration_for(package: ModelPackage, confidence: ConfidenceName) -> Calibration | None:
    """Return the calibration of a model that a run needs; None if no confidence is wanted or nothing is known.

    Parameters
    ----------
    package : ModelPackage
        The model.
    confidence : str
        ``"off"``, ``"fast"`` or ``"full"``.

    Raises
    ------
    NotCalibratedError
        If the full confidence is wanted and was not calibrated.
    """
    if confidence == "off":
        return None
    calibration = Calibration.read(package)
    if confidence == "full" and (calibration is None or calibration.full is None):
        raise NotCalibratedError(f"the full confidence of {package.identity.title} was not calibrated")
    return calibration


def confidence_of(inference: Inference, labels: LabelVolume, findings: Iterable[Finding]) -> dict[str, Confidence]:
    """Return the confidence in each vertebra by its level, from head to foot.

    Parameters
    ----------
    inference : Inference
        The prediction, with the calibration of its model.
    labels : LabelVolume
        The cleaned labels.
    findings : iterable of Finding
        Findings of the result.

    Returns
    -------
    dict of str to Confidence
        Empty without a calibration, and without vertebrae whose like the calibration has seen: nothing is known of
        what the probabilities are worth then. A vertebra that lacks a half (CS-FND-032) has none either: what the
        network did not see has no probability.
    """
    calibration, disagreement = inference.calibration, inference.disagreement
    if calibration is None:
        return {}
    curves = calibration.fast if disagreement is None or calibration.full is None else calibration.full
    findings = tuple(findings)
    incomplete = {finding.level for finding in findings if finding.code == ONE_SIDED.code}
    return {
        level: Confidence(round(curves.level.at(each), 3), round(curves.dice.at(each), 3))
        for level, each in features_of(inference, labels, findings, disagreement).items()
        if level not in incomplete and curves.knows(each)
    }


def confidence_findings(confidence: Mapping[str, Confidence]) -> tuple[Finding, ...]:
    """Return a finding for each vertebra whose level is doubtful.

    Parameters
    ----------
    confidence : mapping of str to Confidence
        By level.
    """
    return tuple(
        LOW_CONFIDENCE.about(
            f"{level}: the probability that the level is right is {each.level_probability:.2f}.", level
        )
        for level, each in confidence.items()
        if each.level_probability < MIN_LEVEL_PROBABILITY
    )
