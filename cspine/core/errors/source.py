"""Errors of the input (CS-IN): folders, archives, headers, earlier results and labels."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class InputError(CSpineError):
    """The input folder or archive cannot be used."""

    code = "CS-IN-001"
    exit_code = 3
    subject = Subject.FILES
    advice = "Give a folder or a .zip with the DICOM files of one CT study, or a NIfTI file (.nii.gz)."


class NoDicomError(InputError):
    """The input contains no DICOM files."""

    code = "CS-IN-002"
    advice = "Check the path. Files that are not DICOM are skipped and counted."


class SeveralPatientsError(InputError):
    """The input contains more than one patient or study."""

    code = "CS-IN-003"
    advice = "Pass one study at a time; `cspine run` takes them one after another with `all_studies`."


class UnreadableArchiveError(InputError):
    """A zip archive is damaged or encrypted, or it would unpack outside its folder."""

    code = "CS-IN-004"
    advice = "Unpack the archive yourself and pass the folder."


class MissingAttributeError(InputError):
    """An attribute that is needed to position the image is missing or malformed."""

    code = "CS-IN-005"
    advice = "Export the series from the scanner or PACS again. The message names the attribute."


class AmbiguousPositionError(InputError):
    """The header of a NIfTI file does not say where the image lies, or says two different things."""

    code = "CS-IN-006"
    advice = "Convert the image again from DICOM, so that sform and qform agree; left and right may be swapped here."


class PriorResultError(InputError):
    """The named earlier result cannot be used for comparison."""

    code = "CS-IN-007"
    advice = "Name the output folder of an earlier run of cspine on the same patient, or its measurements.dcm."


class OtherImageError(InputError):
    """The labels are of another patient, frame of reference or region than the image."""

    code = "CS-IN-008"
    advice = "Give the image that the labels were made of; of several series, name it with `series_uid`."
