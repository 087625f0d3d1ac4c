"""What goes through the ports: the SDK's domain types, each a subclass that carries cspine's own object beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cspine.core.anatomy import VERTEBRAE
from cspine.core.ct_limits import require_possible_grid
from cspine.core.errors import ExcessiveTiltError, InputError, UsageError
from cspine.core.geometry import Affine, Grid, is_orthogonal, ras_to_lps, resample_labels
from cspine.core.hounsfield import require_hounsfield
from cspine.core.volumes import CtVolume, LabelVolume, ModelIdentity, labels_present
from cspine.dicom.clock import Clock
from cspine.dicom.seg import SegRecord
from cspine.dicom.sr import SrRecord
from cspine.inference.predict import Inference
from cspine.io.nifti import ct_of as ct_volume
from cspine.io.nifti import labels_of
from cspine.operators.sdk import DataPath, DICOMStudy, Image, StudySelectedSeries
from cspine.pipeline.measuring import Measured
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries
from cspine.pipeline.stopwatch import Stopwatch

#: What messages call an Image of another operator.
_NAME = "the Image of another operator"


@dataclass(frozen=True)
class Provenance:
    """How an object came to be: it goes from port to port, and ends in the DICOM objects and the summary.

    Parameters
    ----------
    settings : RunSettings
        The parameters of the operators so far.
    seconds : mapping of str to float
        How long each of their steps took.
    """

    settings: RunSettings = field(default_factory=lambda: RunSettings(Clock.from_environment()))
    seconds: Mapping[str, float] = field(default_factory=dict)

    def stopwatch(self) -> Stopwatch:
        """Return a stopwatch that has these seconds already."""
        return Stopwatch(dict(self.seconds))


class CtStudy(StudySelectedSeries):
    """A StudySelectedSeries with one series, selected by cspine.

    Parameters
    ----------
    study : DICOMStudy
        The study, for operators of the SDK.
    chosen : ChosenSeries
        The series, with a reason for every other one.
    provenance : Provenance
        How it was selected.
    """

    def __init__(self, study: DICOMStudy, chosen: ChosenSeries, provenance: Provenance) -> None:
        super().__init__(study)
        self.chosen = chosen
        self.provenance = provenance


class CtImage(Image):
    """An Image in Hounsfield units; its metadata has ``affine`` in RAS, as that of the SDK's operators.

    Parameters
    ----------
    ct : CtVolume
        The volume: `asnumpy` gives its array (z, y, x).
    provenance : Provenance
        How it was read.
    """

    def __init__(self, ct: CtVolume, provenance: Provenance) -> None:
        super().__init__(ct.hu_zyx, placement(ct.affine_lps))
        self.ct = ct
        self.provenance = provenance


class PredictionImage(Image):
    """An Image of the labels as a network predicted them: VerSe numbers, 1..7 for C1..C7, 8 for T1.

    Parameters
    ----------
    inference : Inference
        Labels on the grid of the CT, and how they were predicted.
    provenance : Provenance
        Settings and seconds so far.
    """

    def __init__(self, inference: Inference, provenance: Provenance) -> None:
        super().__init__(inference.labels.labels_zyx, placement(inference.labels.affine_lps))
        self.inference = inference
        self.provenance = provenance


class VertebraImage(Image):
    """An Image of the cleaned labels, plane by plane on the slices of the source series.

    Of a CT from a tilted gantry `asnumpy` has the labels on the slices as they were stored, so that operators which
    bind planes to instances by their position in a list bind the right ones.

    Parameters
    ----------
    vertebrae : Vertebrae
        Labels on the grid of the CT, with the findings about them.
    ct : CtVolume
        The volume that they were made of.
    provenance : Provenance
        Settings and seconds so far.
    """

    def __init__(self, vertebrae: Vertebrae, ct: CtVolume, provenance: Provenance) -> None:
        labels = vertebrae.labels
        grid = labels.grid if ct.source is None else ct.source.grid
        super().__init__(resample_labels(labels.labels_zyx, labels.grid, grid), placement(grid.affine_lps))
        self.vertebrae = vertebrae
        self.provenance = provenance


class SegmentationFile(DataPath):
    """The path of a DICOM Segmentation that was written, or of the output folder where none is wanted.

    Parameters
    ----------
    record : SegRecord or None
        What was written.
    folder : Path
        The output folder.
    provenance : Provenance
        Settings and seconds so far.
    """

    def __init__(self, record: SegRecord | None, folder: Path, provenance: Provenance) -> None:
        super().__init__(folder if record is None else record.path, read_only=True)
        self.record = record
        self.provenance = provenance


class MeasuredVertebrae(DataPath):
    """The path of a structured report that was written, or of the output folder where none is wanted.

    Parameters
    ----------
    measured : Measured
        The measurements.
    record : SrRecord or None
        The report.
    folder : Path
        The output folder.
    provenance : Provenance
        Settings and seconds so far.
    """

    def __init__(self, measured: Measured, record: SrRecord | None, folder: Path, provenance: Provenance) -> None:
        super().__init__(folder if record is None else record.path, read_only=True)
        self.measured = measured
        self.record = record
        self.provenance = provenance


def placement(affine_lps: Affine) -> dict[str, Any]:
    """Return the metadata that places an array (z, y, x) in the patient, as the SDK writes it and in DICOM's LPS.

    Parameters
    ----------
    affine_lps : ndarray, shape (4, 4)
        Affine from index (x, y, z) to millimetres in LPS.

    Returns
    -------
    dict of str to object
        ``affine`` and ``space`` in RAS, as the SDK writes them, and ``affine_lps``.
    """
    return {"affine": ras_to_lps(affine_lps), "space": "RAS", "affine_lps": affine_lps}


def ct_of(image: Image) -> CtVolume:
    """Return the CT volume of an Image of any maker.

    Parameters
    ----------
    image : Image
        A `CtImage`, or an Image with Hounsfield units (z, y, x) and ``affine`` (and ``space``, RAS or LPS) in its
        metadata.

    Raises
    ------
    InputError
        If it has no affine, is no volume, or its affine contradicts the pixel spacing in its metadata, as that of the
        SDK's series to volume operator does where pixels are not square.
    ImpossibleGeometryError, SingleSliceError, ExcessiveTiltError
        If its grid is not that of a CT of a patient, or not orthogonal.
    NotHounsfieldError
        If its values are not Hounsfield units.
    """
    if isinstance(image, CtImage):
        return image.ct
    array = np.asarray(image.asnumpy())
    ct = ct_volume(array, _affine_of(image, array))
    require_hounsfield(ct.hu_zyx, _NAME)
    return ct


def prediction_of(image: Image, model: ModelIdentity | None) -> Inference:
    """Return the labels of an Image of any maker as an inference.

    Parameters
    ----------
    image : Image
        A `PredictionImage`, or an Image of VerSe numbers (z, y, x) with ``affine`` in its metadata.
    model : ModelIdentity or None
        The model that predicted an Image of another maker.

    Raises
    ------
    InputError
        If it has no affine, or is no volume.
    UsageError
        If it is of another maker and the model is not named: the object would otherwise state manual segmentation.
    """
    if isinstance(image, PredictionImage):
        return image.inference
    labels = _labels_of(image, model)
    return Inference(labels=labels, auxiliary_zyx=np.zeros(labels.labels_zyx.shape, bool), record={"device": "unknown"})


def vertebrae_of(image: Image, model: ModelIdentity | None) -> Vertebrae:
    """Return the cleaned labels of an Image of any maker.

    Parameters
    ----------
    image : Image
        Labels with the numbers of VerSe; those of cspine's postprocessing carry their findings.
    model : ModelIdentity or None
        What to call the model of labels of another maker.

    Raises
    ------
    InputError, UsageError
        As in `prediction_of`.
    """
    return image.vertebrae if isinstance(image, VertebraImage) else Vertebrae(_labels_of(image, model), ())


def provenance_of(item: object) -> Provenance:
    """Return the provenance of an object of cspine; a new one for an object of another maker.

    Parameters
    ----------
    item : object
        What an input port receives.
    """
    found = getattr(item, "provenance", None)
    return found if isinstance(found, Provenance) else Provenance()


def _labels_of(image: Image, model: ModelIdentity | None) -> LabelVolume:
    if model is None:
        raise UsageError(
            "labels of another operator come without the name of their model",
            advice="Give the operator model_name and model_version.",
        )
    array: NDArray[Any] = np.asarray(image.asnumpy())
    labels = labels_of(array, _affine_of(image, array), _NAME)
    if unknown := sorted(set(labels_present(labels.labels_zyx)) - {level.label for level in VERTEBRAE}):
        raise InputError(
            f"{_NAME} contains numbers that are not those of a vertebra: {', '.join(map(str, unknown))}",
            advice="Give VerSe numbers: 1..7 for C1..C7, 8..19 for T1..T12, 20..25 for L1..L6, 28 for T13.",
        )
    return replace(labels, model=model)


def _affine_of(image: Image, array: NDArray[Any]) -> Affine:
    metadata = image.metadata() or {}
    if array.ndim != 3 or metadata.get("affine") is None:
        raise InputError(
            "an Image without a third axis or without an affine cannot be placed in the patient",
            advice="Give an Image of (z, y, x) with affine and space in its metadata.",
        )
    stated = np.asarray(metadata["affine"], dtype=np.float64)
    affine = stated if metadata.get("space") == "LPS" else ras_to_lps(stated)
    z, y, x = array.shape
    require_possible_grid(Grid((z, y, x), affine), _NAME)
    if not is_orthogonal(affine):
        raise ExcessiveTiltError(f"the affine of {_NAME} is sheared", advice="Resample it to an orthogonal grid.")
    _refuse_other_spacing(metadata, affine)
    return affine


def _refuse_other_spacing(metadata: Mapping[str, Any], affine: Affine) -> None:
    """Refuse an affine with the spacing of rows and columns swapped: left, right and sizes would be wrong."""
    stated = [metadata.get(name) for name in ("col_pixel_spacing", "row_pixel_spacing")]
    if None not in stated and not np.allclose(np.asarray(stated, float), np.linalg.norm(affine[:3, :2], axis=0), 1e-3):
        raise InputError(
            f"the affine of {_NAME} contradicts its pixel spacing",
            advice="Read the series with CtReaderOperator: the SDK's operator swaps the spacing of rows and columns.",
        )
