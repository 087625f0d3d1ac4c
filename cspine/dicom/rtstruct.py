"""Write vertebrae as an RT Structure Set (PS3.3 A.19): one ROI each, with closed contours on the source slices."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import RTStructureSetStorage

from cspine.core.anatomy import Vertebra, vertebra
from cspine.core.errors import NoVertebraError
from cspine.core.geometry import resample_labels, to_lps
from cspine.core.shape import label_boxes
from cspine.core.volumes import CtVolume, LabelArray, LabelVolume
from cspine.dicom.contours import outlines
from cspine.dicom.derived import ObjectKind, ObjectSettings, Origin, read_origin, reference, save_object, start_object

KIND = ObjectKind(RTStructureSetStorage, "RTSTRUCT", 904, "Vertebrae contours")
#: Retired, but type 1 in the study reference of a structure set: PS3.3 C.8.8.5.
_STUDY_CLASS = "1.2.840.10008.3.1.2.3.1"


def write_structure_set(labels: LabelVolume, ct: CtVolume, settings: ObjectSettings, path: Path) -> str:
    """Write the contours of all vertebrae and return the SOP Instance UID of the object.

    Parameters
    ----------
    labels : LabelVolume
        Labels on any grid; they are resampled to the planes of the source series.
    ct : CtVolume
        The image, with its source.
    settings : ObjectSettings
        Clock, parameters, remark.
    path : Path
        File to write; it appears when complete, or not at all.

    Raises
    ------
    NoVertebraError
        If no label lies on the source slices.
    DicomSourceNeededError, InputError, MissingAttributeError
        As `derived.read_origin`; OutputError if the file cannot be written.
    """
    origin = read_origin(ct)
    on_source = resample_labels(labels.labels_zyx, labels.grid, origin.source.grid)
    boxes = label_boxes(on_source)
    if not boxes:
        raise NoVertebraError("no label lies on the source slices")
    levels = tuple(vertebra(label) for label in boxes)
    content = hashlib.sha256(np.ascontiguousarray(on_source).data).digest()
    dataset, _ = start_object(KIND, origin, labels.model, settings, content)
    dataset.OperatorsName = ""
    dataset.StructureSetLabel = "VERTEBRAE"
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.FrameOfReferenceUID = origin.first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = ""
    dataset.ReferencedFrameOfReferenceSequence = Sequence([_referenced_frame(origin)])
    dataset.StructureSetROISequence = Sequence(
        _roi(number, level, str(origin.first.FrameOfReferenceUID), labels.model is not None)
        for number, level in enumerate(levels, start=1)
    )
    dataset.ROIContourSequence = Sequence(
        _roi_contours(number, level, list(_contours(on_source, level, boxes[level.label], origin)))
        for number, level in enumerate(levels, start=1)
    )
    dataset.RTROIObservationsSequence = Sequence(_observation(number) for number in range(1, len(levels) + 1))
    return save_object(dataset, path)


def _referenced_frame(origin: Origin) -> Dataset:
    series = Dataset()
    series.SeriesInstanceUID = origin.first.SeriesInstanceUID
    series.ContourImageSequence = Sequence(origin.references())
    study = Dataset()
    study.ReferencedSOPClassUID = _STUDY_CLASS
    study.ReferencedSOPInstanceUID = origin.first.StudyInstanceUID
    study.RTReferencedSeriesSequence = Sequence([series])
    frame = Dataset()
    frame.FrameOfReferenceUID = origin.first.FrameOfReferenceUID
    frame.RTReferencedStudySequence = Sequence([study])
    return frame


def _roi(number: int, level: Vertebra, frame_of_reference: str, is_automatic: bool) -> Dataset:
    roi = Dataset()
    roi.ROINumber = number
    roi.ReferencedFrameOfReferenceUID = frame_of_reference
    roi.ROIName = level.name
    roi.ROIGenerationAlgorithm = "AUTOMATIC" if is_automatic else "MANUAL"
    return roi


def _observation(number: int) -> Dataset:
    observation = Dataset()
    observation.ObservationNumber = observation.ReferencedROINumber = number
    observation.RTROIInterpretedType = ""
    observation.ROIInterpreter = ""
    return observation


def _roi_contours(number: int, level: Vertebra, contours: list[Dataset]) -> Dataset:
    item = Dataset()
    item.ReferencedROINumber = number
    item.ROIDisplayColor = list(level.rgb)
    item.ContourSequence = Sequence(contours)
    return item


def _contours(
    labels_zyx: LabelArray, level: Vertebra, box: tuple[slice, slice, slice], origin: Origin
) -> Iterator[Dataset]:
    by_uid = {str(header.SOPInstanceUID): header for header in origin.headers}
    z_box, y_box, x_box = box
    for z in range(z_box.start, z_box.stop):
        part = origin.source.slices[z]
        for polygon in outlines(labels_zyx[z, y_box, x_box] == level.label):
            index = np.column_stack(
                [polygon[:, 1] + x_box.start, polygon[:, 0] + y_box.start, np.full(len(polygon), z)]
            )
            image = reference(by_uid[part.sop_instance_uid])
            if part.frame is not None:
                image.ReferencedFrameNumber = part.frame + 1
            contour = Dataset()
            contour.ContourImageSequence = Sequence([image])
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(polygon)
            contour.ContourData = [f"{v:.3f}" for v in to_lps(origin.source.grid.affine_lps, index).ravel()]
            yield contour
