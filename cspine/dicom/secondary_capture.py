"""Write a colour picture as a Secondary Capture of the source study (PS3.3 A.8.1), for a PACS that shows no SEG."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.sequence import Sequence
from pydicom.uid import SecondaryCaptureImageStorage

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.body_part import body_part
from cspine.dicom.derived import ObjectKind, ObjectSettings, read_origin, save_object, start_object

KIND = ObjectKind(SecondaryCaptureImageStorage, "OT", 903, "Vertebrae, not for diagnosis")
_DERIVATION = "Planes of the CT with coloured vertebrae. Not for diagnosis"


def write_secondary_capture(
    rgb: NDArray[np.uint8], labels: LabelVolume, ct: CtVolume, settings: ObjectSettings, path: Path
) -> str:
    """Write a picture and return the SOP Instance UID of the object.

    Parameters
    ----------
    rgb : ndarray of uint8, shape (rows, columns, 3)
        The picture, with what must be burned in.
    labels : LabelVolume
        The vertebrae that it shows.
    ct : CtVolume
        The image, with its source.
    settings : ObjectSettings
        Clock, parameters, remark.
    path : Path
        File to write; it appears when complete, or not at all.

    Raises
    ------
    DicomSourceNeededError, InputError, MissingAttributeError
        As `derived.read_origin`; OutputError if the file cannot be written.
    """
    origin = read_origin(ct)
    pixels = np.ascontiguousarray(rgb).tobytes()
    dataset, _ = start_object(KIND, origin, labels.model, settings, pixels)
    dataset.ConversionType = "WSD"
    dataset.BodyPartExamined = body_part(labels.labels_zyx)
    dataset.PatientOrientation = ""
    dataset.ImageType = ["DERIVED", "SECONDARY"]
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.BurnedInAnnotation = "YES"
    dataset.DerivationDescription = _DERIVATION
    dataset.SourceImageSequence = Sequence(origin.references())
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = rgb.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels + b"\0" * (len(pixels) % 2)
    return save_object(dataset, path)
