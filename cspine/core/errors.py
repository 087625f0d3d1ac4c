"""The error tree: every failure that cspine can explain has a stable code, an exit code and advice.

docs/reference/errors.md has the table, generated from here. Messages contain numbers, tags and hashed identifiers; they
never contain patient data.
"""

from __future__ import annotations

import errno
import hashlib
import traceback
from enum import StrEnum
from pathlib import Path


def hashed(identifier: str) -> str:
    """Return a short, stable substitute for a UID or another identifier that is safe in logs and messages.

    Parameters
    ----------
    identifier : str
        A DICOM UID or any text that may identify a patient.

    Returns
    -------
    str
        The first 12 hexadecimal digits of its SHA-256.
    """
    return hashlib.sha256(identifier.encode("utf-8")).hexdigest()[:12]


class Subject(StrEnum):
    """What an error is about, which decides who can help: another try, another case, or nothing but another input."""

    SYSTEM = "system"
    """Settings, models, devices, disks: every other case would fail as well."""

    CASE = "case"
    """The computation of one case: other cases, and another try, may succeed."""

    FILES = "files"
    """Files of the input, which cannot be read or used: another try gives the same."""

    IMAGES = "images"
    """Images that were read: their series, geometry, pixels or anatomy. Another try gives the same."""


class CSpineError(Exception):
    """An unexpected error occurred.

    It is the root of the tree. ``code`` is stable over releases, ``exit_code`` is what the process returns, and
    ``subject`` is what errors of the class are about.

    Parameters
    ----------
    message : str
        What happened, with the numbers.
    advice : str, optional
        What to do next; the class's own advice if omitted. Here and in the message, a setting is named as in Python and
        in backticks, for example `device`; the command line shows its option instead.
    """

    code: str = "CS-INT-001"
    exit_code: int = 1
    subject: Subject = Subject.SYSTEM
    advice: str = "This is a bug in cspine. Please report it together with the log."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"

    @property
    def is_about_input(self) -> bool:
        """True where the input must change before another try can succeed."""
        return self.subject in (Subject.FILES, Subject.IMAGES)


def as_defect(error: Exception) -> CSpineError:
    """Return an error that can be shown for an unexpected exception: its type and where it was raised, not its text.

    The text of another library's exception may quote values of a header. What the operating system refuses is no defect
    of cspine, and has its own error.

    Parameters
    ----------
    error : Exception
        Any exception; a `CSpineError` is returned unchanged.
    """
    if isinstance(error, CSpineError):
        return error
    limit = system_limit(error)
    if limit is not None:
        return limit
    package = f"{Path(__file__).parents[1]}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if package in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return CSpineError(f"{type(error).__name__}{where}")


def system_limit(error: BaseException) -> CSpineError | None:
    """Return the error for an exception by which the operating system refuses a resource, or None for any other.

    Parameters
    ----------
    error : BaseException
        As Python or a library raises it.
    """
    if isinstance(error, MemoryError):
        return OutOfMemoryError("memory was refused")
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return SystemLimitError("no further thread can be started")
    if isinstance(error, OSError) and error.errno in _SYSTEM_LIMITS:
        return SystemLimitError(*_SYSTEM_LIMITS[error.errno])
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return OutputError("the disk is full")
    return None


class UsageError(CSpineError):
    """An option, a setting or a configuration file is invalid."""

    code = "CS-USE-001"
    exit_code = 2
    advice = "See `help` for the values that are allowed."


class RulesError(UsageError):
    """A series selection file is invalid."""

    code = "CS-USE-002"
    advice = "Correct the field that the message names; docs/guide/selection.md describes the file."


class RoutingConfigError(UsageError):
    """The configuration of `cspine serve-pacs` is invalid."""

    code = "CS-USE-003"
    advice = "Correct the field that the message names; `cspine serve-pacs --schema` prints what is allowed."


class MissingExtraError(UsageError):
    """A command needs libraries that the basic installation does not include."""

    code = "CS-USE-004"
    advice = "Install the extra that the message names, for example pip install 'cspine[service]'."


class DicomSourceNeededError(UsageError):
    """A DICOM object was asked for, and the image does not come from DICOM."""

    code = "CS-USE-005"
    advice = "Leave seg out of `outputs`, or pass the DICOM series of the image: a SEG refers to its instances."


