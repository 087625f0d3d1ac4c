"""What the header of a volume's source says about its patient and its series, for a volume that no scan led to."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom import Dataset

from cspine.core.volumes import CtSource
from cspine.dicom.headers import InstanceHeader, read_header
from cspine.dicom.patient import sex_of
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.source_header import read_first_header


@dataclass(frozen=True)
class SourceFacts:
    """What the header of the first source slice of a volume says, without data that identify the patient.

    Parameters
    ----------
    patient_key : str
        Hash that identifies the patient, as `headers.patient_key` returns it.
    series_uid : str
        (0020,000E) *Series Instance UID*.
    study_uid : str
        (0020,000D) *Study Instance UID*.
    frame_of_reference : str
        (0020,0052); empty if missing.
    sex : str
        ``"M"`` or ``"F"``; empty if it is neither, or not stated.
    age_years : float or None
        Age of the patient when scanned.
    contrast : bool
        Whether a contrast agent is stated.
    study_date : str
        (0008,0020) *Study Date*; empty if missing.
    acquisition : str
        Tube voltage, kernel and contrast medium, on which densities depend; empty if voltage or kernel is not stated.
    """

    patient_key: str
    series_uid: str
    study_uid: str
    frame_of_reference: str
    sex: str
    age_years: float | None
    contrast: bool
    study_date: str = ""
    acquisition: str = ""


def read_source_facts(source: CtSource) -> SourceFacts:
    """Return what the header of the first source slice says.

    Parameters
    ----------
    source : CtSource
        The stored slices.

    Raises
    ------
    InputError
        If the file can no longer be read, or contains another instance than before.
    """
    with suppress_phi_logging():
        header = read_first_header(source)
        return _facts(header, source)


def _facts(header: Dataset, source: CtSource) -> SourceFacts:
    instance = read_header(header, source.slices[0].path, "")
    return SourceFacts(
        patient_key=instance.patient_key,
        series_uid=instance.series_uid,
        study_uid=instance.study_uid,
        frame_of_reference=instance.planes[0].frame_of_reference if instance.planes else "",
        sex=sex_of(header),
        age_years=instance.patient_age_years,
        contrast=instance.contrast,
        study_date=instance.study_date,
        acquisition=_acquisition(instance),
    )


def _acquisition(instance: InstanceHeader) -> str:
    if not instance.kvp or not instance.kernel:
        return ""
    contrast = "with" if instance.contrast else "without"
    return f"{instance.kvp:g} kV, kernel {instance.kernel}, {contrast} contrast medium"
