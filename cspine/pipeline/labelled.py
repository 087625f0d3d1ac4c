"""Labels that exist already, and the image that they are of: a NIfTI file or a DICOM Segmentation, with its series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import OtherImageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.headers import UNKNOWN_PATIENT
from cspine.dicom.scan import Scan
from cspine.dicom.source_facts import read_source_facts
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord


@dataclass(frozen=True)
class Labelled:
    """Labels with what is known about the object that they come from.

    Parameters
    ----------
    labels : LabelVolume
        The labels, on their own grid.
    record : SegRecord or None
        The segmentation object; None for other files.
    path : Path or None
        The file, or the folder of masks, that they were read from; None for labels in memory.
    bodies_only : bool
        True for labels of vertebral bodies, without arches and processes.
    """

    labels: LabelVolume
    record: SegRecord | None = None
    path: Path | None = None
    bodies_only: bool = False


def read_labelled(path: Path, scheme: str | None = None) -> Labelled:
    """Read labels from an image file, a DICOM Segmentation, the output folder of a run, or a folder of masks.

    Parameters
    ----------
    path : Path
        The file or folder.
    scheme : str, optional
        Label scheme of an image; as `label_files.find_labels` finds it if omitted.

    Raises
    ------
    UsageError
        If there is no such scheme.
    InputError
        If it cannot be read as labels.
    LabelSchemeError
        If there are numbers that the scheme does not know, or no segment is a vertebra.
    CaseGridError
        If masks lie on different grids.
    """
    from cspine.pipeline.label_files import find_labels
    from cspine.pipeline.label_schemes import SEG, labels_bodies
    from cspine.pipeline.scheme_files import read_labels

    found, scheme = find_labels(path, scheme)
    if scheme == SEG:
        return _read_seg(found)
    return Labelled(read_labels(found, scheme), path=found, bodies_only=labels_bodies(scheme))


def _read_seg(path: Path) -> Labelled:
    """Read the vertebrae of a DICOM Segmentation, with its record and its model."""
    from cspine.dicom.read_seg import read_seg_record, read_segmentation  # brings highdicom, which NIfTI does not need

    record, model = read_seg_record(path)
    return Labelled(replace(read_segmentation(path), model=model), record, path)


def choose_series_of(labelled: Labelled, scan: Scan, settings: RunSettings) -> ChosenSeries:
    """Choose the series that labels are of: the one of the settings, else that of their segmentation, else by rules.

    Parameters
    ----------
    labelled : Labelled
        The labels.
    scan : Scan
        Headers of the input.
    settings : RunSettings
        Settings with the series that a user names, if any.

    Raises
    ------
    CSpineError
        As `steps.choose_series`.
    """
    named = labelled.record.source_series_uid if labelled.record is not None else None
    chosen = replace(settings, series_uid=settings.series_uid or named or None)
    return steps.choose_series(scan, chosen, labelled.labels.levels)


def require_same_source(labelled: Labelled, ct: CtVolume) -> None:
    """Refuse an image from DICOM of another patient or frame of reference than a segmentation.

    Parameters
    ----------
    labelled : Labelled
        Labels; nothing is known about the image of labels that are not a segmentation object.
    ct : CtVolume
        The image.

    Raises
    ------
    OtherImageError
        If both state one, and they differ.
    InputError
        If a source file can no longer be read.
    """
    if labelled.record is None or ct.source is None:
        return
    facts, record = read_source_facts(ct.source), labelled.record
    patients = {record.patient_key, facts.patient_key}
    if len(patients - {UNKNOWN_PATIENT}) > 1:
        raise OtherImageError("the segmentation is of another patient than the CT")
    frames = {record.frame_of_reference, facts.frame_of_reference}
    if len(frames - {""}) > 1:
        raise OtherImageError("the segmentation has another frame of reference than the CT")
