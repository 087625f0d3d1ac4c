"""Errors of the research: synthesis, training, audits, data sets and comparisons (CS-SYN, -TRN, -AUD, -DAT, -CMP)."""

from __future__ import annotations

from cspine.core.errors.base import CSpineError, Subject


class AtlasError(CSpineError):
    """The anatomical atlas is missing or is not the expected one."""

    code = "CS-SYN-001"
    exit_code = 12
    advice = "Pass `atlas` with the folder that contains neck_atlas_1mm.nii.gz and labels.csv."


class TrainingError(CSpineError):
    """A training run cannot start or resume."""

    code = "CS-TRN-001"
    exit_code = 13
    advice = "See the log for the cause; the same command resumes a run from its last checkpoint."


class RequirementError(CSpineError):
    """Too few cases of the audit have a complete column in the right order."""

    code = "CS-AUD-001"
    exit_code = 14
    advice = "See sheet.png of the audit, which shows the cases that failed and why."


class DatasetError(CSpineError):
    """A data set, or a folder converted from one, cannot be used."""

    code = "CS-DAT-001"
    exit_code = 18
    subject = Subject.FILES
    advice = "Compare with docs/guide/datasets.md, which shows the layout of each data set."


class CaseGridError(DatasetError):
    """An image and its labels are not on the same grid."""

    code = "CS-DAT-002"
    advice = "Download both files again, or exclude the case: they do not match, or one was resampled."


class LabelSchemeError(DatasetError):
    """A label image contains values that its label scheme does not define."""

    code = "CS-DAT-003"
    advice = "Name the label scheme that the labels follow; `cspine evaluate --list-schemes` prints all schemes."


class SplitError(DatasetError):
    """The cases cannot be split as requested."""

    code = "CS-DAT-004"
    advice = "Request fewer patients, or convert more data sets; `cspine dataset summary` counts the patients."


class ComparisonError(CSpineError):
    """Evaluations cannot be compared."""

    code = "CS-CMP-001"
    exit_code = 19
    advice = "Pass folders that `cspine evaluate` wrote for the same cases."
