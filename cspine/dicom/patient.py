"""The patient's age at the time of the study and sex, from the header."""

from __future__ import annotations

import re
from datetime import date, datetime
from pathlib import Path

from pydicom import Dataset, dcmread

from cspine.core.errors import InputError
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.io.foreign import foreign_file

_AGE = re.compile(r"^(\d{3})([DWMY])$")
_YEARS = {"D": 1 / 365.25, "W": 7 / 365.25, "M": 1 / 12, "Y": 1.0}
_MAX_AGE_YEARS = 130.0


def patient_age_years(header: Dataset) -> float | None:
    """Return the age at the time of the study in years, or None if it is unknown.

    It is (0010,1010) *Patient's Age* if valid, else (0008,0020) *Study Date* minus (0010,0030) *Patient's Birth
    Date*. An impossible age, as de-identification may leave behind, counts as unknown.

    Parameters
    ----------
    header : Dataset
        Header of an instance of the series.
    """
    with suppress_phi_logging():
        stated = _AGE.match(str(header.get("PatientAge") or "").strip())
        birth, study = _date(header.get("PatientBirthDate")), _date(header.get("StudyDate"))
    # 000Y often stands for an unknown age; the age of an infant is given in days, weeks or months.
    if stated is not None and stated[0] != "000Y":
        return int(stated[1]) * _YEARS[stated[2]]
    if birth is None or study is None:
        return None
    years = (study - birth).days / 365.25
    return years if 0 <= years <= _MAX_AGE_YEARS else None


def patient_sex(path: Path) -> str:
    """Return the sex of a file's patient, as `sex_of`.

    Parameters
    ----------
    path : Path
        A DICOM file of the series; its pixels are not read.

    Raises
    ------
    InputError
        If the file can no longer be read.
    """
    with foreign_file(lambda kind: InputError(f"a file of the series can no longer be read ({kind})")):
        return sex_of(dcmread(path, stop_before_pixels=True, specific_tags=["PatientSex"], force=True))


def sex_of(header: Dataset) -> str:
    """Return (0010,0040) *Patient's Sex* as ``"M"`` or ``"F"``; empty if it is neither, or not stated.

    Parameters
    ----------
    header : Dataset
        A header, which may lack the attribute.
    """
    sex = str(header.get("PatientSex") or "").strip().upper()
    return sex if sex in ("M", "F") else ""


def _date(value: object) -> date | None:
    try:
        return datetime.strptime(str(value or "").replace(".", ""), "%Y%m%d").date()
    except ValueError:
        return None
