"""Write the DICOM Segmentation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.volumes import CtVolume
from cspine.pipeline.completeness import superseded_results
from cspine.pipeline.outputs import chosen_outputs
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.objects import object_settings, tracking_uids
from cspine.pipeline.steps.selection import ChosenSeries

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord
    from cspine.pipeline.segmentation import Vertebrae


def write_dicom(
    vertebrae: Vertebrae, ct: CtVolume, chosen: ChosenSeries | None, settings: RunSettings, folder: Path
) -> SegRecord | None:
    """Write the DICOM Segmentation into ``folder/dicom`` if it is wanted.

    With a serious finding its series description begins with CHECK: a viewer shows no summary.

    Parameters
    ----------
    vertebrae : Vertebrae
        From `clean`.
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series and its study; None for an image that does not come from a DICOM study.
    settings : RunSettings
        Outputs, type of the segmentation, clock, and what the object states of the run.
    folder : Path
        Folder that holds ``dicom/``.

    Returns
    -------
    SegRecord or None
        The record of the object; None if it is not wanted.

    Raises
    ------
    CSpineError
        As in `dicom.seg.write_segmentation`.
    """
    formats = chosen_outputs(settings.outputs, has_dicom=ct.source is not None)
    wanted = next((output for output in formats if output.name == "seg"), None)
    if wanted is None:
        return None
    from cspine.dicom.seg import SegSettings, write_segmentation

    superseded = (
        superseded_results(chosen.context, ct, vertebrae.labels.model, settings.levels) if chosen is not None else ()
    )
    common = object_settings(vertebrae, settings)
    seg_settings = SegSettings(
        common.clock,
        settings.seg_type,
        common.parameters,
        remark=common.remark,
        supersedes=superseded,
        tracking=tracking_uids(ct, chosen, settings),
    )
    return write_segmentation(vertebrae.labels, ct, seg_settings, folder / wanted.file)
