"""What the headers of an image say about its patient."""

from __future__ import annotations

from cspine.core.volumes import CtVolume
from cspine.dicom.source_facts import read_source_facts
from cspine.pipeline.steps.selection import ChosenSeries


def age_and_contrast(ct: CtVolume, chosen: ChosenSeries | None) -> tuple[float | None, bool]:
    """Return the age of the patient in years, if known, and whether a contrast agent is stated.

    Parameters
    ----------
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series; the first source file of the image is read without one.
    """
    if chosen is not None:
        return chosen.selection.chosen.patient_age_years, chosen.selection.chosen.contrast
    if ct.source is None:
        return None, False
    facts = read_source_facts(ct.source)
    return facts.age_years, facts.contrast


def sex_of_patient(ct: CtVolume, chosen: ChosenSeries | None) -> str:
    """Return the sex of the patient as the headers state it, ``"M"`` or ``"F"``; empty if unknown.

    Parameters
    ----------
    ct : CtVolume
        The image.
    chosen : ChosenSeries or None
        The series; the first source file of the image is read without one.
    """
    if chosen is not None:
        return chosen.sex
    return read_source_facts(ct.source).sex if ct.source is not None else ""