# --- input ------------------------------------------------------------------------------------------------------------


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


class NoSuitableSeriesError(CSpineError):
    """No series meets the selection rules."""

    code = "CS-SEL-001"
    exit_code = 4
    subject = Subject.IMAGES
    advice = "Run `cspine series DIR` to see why each series was rejected; override with `series_uid` or `rules`."


class UnknownSeriesError(NoSuitableSeriesError):
    """The requested series is not in the input."""

    code = "CS-SEL-002"
    advice = "Run `cspine series DIR` to list the series of the input."


# --- geometry ---------------------------------------------------------------------------------------------------------


class GeometryError(CSpineError):
    """The slices do not form a reliable volume."""

    code = "CS-GEO-001"
    exit_code = 5
    subject = Subject.IMAGES
    advice = "Send the series as the scanner reconstructed it; reformatted or edited series often lack slices."


class MissingSliceError(GeometryError):
    """Slices are missing from the series."""

    code = "CS-GEO-002"
    advice = "Send the complete series again, or use `repair_gaps` to process its longest regular part."


class DuplicatePositionError(GeometryError):
    """Several slices have the same position."""

    code = "CS-GEO-003"
    advice = "Send each reconstruction as a separate series; duplicates are often the result of a double export."


class MixedAcquisitionsError(GeometryError):
    """The series mixes two acquisitions or phases."""

    code = "CS-GEO-004"
    advice = "Split the series by acquisition or phase, and send one of them."


class ScoutAmongSlicesError(GeometryError):
    """The series contains a localizer or slices of another orientation."""

    code = "CS-GEO-005"
    advice = "Remove the localizer from the series."


class SingleSliceError(GeometryError):
    """The series has too few slices for a volume."""

    code = "CS-GEO-006"
    advice = "Choose a series with at least three slices."


class MixedMatrixError(GeometryError):
    """The matrix size or the pixel spacing changes within the series."""

    code = "CS-GEO-007"
    advice = "Send each reconstruction as a separate series."


class NonOrthonormalError(GeometryError):
    """Image Orientation (Patient) is not a pair of perpendicular unit vectors."""

    code = "CS-GEO-008"
    advice = "The header is damaged. Export the series again."


class VariableSpacingError(GeometryError):
    """The slice spacing changes within the series."""

    code = "CS-GEO-009"
    advice = "Reconstruct with one increment, or use `repair_gaps` to process the longest regular part."


class ExcessiveTiltError(GeometryError):
    """The stack is sheared more than a tilted gantry can explain."""

    code = "CS-GEO-010"
    advice = "Reconstruct the series without gantry tilt."


class UnsupportedOrientationError(GeometryError):
    """The requested array orientation does not exist."""

    code = "CS-GEO-011"
    advice = "Pass three letters, one of each pair L/R, P/A and S/I, for example LPS."


class ImpossibleGeometryError(GeometryError):
    """A spacing, a position or an extent is not that of a CT of a patient."""

    code = "CS-GEO-012"
    advice = "The header is damaged, or in other units than millimetres. Export the series again."


# --- pixels -----------------------------------------------------------------------------------------------------------


class PixelError(CSpineError):
    """The pixel data cannot be decoded."""

    code = "CS-PIX-001"
    exit_code = 6
    subject = Subject.IMAGES
    advice = "Check that the files are complete, or send the series uncompressed."


class PhotometricError(PixelError):
    """The pixels are not Hounsfield units in MONOCHROME2."""

    code = "CS-PIX-002"
    advice = "Send the original CT images; this is a derived image or a screen capture."


class RescaleError(PixelError):
    """The pixel values cannot be converted to Hounsfield units."""

    code = "CS-PIX-003"
    advice = "Send the original CT images, with their Rescale Slope and Rescale Intercept."


class NotHounsfieldError(PixelError):
    """The values are not Hounsfield units."""

    code = "CS-PIX-004"
    advice = "Send the original CT images in Hounsfield units: water at 0, air at -1000."


class UnsupportedImageError(PixelError):
    """The images are of a kind or in an encoding that cspine does not read."""

    code = "CS-PIX-005"
    advice = "Send the series as CT images with integer pixels, uncompressed or in a codec that `cspine doctor` lists."


# --- models -----------------------------------------------------------------------------------------------------------


