"""Write the structured report of the measurements."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.volumes import CtVolume
from cspine.pipeline.measuring import Measured
from cspine.pipeline.outputs import chosen_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.objects import object_settings, tracking_uids
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord
    from cspine.dicom.sr import SrRecord
    from cspine.pipeline.segmentation import Vertebrae


@dataclass(frozen=True)
class MeasuredStudy:
    """What a structured report is about.

    Parameters
    ----------
    measured, vertebrae, ct, chosen, segmentation
        Results of the steps; no segmentation if none was written.
    """

    measured: Measured
    vertebrae: Vertebrae
    ct: CtVolume
    chosen: ChosenSeries | None
    segmentation: SegRecord | None = None


def write_sr(study: MeasuredStudy, settings: RunSettings, folder: Path) -> SrRecord | None:
    """Write the structured report into ``folder/dicom`` if it is wanted.

    Parameters
    ----------
    study : MeasuredStudy
        Results of the steps before.
    settings : RunSettings
        Outputs, clock, and what the object states of the run.
    folder : Path
        Folder that holds ``dicom/``.

    Returns
    -------
    SrRecord or None
        The record of the object; None if it is not wanted.

    Raises
    ------
    CSpineError
        As in `dicom.sr.write_sr`.
    """
    formats = chosen_outputs(settings.outputs, has_dicom=study.ct.source is not None)
    wanted = next((output for output in formats if output.name == "sr"), None)
    if wanted is None:
        return None
    from cspine.report.structured_report import ReportContent, report_settings, write_structured_report

    measured, model = study.measured, study.vertebrae.labels.model
    content = ReportContent(
        measured.spine,
        model,
        measured.not_found,
        measured.changes,
        tracking_uids(study.ct, study.chosen, settings),
        study.vertebrae.confidence,
    )
    common = object_settings(study.vertebrae, settings)
    sr_settings = report_settings(content, common.clock, common.parameters, common.remark)
    return write_structured_report(content, study.ct, study.segmentation, sr_settings, folder / wanted.file)
