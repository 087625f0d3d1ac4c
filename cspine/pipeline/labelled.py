"""Labels that exist already, and the image that they are of: a NIfTI file or a DICOM Segmentation, with its series."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.errors import InputError, OtherImageError
from cspine.core.shape import vertebrae_only
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.headers import UNKNOWN_PATIENT
from cspine.dicom.scan import Scan
from cspine.dicom.source_facts import read_source_facts
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries

if TYPE_CHECKING:
    from cspine.dicom.seg import SegRecord

_NIFTI = (".nii", ".nii.gz")


@dataclass(frozen=True)
class Labelled:
    """Labels with what is known about the object that they come from.

    Parameters
    ----------
    labels : LabelVolume
        The labels, on their own grid.
    record : SegRecord or None
        The segmentation object; None for other files.
    """

    labels: LabelVolume
    record: SegRecord | None = None


def read_labelled(path: Path) -> Labelled:
    """Read labels with the numbers of VerSe from a NIfTI file, or vertebrae from a DICOM Segmentation.

    Parameters
    ----------
    path : Path
        The file, or the output folder of a run.

    Raises
    ------
    InputError
        If it cannot be read as labels.
    LabelSchemeError
        If no segment is a vertebra.
    """
    path = _segmentation_in(path) if path.is_dir() else path
    if not path.is_file():
        raise InputError("the labels do not exist", advice="Give a NIfTI file, a DICOM Segmentation, or a result.")
    if path.name.lower().endswith(_NIFTI):
        from cspine.io import nifti

        volume = nifti.read_labels(path)
        return Labelled(replace(volume, labels_zyx=vertebrae_only(volume.labels_zyx)))
    return read_labelled_seg(path)


def read_labelled_seg(path: Path) -> Labelled:
    """Read the vertebrae of a DICOM Segmentation, with its record and its model.

    Parameters
    ----------
    path : Path
        File of the segmentation.

    Raises
    ------
    InputError, LabelSchemeError
        As in `read_labelled`.
    """
    from cspine.dicom.read_seg import read_seg_record, read_segmentation  # brings highdicom, which NIfTI does not need

    record, model = read_seg_record(path)
    return Labelled(replace(read_segmentation(path), model=model), record)


def _segmentation_in(folder: Path) -> Path:
    from cspine.io.output import LABELS, SEGMENTATION

    for file in (folder / "dicom" / SEGMENTATION, folder / SEGMENTATION, folder / "report" / LABELS):
        if file.is_file():
            return file
    raise InputError("the folder of labels is not a result of cspine", advice="Give the file with the labels.")


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