class ModelError(CSpineError):
    """A model package cannot be used."""

    code = "CS-MOD-001"
    exit_code = 7
    advice = "Run `cspine models verify NAME` to see what is wrong, or install the package again."


class ModelNotFoundError(ModelError):
    """The model package was not found."""

    code = "CS-MOD-002"
    advice = "Run `cspine models list` to see what is installed, or `cspine models install` to add a package."


class ModelChecksumError(ModelError):
    """A file of the model package does not match its manifest."""

    code = "CS-MOD-003"
    advice = "The package was modified or damaged. Install it again from its source."


class UnsafeCheckpointError(ModelError):
    """A checkpoint contains more than tensors and plain values, so that loading it could run code."""

    code = "CS-MOD-004"
    advice = "Do not use this file. Ask its author for a checkpoint saved by stock nnU-Net v2."


class UnsupportedModelError(ModelError):
    """The network, the configuration or the trainer is not supported."""

    code = "CS-MOD-005"
    advice = "Use an nnU-Net v2 model with a U-Net of dynamic_network_architectures; a cascade needs its first stage."


class LabelMapNeededError(ModelError):
    """Labels of dataset.json are not recognised as vertebrae."""

    code = "CS-MOD-006"
    advice = (
        "Give `labels`: a mapping (on the command line a YAML file) of each network label to C1..L6 or 'auxiliary'."
    )


class OrientationNeededError(ModelError):
    """The orientation of the training images is unknown."""

    code = "CS-MOD-007"
    advice = "Pass `orientation` with the orientation of the training images, for example LPS or RAS."


class ModelExistsError(ModelError):
    """A model package of this name is already installed."""

    code = "CS-MOD-008"
    advice = "Choose another `name`, or replace the package with `force`."


class NotCalibratedError(ModelError):
    """The confidence that is wanted was not calibrated for the model."""

    code = "CS-MOD-009"
    advice = "Run `cspine models calibrate MODEL --full` on cases with reference labels, or set `confidence` to fast."


# --- inference --------------------------------------------------------------------------------------------------------


class InferenceError(CSpineError):
    """The network failed."""

    code = "CS-INF-001"
    exit_code = 8
    subject = Subject.CASE
    advice = "Try `device` cpu; the log has the cause."


class DeviceError(InferenceError):
    """The requested device is not available."""

    code = "CS-INF-002"
    subject = Subject.SYSTEM
    advice = "Use `device` auto or cpu."


class OutOfMemoryError(InferenceError):
    """The process is out of memory."""

    code = "CS-INF-003"
    advice = "Free memory, use a GPU with more memory, or use `device` cpu."


class NotEnoughMemoryError(InferenceError):
    """The model needs more memory for this scan than is available, so it was not started."""

    code = "CS-INF-004"
    advice = "Free memory or raise the limit of the container, or send a series with fewer or thicker slices."


# --- results ----------------------------------------------------------------------------------------------------------


class NoVertebraError(CSpineError):
    """No cervical vertebra (with a full-spine model: no vertebra) was segmented, so no DICOM object is written."""

    code = "CS-RES-001"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Check that the series shows the neck. An empty result has no preview."


class FindingError(CSpineError):
    """The result has a finding that `fail_on` names, so nothing is written."""

    code = "CS-RES-002"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Run again without `fail_on` to see the result, with its findings, before it is used."


class MeshError(CSpineError):
    """A vertebra cannot be meshed with elements of the required quality."""

    code = "CS-RES-003"
    exit_code = 9
    subject = Subject.IMAGES
    advice = "Choose another edge length, or omit the level with `levels`; look at the segmentation of this level."


class OutputError(CSpineError):
    """The output cannot be written."""

    code = "CS-OUT-001"
    exit_code = 10
    advice = "Check the free space and the permissions of the output folder."


class OutputNotEmptyError(OutputError):
    """The output folder already contains results."""

    code = "CS-OUT-002"
    advice = "Choose an empty folder, or replace the results with `overwrite`."


class SomeStudiesFailedError(CSpineError):
    """At least one study or case failed."""

    code = "CS-RUN-001"
    exit_code = 11
    advice = "See the list: it gives each failure with its code."


class RequirementError(CSpineError):
    """Too few cases of the audit have a complete column in the right order."""

    code = "CS-AUD-001"
    exit_code = 14
    advice = "See sheet.png of the audit, which shows the cases that failed and why."


