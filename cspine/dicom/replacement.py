"""Whose results a folder has, before a run replaces them."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, dcmread

from cspine.core.errors import OutputNotEmptyError
from cspine.dicom.headers import patient_key
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.io.foreign import raise_system_limit


def refuse_other_patient(results: Path, patient: str) -> None:
    """Refuse a folder with DICOM results of another patient: two may share a Study Instance UID, which names it.

    Parameters
    ----------
    results : Path
        Output folder of a study, which need not exist. Files that cannot be read are nobody's.
    patient : str
        Key of the patient whose results are to be written, as `headers.patient_key` gives it.

    Raises
    ------
    OutputNotEmptyError
        If a result is of another patient.
    """
    headers = (_header(path) for path in sorted((results / "dicom").glob("*.dcm")))
    if any(header is not None and patient_key(header) != patient for header in headers):
        raise OutputNotEmptyError(
            f"{results.name} has results of another patient with the same Study Instance UID",
            advice="Choose another output folder; `overwrite` replaces results of the same patient only.",
        )


def _header(path: Path) -> Dataset | None:
    try:
        with suppress_phi_logging():
            return dcmread(path, stop_before_pixels=True, specific_tags=["PatientID", "PatientName"])
    except Exception as error:  # whatever a damaged file makes pydicom raise
        raise_system_limit(error)
        return None
