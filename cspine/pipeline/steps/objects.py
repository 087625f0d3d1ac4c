"""What the DICOM objects of a run have in common: settings, remark and tracking UIDs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cspine.core.findings import Finding, Severity
from cspine.core.volumes import CtVolume
from cspine.dicom.derived import ObjectSettings
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.measurement import prior_of
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.pipeline.segmentation import Vertebrae


def object_settings(vertebrae: Vertebrae, settings: RunSettings) -> ObjectSettings:
    """Return what all DICOM objects of a run have in common; a serious finding stands in their descriptions.

    Parameters
    ----------
    vertebrae : Vertebrae
        From `clean`, with its findings.
    settings : RunSettings
        Settings of the run: clock and parameters.
    """
    return ObjectSettings(settings.clock, tuple(settings.as_text().items()), remark_of(vertebrae.findings))


def remark_of(findings: Iterable[Finding]) -> str:
    """Return how the series description of DICOM objects begins: with CHECK if a finding is serious."""
    return "CHECK" if any(finding.severity is Severity.SERIOUS for finding in findings) else ""


def tracking_uids(ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings) -> dict[str, str]:
    """Return the tracking UIDs of earlier results: of the segmentations of the series, and of the newest report.

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
    dict of str to str
        (0062,0020) *Tracking UID* by level.
    """
    earlier_segmentations = chosen.context.earlier if chosen is not None else ()
    segments = {level: uid for earlier in earlier_segmentations for level, uid in earlier.tracking}
    prior = prior_of(ct, chosen, settings)
    return segments | dict(prior.tracking if prior is not None else {})
