"""Run the model on the image."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cspine.core.progress import ProgressCallback
from cspine.core.volumes import CtVolume
from cspine.models.package import ModelPackage
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.inference.predict import Inference

_log = logging.getLogger(__package__)


def infer(
    ct: CtVolume, package: ModelPackage, settings: RunSettings, progress: ProgressCallback | None = None
) -> Inference:
    """Run the model, and with the full confidence three more times on altered images.

    Parameters
    ----------
    ct : CtVolume
        The image.
    package : ModelPackage
        The model.
    settings : RunSettings
        Network and confidence.
    progress : callable, optional
        As `inference.predict.segment`.

    Raises
    ------
    NotCalibratedError
        If the full confidence is wanted and was not calibrated.
    CSpineError
        As `inference.predict.segment`.
    """
    from cspine.pipeline import segmentation
    from cspine.pipeline.confidence import calibration_for, disagreement_of

    _log.info("model: %s", package.identity.title)
    calibration = calibration_for(package, settings.confidence)
    inference = replace(segmentation.predict(ct, package, settings.inference, progress), calibration=calibration)
    if settings.confidence != "full" or not inference.labels.labels_zyx.any():
        return inference
    labels = segmentation.clean_or_empty(inference, ct).labels
    return replace(inference, disagreement=disagreement_of(ct, labels, package, settings.inference))


def require_runnable(chosen: ChosenSeries | None, package: ModelPackage, settings: RunSettings) -> None:
    """Refuse what will certainly fail once the image is read.

    Parameters
    ----------
    chosen : ChosenSeries or None
        The series; None for an image that does not come from DICOM.
    package : ModelPackage
        The model.
    settings : RunSettings
        Network and confidence.

    Raises
    ------
    NotCalibratedError
        If the full confidence is wanted and was not calibrated.
    NotEnoughMemoryError
        If image and model certainly do not fit into memory.
    CSpineError
        As `inference.predict.engine_for`.
    """
    from cspine.inference.memory import require_memory
    from cspine.inference.predict import engine_for
    from cspine.pipeline.confidence import calibration_for

    calibration_for(package, settings.confidence)
    engine_for(package, settings.inference)
    grid = chosen.selection.chosen.grid if chosen is not None else None
    if grid is not None:
        require_memory(grid, package.stages, settings.inference, is_read=False)


def with_engine(settings: RunSettings, inference: Inference) -> RunSettings:
    """Return settings that state the engine and the precision of an inference, for its outputs.

    Parameters
    ----------
    settings : RunSettings
        Settings of the run.
    inference : Inference
        From `infer`; the settings stay as they are if it does not state its engine.
    """
    engine, precision = inference.record.get("engine"), inference.record.get("precision")
    return settings if engine is None else replace(settings, ran_on=(str(engine), str(precision)))
