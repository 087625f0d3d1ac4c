"""Between the SDK's studies, which hold datasets, and cspine's, which hold headers with the paths of their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian

from cspine.core.errors import InputError
from cspine.core.volumes import CtSource
from cspine.dicom.headers import InstanceHeader, read_header
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series
from cspine.operators.domain import CtStudy, Provenance
from cspine.operators.sdk import DICOMSeries, DICOMSOPInstance, DICOMStudy, SelectedSeries, StudySelectedSeries
from cspine.pipeline.steps import ChosenSeries, series_of_caller

#: Attributes of the study and of the series that the SDK's types have under DICOM's keywords.
_STUDY_KEYWORDS = ("StudyID", "StudyDate", "StudyTime", "StudyDescription", "AccessionNumber")
_SERIES_KEYWORDS = (
    "SeriesDate", "SeriesTime", "Modality", "SeriesDescription", "BodyPartExamined", "PatientPosition", "SeriesNumber",
    "Laterality",
)  # fmt: skip


class StoredInstance(DICOMSOPInstance):
    """A SOP instance that is read from its file when an operator first asks for it.

    Parameters
    ----------
    path : Path
        The file.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(None)  # type: ignore[no-untyped-call]
        self._path = path

    def get_native_sop_instance(self) -> Dataset:
        """Return the dataset, with its pixels."""
        if self._sop is None:
            self._sop = dcmread(self._path, force=True)
        dataset: Dataset = self._sop
        return dataset

    def __getitem__(self, key: Any) -> Any:
        return self.get_native_sop_instance()[key]

    def get_pixel_array(self) -> Any:
        """Return the decoded pixels as they are stored."""
        return self.get_native_sop_instance().pixel_array


def ct_study(chosen: ChosenSeries, provenance: Provenance) -> CtStudy:
    """Return a selected series as the SDK's operators take it: its instances in order along the normal of the slices.

    Parameters
    ----------
    chosen : ChosenSeries
        The series, as cspine selected it.
    provenance : Provenance
        How it was selected.
    """
    series = chosen.selection.chosen
    ordered = sorted(series.instances, key=_position)
    header = dcmread(ordered[0].path, stop_before_pixels=True, force=True)
    study = DICOMStudy(series.study_uid)
    _describe(study, header, _STUDY_KEYWORDS)
    stored = DICOMSeries(series.series_uid)
    _describe(stored, header, _SERIES_KEYWORDS)
    if "PixelSpacing" in header and "ImageOrientationPatient" in header:
        stored.row_pixel_spacing, stored.col_pixel_spacing = header.PixelSpacing
        cosines = [float(value) for value in header.ImageOrientationPatient]
        stored.row_direction_cosine, stored.col_direction_cosine = cosines[:3], cosines[3:]
    stored._sop_instances = [StoredInstance(instance.path) for instance in ordered]
    study.add_series(stored)
    selected = CtStudy(study, chosen, provenance)
    selected.add_selected_series(SelectedSeries("CT", stored))
    return selected


def chosen_series(studies: Sequence[StudySelectedSeries] | StudySelectedSeries) -> ChosenSeries:
    """Return the first selected series of a list of studies, whoever selected it.

    Parameters
    ----------
    studies : sequence of StudySelectedSeries
        As cspine's loader or the SDK's selector emits it; the first selected series of the first study counts.

    Raises
    ------
    InputError
        If nothing is selected, or an instance was not read from a file.
    """
    study = first_study(studies)
    if isinstance(study, CtStudy):
        return study.chosen
    wanted = study.selected_series[0].series.SeriesInstanceUID
    all_series = study.study.get_all_series()
    scan = Scan(tuple(_series(each) for each in all_series if each.get_sop_instances()))
    return series_of_caller(scan, next(series for series in scan.series if series.series_uid == wanted))


def first_study(studies: Sequence[StudySelectedSeries] | StudySelectedSeries) -> StudySelectedSeries:
    """Return the first study of a list.

    Parameters
    ----------
    studies : sequence of StudySelectedSeries, or StudySelectedSeries
        What a loader of the SDK or of cspine emits.

    Raises
    ------
    InputError
        If there is none, or it has no selected series.
    """
    study = studies if isinstance(studies, StudySelectedSeries) else next(iter(studies), None)
    if study is None or not study.selected_series:
        raise InputError("no series was selected", advice="Look at the selection rules and at the log of the loader.")
    return study


def sort_instances(studies: Sequence[StudySelectedSeries] | StudySelectedSeries, source: CtSource) -> None:
    """Put the instances of the selected series in the order of a volume's slices, and leave out those it does not have.

    As the SDK's own series to volume operator does: its writers bind frames to instances by their position in the list.

    Parameters
    ----------
    studies : sequence of StudySelectedSeries
        As it came in.
    source : CtSource
        The slices of the volume.
    """
    series = first_study(studies).selected_series[0].series
    by_uid = {_uid(instance): instance for instance in series.get_sop_instances()}
    order = dict.fromkeys(part.sop_instance_uid for part in source.slices)
    series._sop_instances = [by_uid[uid] for uid in order]


def _describe(target: DICOMStudy | DICOMSeries, header: Dataset, keywords: tuple[str, ...]) -> None:
    for keyword in keywords:
        if keyword in header:
            setattr(target, keyword, header[keyword].value)


def _uid(instance: DICOMSOPInstance) -> str:
    return str(instance["SOPInstanceUID"].value)


def _position(instance: InstanceHeader) -> tuple[float, str]:
    """Return the distance along the normal or, if there is none, the UID."""
    plane = instance.planes[0] if instance.planes else None
    if plane is None or plane.cosines is None or plane.position_lps is None:
        return (0.0, instance.sop_instance_uid)
    normal = np.cross(plane.cosines[:3], plane.cosines[3:])
    return (float(np.dot(normal, plane.position_lps)), instance.sop_instance_uid)


def _series(series: DICOMSeries) -> Series:
    headers = [_header(instance.get_native_sop_instance()) for instance in series.get_sop_instances()]
    ordered = tuple(sorted(headers, key=lambda header: header.sop_instance_uid))
    return Series(ordered[0].patient_key, ordered[0].study_uid, ordered[0].series_uid, ordered)


def _header(dataset: Dataset) -> InstanceHeader:
    name = getattr(dataset, "filename", None)
    if not name or not Path(name).is_file():
        raise InputError("an instance of the selected series was not read from a file that is still there")
    syntax = getattr(dataset, "file_meta", Dataset()).get("TransferSyntaxUID") or ImplicitVRLittleEndian
    return read_header(dataset, Path(name), str(syntax))
