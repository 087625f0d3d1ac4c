"""The results of all steps before the report."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cspine.core.volumes import CtVolume
from cspine.pipeline.measuring import Measured
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord
    from cspine.dicom.sr import SrRecord
    from cspine.inference.predict import Inference
    from cspine.pipeline.segmentation import Vertebrae


@dataclass(frozen=True)
class Results:
    """Everything that the report contains.

    Parameters
    ----------
    chosen, ct, inference, vertebrae, measured, segmentation, report
        Results of the steps; no series if the image is not DICOM, no segmentation or report if none was written.
    """

    chosen: ChosenSeries | None
    ct: CtVolume
    inference: Inference
    vertebrae: Vertebrae
    measured: Measured
    segmentation: SegRecord | None = None
    report: SrRecord | None = None


def with_all_findings(results: Results) -> Results:
    """Return results whose vertebrae have the findings of their measurements too.

    Parameters
    ----------
    results : Results
        Results whose measurements have findings of their own.
    """
    findings = (*results.vertebrae.findings, *results.measured.findings)
    return replace(results, vertebrae=replace(results.vertebrae, findings=findings))
