"""Read the measurements of an earlier result of cspine from its structured report: the values, and who was tracked."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import Comprehensive3DSRStorage

from cspine.core.errors import PriorResultError, hashed
from cspine.dicom.earlier_results import MANUFACTURER, MODEL_NAME
from cspine.dicom.headers import patient_key
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.scan import Scan
from cspine.io.foreign import foreign_file
from cspine.io.walk import files_below
from cspine.measurements.change import EarlierValues
from cspine.measurements.quantities import QUANTITIES, Quantity
from cspine.report.sr_codes import ACQUISITION, concept_of

_GROUP, _TRACKING_ID, _TRACKING_UID = "125007", "112039", "112040"
_DERIVATION, _UNCERTAINTY = "121401", "371884006"


def read_prior(path: Path, patient: str | None, study_date: str = "", images: Collection[str] = ()) -> EarlierValues:
    """Return the measurements of the result that a user names: of several, those of the latest study before.

    Parameters
    ----------
    path : Path
        The structured report, or a folder that holds it: the output folder of a run, or one with those of several.
    patient : str or None
        Key of the patient of the new result, as headers have it; None if it does not come from DICOM.
    study_date : str
        Date of the study of the new result, YYYYMMDD; empty if unknown.
    images : collection of str
        SOP Instance UIDs of the images of the new result: a report on them is taken if there is no other.

    Raises
    ------
    PriorResultError
        If there is no report of cspine, none of the patient, none before the date, or the patient is unknown and there
        are reports of several.
    """
    files = [file for file in files_below(path) if file.suffix == ".dcm"] if path.is_dir() else [path]
    reports = [report for file in files if file.is_file() and (report := _report(file)) is not None]
    if not reports:
        raise PriorResultError("the earlier result has no structured report of cspine")
    if patient is None and len({patient_key(report) for report in reports}) > 1:
        raise PriorResultError(
            "the earlier results are of several patients, and the image does not say whose it is",
            advice="Name the result of this patient.",
        )
    reports = [report for report in reports if patient is None or patient_key(report) == patient]
    if not reports:
        raise PriorResultError("the earlier result is of another patient", advice="Name a result of the same patient.")
    reports = [report for report in reports if not _is_later(_date(report.get("StudyDate")), _date(study_date))]
    if not reports:
        raise PriorResultError(
            "the earlier result is of a later study than the image", advice="Name a result of an earlier study."
        )
    return earlier_values(_latest(reports, images))


def _latest(reports: Sequence[Dataset], images: Collection[str]) -> Dataset:
    """Return the latest report on other images; one on these images only if there is no other."""
    of_others = [report for report in reports if not set(images).intersection(_images(report))]
    return max(of_others or reports, key=_moment)


def _date(value: object) -> str:
    """Return a date as YYYYMMDD; empty if it is missing or malformed."""
    digits = str(value or "").replace(".", "")
    return digits if len(digits) == 8 and digits.isdecimal() else ""


def _is_later(one: str, other: str) -> bool:
    return bool(one) and bool(other) and one > other


def find_prior(study: Scan, images: Collection[str]) -> EarlierValues | None:
    """Return the measurements of the newest report of cspine among the files of a study; None if there is none.

    Parameters
    ----------
    study : Scan
        One study; files of reports that cannot be read are ignored.
    images : collection of str
        SOP Instance UIDs of the images of the new result: a report on them is taken if there is no other.
    """
    files = [i.path for series in study.series for i in series.instances if i.sop_class_uid == Comprehensive3DSRStorage]
    reports = [report for file in files if (report := _report(file)) is not None]
    return earlier_values(_latest(reports, images)) if reports else None


def _moment(report: Dataset) -> tuple[str, str, str]:
    return (
        _date(report.get("StudyDate")),
        f"{report.get('ContentDate', '')}{report.get('ContentTime', '')}",
        str(report.SOPInstanceUID),
    )


def _report(path: Path) -> Dataset | None:
    """Return a structured report of cspine; None for another file, or one that cannot be read."""
    try:
        with suppress_phi_logging(), foreign_file(lambda kind: PriorResultError(f"{hashed(path.name)}: {kind}")):
            dataset = dcmread(path, stop_before_pixels=True, force=True)
            maker = (dataset.get("Manufacturer"), dataset.get("ManufacturerModelName"))
            ours = maker == (MANUFACTURER, MODEL_NAME) and dataset.get("SOPClassUID") == Comprehensive3DSRStorage
            return dataset if ours and dataset.get("ContentSequence") else None
    except PriorResultError:
        return None


def earlier_values(report: Dataset) -> EarlierValues:
    """Return the measurements in a structured report of cspine.

    Parameters
    ----------
    report : Dataset
        As `write_structured_report` wrote it; content of other writers has no values.
    """
    values: dict[tuple[str, str], tuple[float, float | None]] = {}
    tracking: dict[str, str] = {}
    acquisitions: set[str] = set()
    for group in _groups(report):
        site, uid = _text(group, _TRACKING_ID), _text(group, _TRACKING_UID)
        if site and uid:
            tracking[site] = uid
        for item in group.ContentSequence:
            if item.ValueType == "NUM" and (quantity := _quantity(item)) is not None:
                values[site, quantity.name] = _value(item), _uncertainty(item)
                acquisitions.update(_acquisition(item))
    return EarlierValues(
        str(report.SOPInstanceUID),
        str(report.get("StudyDate") or ""),
        frozenset(_images(report)),
        values,
        tracking,
        acquisitions.pop() if len(acquisitions) == 1 else "",
        str(getattr(report, "filename", None) or ""),
    )


def _groups(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence") or []:
        if child.ValueType == "CONTAINER" and child.ConceptNameCodeSequence[0].CodeValue == _GROUP:
            yield child
        else:
            yield from _groups(child)


def _text(group: Dataset, concept: str) -> str:
    for item in group.ContentSequence:
        if item.ConceptNameCodeSequence[0].CodeValue == concept:
            return str(item.get("TextValue") or item.get("UID") or "")
    return ""


def _quantity(item: Dataset) -> Quantity | None:
    """Return the quantity of a measurement by its concept name and derivation."""
    name = item.ConceptNameCodeSequence[0]
    derivation = next(
        (child.ConceptCodeSequence[0].CodeValue for child in item.get("ContentSequence") or []
         if child.ConceptNameCodeSequence[0].CodeValue == _DERIVATION), None,
    )  # fmt: skip
    for quantity in QUANTITIES:
        concept = concept_of(quantity)
        wanted = concept.derivation.value if concept.derivation is not None else None
        same = (concept.code.value, concept.code.scheme_designator) == (name.CodeValue, name.CodingSchemeDesignator)
        if same and wanted == derivation:
            return quantity
    return None


def _value(item: Dataset) -> float:
    return float(item.MeasuredValueSequence[0].NumericValue)


def _uncertainty(item: Dataset) -> float | None:
    for child in item.get("ContentSequence") or []:
        if child.ConceptNameCodeSequence[0].CodeValue == _UNCERTAINTY:
            return _value(child)
    return None


def _acquisition(item: Dataset) -> Iterator[str]:
    for child in item.get("ContentSequence") or []:
        if child.ConceptNameCodeSequence[0].CodeValue == ACQUISITION.value:
            yield str(child.TextValue)


def _images(report: Dataset) -> Iterator[str]:
    for procedure in report.get("CurrentRequestedProcedureEvidenceSequence") or []:
        for series in procedure.ReferencedSeriesSequence:
            yield from (str(each.ReferencedSOPInstanceUID) for each in series.ReferencedSOPSequence)