# --- synthesis and training -------------------------------------------------------------------------------------------


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


# --- service ----------------------------------------------------------------------------------------------------------


class RoutingError(CSpineError):
    """The service that receives studies and returns results cannot continue."""

    code = "CS-RTE-001"
    exit_code = 15
    advice = "Run `cspine serve-pacs CONFIG --check` to test the configuration, the folders and the destinations."


class SpoolError(RoutingError):
    """The spool folder cannot be used, or another service is using it."""

    code = "CS-RTE-002"
    advice = "Check the free space and the permissions of the spool folder; each service needs its own."


class ListenerError(RoutingError):
    """The DICOM or HTTP port cannot be opened."""

    code = "CS-RTE-003"
    advice = "Choose another port in the configuration: this one is in use, or it is below 1024."


class WorkerDiedError(RoutingError):
    """The process that ran a study died or exceeded its time limit."""

    code = "CS-RTE-004"
    advice = "Compare the memory with the table of docs/guide/deployment.md. The study is retried, then set aside."


class DeliveryError(RoutingError):
    """Results could not be delivered to a destination."""

    code = "CS-RTE-005"
    advice = "Repair the destination, then run `cspine queue retry`; the results are kept in the spool."


class RetrievalError(RoutingError):
    """A study could not be retrieved from a DICOMweb server."""

    code = "CS-RTE-006"
    advice = "Check the address of the server and the credentials. The retrieval is retried automatically."


class AlteredResultError(RoutingError):
    """A result differs from its checksum: the disk or another program changed it after the run; it is not sent."""

    code = "CS-RTE-007"
    advice = "Check the disk of the spool; `cspine queue retry` runs the study again."


# --- system -----------------------------------------------------------------------------------------------------------


class SystemLimitError(CSpineError):
    """The operating system refuses a thread, a process, an open file, or a path of this length.

    Parameters
    ----------
    message : str
        What was refused.
    advice : str, optional
        How to get it; about threads and processes if omitted.
    """

    code = "CS-SYS-001"
    exit_code = 20
    advice = "Raise the limit of threads and processes (ulimit -u, --pids-limit of a container), or end other programs."

    def __init__(self, message: str, advice: str | None = None) -> None:
        super().__init__(message, advice=advice)


_SYSTEM_LIMITS: dict[int, tuple[str] | tuple[str, str]] = {
    errno.EAGAIN: ("no further process can be started",),
    errno.EMFILE: ("no further file can be opened", "Raise the limit of open files of this user: ulimit -n."),
    errno.ENFILE: ("no further file can be opened", "The machine has too many open files: end other programs."),
    errno.ENAMETOOLONG: ("a path is too long", "Use a shorter path: a name may have 255 bytes, a path 4095."),
}


# --- cohorts and readiness --------------------------------------------------------------------------------------------


class CohortError(CSpineError):
    """A cohort cannot start because its list, its output folder or its cluster cannot be used."""

    code = "CS-COH-001"
    exit_code = 16
    advice = "Run `cspine cohort --help` to see how studies are listed and how a cluster is named."


class NotReadyError(CSpineError):
    """`cspine doctor` found a problem that would make a run fail."""

    code = "CS-DOC-001"
    exit_code = 17
    advice = "See the lines marked FAIL, which say what is missing."


# --- datasets and comparisons -----------------------------------------------------------------------------------------


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


def every_error() -> list[type[CSpineError]]:
    """Return all classes of the tree, ordered by exit code and code, the root first.

    Returns
    -------
    list of type
        Each class once.
    """
    found: list[type[CSpineError]] = []
    todo: list[type[CSpineError]] = [CSpineError]
    while todo:
        error = todo.pop()
        found.append(error)
        todo.extend(error.__subclasses__())
    return sorted(found, key=lambda e: (e.exit_code, e.code))


def errors_table() -> str:
    """Return the table of docs/reference/errors.md, one Markdown row for each error."""
    rows = []
    for error in every_error():
        meaning = (error.__doc__ or "").partition("\n")[0]
        rows.append(f"| {error.exit_code} | {error.code} | {meaning} | {error.advice} |")
    return "\n".join(["| exit code | code | meaning | advice |", "|---|---|---|---|", *rows])
