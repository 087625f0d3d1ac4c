"""The error tree: every failure that cspine can explain has a stable code, an exit code and advice.

docs/errors.md repeats the table; a test holds the two together. Messages name numbers, tags and hashed identifiers;
they never carry patient data.
"""

from __future__ import annotations

import hashlib
import traceback
from pathlib import Path


def hashed(identifier: str) -> str:
    """Return a short stable stand-in for a UID or another identifier, fit for logs and messages.

    Parameters
    ----------
    identifier : str
        A DICOM UID or any text that may point to a patient.

    Returns
    -------
    str
        The first 12 hexadecimal digits of its SHA-256.
    """
    return hashlib.sha256(identifier.encode("utf-8")).hexdigest()[:12]


class CSpineError(Exception):
    """Something failed that has no class of its own.

    Root of the tree. ``code`` is stable over releases, ``exit_code`` is what the process returns.

    Parameters
    ----------
    message : str
        What happened, with its numbers.
    advice : str, optional
        What to do next; the class's own advice where it is left out.
    """

    code: str = "CS-INT-001"
    exit_code: int = 1
    advice: str = "This is a defect of cspine: please report it with the log."

    def __init__(self, message: str, *, advice: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if advice is not None:
            self.advice = advice

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


def as_defect(error: Exception) -> CSpineError:
    """Turn an exception that nobody foresaw into an error that can be shown: what and where, but not its text.

    The text of a foreign exception may quote a header's values.

    Parameters
    ----------
    error : Exception
        Any exception; a `CSpineError` is returned as it is.
    """
    if isinstance(error, CSpineError):
        return error
    package = f"{Path(__file__).parents[1]}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if package in frame.filename]
    where = f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
    return CSpineError(f"{type(error).__name__}{where}")


class UsageError(CSpineError):
    """The command line, a setting or a configuration file cannot be used."""

    code = "CS-USE-001"
    exit_code = 2
    advice = "See the command's --help."


class RulesError(UsageError):
    """A series selection file does not follow its schema."""

    code = "CS-USE-002"
    advice = "Compare the file with docs/selection.md; the message names the field."


class RoutingConfigError(UsageError):
    """The configuration of `cspine serve-pacs` does not follow its schema."""

    code = "CS-USE-003"
    advice = "The message names the field; `cspine serve-pacs --schema` prints what is allowed."


class MissingExtraError(UsageError):
    """A command needs libraries that a plain installation leaves out."""

    code = "CS-USE-004"
    advice = "Install the part that the message names, for example pip install 'cspine[service]'."


class DicomSourceNeededError(UsageError):
    """A DICOM object was asked for, and the image does not come from DICOM."""

    code = "CS-USE-005"
    advice = "Leave seg out of --outputs, or give the DICOM series of the image: a SEG refers to its instances."


# --- what comes in ----------------------------------------------------------------------------------------------------


class InputError(CSpineError):
    """The input folder or archive cannot be used."""

    code = "CS-IN-001"
    exit_code = 3
    advice = "Give a folder or a .zip with the DICOM files of one CT study."


class NoDicomError(InputError):
    """Nothing in the input is DICOM."""

    code = "CS-IN-002"
    advice = "Check the path; files that are not DICOM are skipped and counted."


class SeveralPatientsError(InputError):
    """The input holds more than one patient or study, and it was not said to handle them all."""

    code = "CS-IN-003"
    advice = "Give one study at a time, or --all-studies to handle them one after another."


class UnreadableArchiveError(InputError):
    """A zip archive is damaged, encrypted, or unpacks outside its folder."""

    code = "CS-IN-004"
    advice = "Unpack the archive by hand and give the folder."


class MissingAttributeError(InputError):
    """An attribute without which the image cannot be placed is absent or malformed."""

    code = "CS-IN-005"
    advice = "Export the series from the scanner or PACS again; the message names the attribute."


class AmbiguousPositionError(InputError):
    """The header of a NIfTI file does not say where the image lies, or says two different things."""

    code = "CS-IN-006"
    advice = "Convert the image again from DICOM, so that sform and qform agree; left and right may be swapped here."


class NoSuitableSeriesError(CSpineError):
    """No series fits the rules."""

    code = "CS-SEL-001"
    exit_code = 4
    advice = "`cspine series DIR` lists every series and why it was refused; --series-uid or --rules override."


class UnknownSeriesError(NoSuitableSeriesError):
    """The series asked for is not in the input."""

    code = "CS-SEL-002"
    advice = "`cspine series DIR` lists the series that are there."


# --- geometry ---------------------------------------------------------------------------------------------------------


class GeometryError(CSpineError):
    """The slices do not form a volume that can be trusted."""

    code = "CS-GEO-001"
    exit_code = 5
    advice = "Send the series as the scanner made it; reformatted or edited series often lose slices."


class MissingSliceError(GeometryError):
    """Slices are missing: the positions are a regular grid with holes."""

    code = "CS-GEO-002"
    advice = "Send the series again, whole; or run on the longest whole part with --repair-gaps."


class DuplicatePositionError(GeometryError):
    """Several slices share a position."""

    code = "CS-GEO-003"
    advice = "Send each reconstruction as a series of its own; duplicates often come from a double export."


class MixedAcquisitionsError(GeometryError):
    """Two acquisitions or phases share one series."""

    code = "CS-GEO-004"
    advice = "Split the series by acquisition or phase and send one of them."


class ScoutAmongSlicesError(GeometryError):
    """A localizer, or slices of another orientation, stand among the slices."""

    code = "CS-GEO-005"
    advice = "Remove the localizer from the series."


class SingleSliceError(GeometryError):
    """One slice, or too few slices, do not make a volume."""

    code = "CS-GEO-006"
    advice = "Choose a series with at least three slices."


class MixedMatrixError(GeometryError):
    """Matrix size or pixel spacing changes within the series."""

    code = "CS-GEO-007"
    advice = "Send each reconstruction as a series of its own."


class NonOrthonormalError(GeometryError):
    """Image Orientation (Patient) is not a pair of perpendicular unit vectors."""

    code = "CS-GEO-008"
    advice = "The header is damaged: export the series again."


class VariableSpacingError(GeometryError):
    """The distance between slices changes within the series."""

    code = "CS-GEO-009"
    advice = "Reconstruct with one increment; or run on the longest regular part with --repair-gaps."


class ExcessiveTiltError(GeometryError):
    """The stack leans further than any gantry, or within the slice plane in a way no gantry does."""

    code = "CS-GEO-010"
    advice = "Reconstruct the series without tilt."


class UnsupportedOrientationError(GeometryError):
    """The array orientation asked for is not one of the 48 that exist."""

    code = "CS-GEO-011"
    advice = "Give three letters, one of each pair L/R, P/A, S/I: for example LPS."


# --- pixels -----------------------------------------------------------------------------------------------------------


class PixelError(CSpineError):
    """Pixel data cannot be decoded."""

    code = "CS-PIX-001"
    exit_code = 6
    advice = "Send the series uncompressed, or check that the file is whole."


class PhotometricError(PixelError):
    """The pixels are not Hounsfield units in MONOCHROME2."""

    code = "CS-PIX-002"
    advice = "CT is MONOCHROME2 with one sample a pixel: this is a derived or a captured image."


class RescaleError(PixelError):
    """Rescale Slope or Rescale Intercept is absent or not a number, so values are not Hounsfield units."""

    code = "CS-PIX-003"
    advice = "Send the original CT images."


# --- models -----------------------------------------------------------------------------------------------------------


class ModelError(CSpineError):
    """A model package cannot be used."""

    code = "CS-MOD-001"
    exit_code = 7
    advice = "`cspine models verify NAME` tells what is wrong; install the package again."


class ModelNotFoundError(ModelError):
    """No model package of that name."""

    code = "CS-MOD-002"
    advice = "`cspine models list` shows what is installed; `cspine models install` adds one."


class ModelChecksumError(ModelError):
    """A file of the package differs from its manifest."""

    code = "CS-MOD-003"
    advice = "The package was changed or damaged: install it again from its source."


class UnsafeCheckpointError(ModelError):
    """A checkpoint holds more than tensors and plain values: reading it could run code."""

    code = "CS-MOD-004"
    advice = "Do not use this file. Ask its author for one saved by stock nnU-Net v2."


class UnsupportedModelError(ModelError):
    """The network, the configuration or the trainer is not one that cspine runs."""

    code = "CS-MOD-005"
    advice = "Any nnU-Net v2 configuration of dynamic_network_architectures works; a cascade needs the stage before it."


class LabelMapNeededError(ModelError):
    """The labels of dataset.json are not recognised as vertebrae."""

    code = "CS-MOD-006"
    advice = "Give --labels FILE, a YAML that maps each network label to C1..L6 or to 'auxiliary'."


class OrientationNeededError(ModelError):
    """The model's reader took images in their stored order, which says nothing about anatomy."""

    code = "CS-MOD-007"
    advice = "Give --orientation with the order of the training images, for example LPS or RAS."


class ModelExistsError(ModelError):
    """A package of that name is installed already."""

    code = "CS-MOD-008"
    advice = "Give --name for another name, or --force to replace it."


# --- inference --------------------------------------------------------------------------------------------------------


class InferenceError(CSpineError):
    """The network could not be run."""

    code = "CS-INF-001"
    exit_code = 8
    advice = "Run again with --device cpu; the log has the cause."


class DeviceError(InferenceError):
    """The device asked for is not there."""

    code = "CS-INF-002"
    advice = "Use --device auto or cpu."


class OutOfMemoryError(InferenceError):
    """Memory ran out."""

    code = "CS-INF-003"
    advice = "Use --device cpu, a GPU with more memory, or free memory on this one."


# --- results ----------------------------------------------------------------------------------------------------------


class NoVertebraError(CSpineError):
    """No cervical vertebra (by a full-spine model: no vertebra) was found, so no DICOM object is written."""

    code = "CS-RES-001"
    exit_code = 9
    advice = "Check that the series shows the neck: report/preview.png is not written for an empty result."


class OutputError(CSpineError):
    """The output cannot be written."""

    code = "CS-OUT-001"
    exit_code = 10
    advice = "Check space and permissions of the output folder."


class OutputNotEmptyError(OutputError):
    """The output folder holds results already."""

    code = "CS-OUT-002"
    advice = "Give an empty folder, or --overwrite."


class SomeStudiesFailedError(CSpineError):
    """At least one study of --all-studies, or one case of an audit or evaluation, failed."""

    code = "CS-RUN-001"
    exit_code = 11
    advice = "The list names each one that failed with its own code."


class RequirementError(CSpineError):
    """Fewer cases of an audit than --require asks for have an ordered, complete column."""

    code = "CS-AUD-001"
    exit_code = 14
    advice = "Look at the audit's sheet.png: it shows which cases fail, and why."


# --- synthesis and training -------------------------------------------------------------------------------------------


class AtlasError(CSpineError):
    """The anatomical atlas is absent or not the one that the synthesis knows."""

    code = "CS-SYN-001"
    exit_code = 12
    advice = "Give --atlas with the folder that holds neck_atlas_1mm.nii.gz and labels.csv."


class TrainingError(CSpineError):
    """A training run cannot start or go on."""

    code = "CS-TRN-001"
    exit_code = 13
    advice = "The log names the cause; a run continues from its last checkpoint with the same command."


# --- service ----------------------------------------------------------------------------------------------------------


class RoutingError(CSpineError):
    """The service that receives and returns studies cannot go on."""

    code = "CS-RTE-001"
    exit_code = 15
    advice = "`cspine serve-pacs CONFIG --check` tests the configuration, the folders and the destinations."


class SpoolError(RoutingError):
    """The folder of the queue cannot be used, or another service is using it."""

    code = "CS-RTE-002"
    advice = "Check space and permissions of the spool folder; each service needs a spool of its own."


class ListenerError(RoutingError):
    """The DICOM or HTTP port cannot be opened."""

    code = "CS-RTE-003"
    advice = "Another program uses the port, or it is below 1024: choose another one in the configuration."


class WorkerDiedError(RoutingError):
    """The process that ran a study died or was stopped at its time limit."""

    code = "CS-RTE-004"
    advice = "Mostly memory: compare the sizing table of docs/deployment.md. The study is tried again, then set aside."


class DeliveryError(RoutingError):
    """Results could not be delivered to a destination."""

    code = "CS-RTE-005"
    advice = "Mend the destination, then `cspine queue retry`; the results wait in the spool."


class RetrievalError(RoutingError):
    """A study could not be fetched from a DICOMweb server."""

    code = "CS-RTE-006"
    advice = "It is tried again by itself; check the server's address and the credentials."


class CohortError(CSpineError):
    """A cohort cannot start: its list, its output folder or its cluster cannot be used."""

    code = "CS-COH-001"
    exit_code = 16
    advice = "`cspine cohort --help` tells how studies are found and how a cluster is named."


class NotReadyError(CSpineError):
    """`cspine doctor` found something without which a run would fail."""

    code = "CS-DOC-001"
    exit_code = 17
    advice = "The lines marked FAIL say what is missing."


class DatasetError(CSpineError):
    """A data set, or a folder made from one, cannot be used."""

    code = "CS-DAT-001"
    exit_code = 18
    advice = "docs/datasets.md shows the layout of each data set; the message names what is absent or wrong."


class CaseGridError(DatasetError):
    """An image and its labels do not lie on the same grid."""

    code = "CS-DAT-002"
    advice = "The pair does not belong together, or one was resampled: fetch both again, or exclude the case."


class LabelSchemeError(DatasetError):
    """A label image holds values that its scheme does not know."""

    code = "CS-DAT-003"
    advice = "Name the scheme that the labels follow; docs/study.md lists them."


class SplitError(DatasetError):
    """The cases cannot be divided as asked."""

    code = "CS-DAT-004"
    advice = "Ask for fewer patients, or convert more sources; `cspine dataset summary` counts what is there."


class ComparisonError(CSpineError):
    """Evaluations cannot be compared."""

    code = "CS-CMP-001"
    exit_code = 19
    advice = "Give folders that `cspine evaluate` wrote for the same cases."


def every_error() -> list[type[CSpineError]]:
    """Return all classes of the tree, root first, ordered by exit code and code.

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
    """Return the table of docs/errors.md: one Markdown row an error."""
    rows = []
    for error in every_error():
        meaning = (error.__doc__ or "").partition("\n")[0]
        rows.append(f"| {error.exit_code} | {error.code} | {meaning} | {error.advice} |")
    return "\n".join(["| exit code | code | meaning | advice |", "|---|---|---|---|", *rows])
