"""Measure the cleaned labels, against an earlier result if there is one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cspine.core.anatomy import Vertebra
from cspine.core.volumes import CtVolume
from cspine.measurements.change import EarlierValues
from cspine.pipeline import measuring
from cspine.pipeline.measuring import Measured, prior_of_image
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.findings import log_findings
from cspine.pipeline.steps.patient import sex_of_patient
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.pipeline.segmentation import Vertebrae


def measure(
    vertebrae: Vertebrae,
    ct: CtVolume,
    chosen: ChosenSeries | None,
    settings: RunSettings,
    predicted: Iterable[Vertebra] = (),
) -> Measured:
    """Measure the cleaned labels; what a model predicts and the user wants, but the result lacks, is not found.

    Parameters
    ----------
    vertebrae : Vertebrae
        From `clean`.
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from DICOM.
    settings : RunSettings
        Wanted levels, earlier result.
    predicted : iterable of Vertebra
        Levels that the model predicts.

    Raises
    ------
    FindingError
        If the measurements lead to a finding with which none is wanted.
    """
    wanted = [level for level in predicted if settings.levels is None or level in settings.levels]
    prior = prior_of(ct, chosen, settings)
    measured = measuring.measure(vertebrae.labels, ct, sex_of_patient(ct, chosen), wanted, prior)
    log_findings(measured.findings, settings)
    return measured


def prior_of(ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> EarlierValues | None:
    """Return the earlier result: that of the study, or the one that a user names for an image without a study.

    Parameters
    ----------
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from a DICOM study.
    settings : RunSettings
        Settings with the earlier result that a user names.

    Returns
    -------
    EarlierValues or None
        Values of the earlier result; None if there is none.
    """
    return chosen.prior if chosen is not None else prior_of_image(settings.prior, ct)
