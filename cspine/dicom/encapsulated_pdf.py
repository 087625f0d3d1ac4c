"""Write a PDF document as an Encapsulated PDF object of the source study (PS3.3 A.45.1)."""

from __future__ import annotations

from pathlib import Path

from pydicom.sequence import Sequence
from pydicom.uid import EncapsulatedPDFStorage

from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.derived import ObjectKind, ObjectSettings, read_origin, save_object, start_object

KIND = ObjectKind(EncapsulatedPDFStorage, "DOC", 902, "Vertebrae report")
_TITLE = "Vertebrae in CT, report of cspine. Research use only"


def write_encapsulated_pdf(
    document: bytes, labels: LabelVolume, ct: CtVolume, settings: ObjectSettings, path: Path
) -> str:
    """Write a document and return the SOP Instance UID of the object.

    Parameters
    ----------
    document : bytes
        The PDF file.
    labels : LabelVolume
        What the document is about; its model enters the UIDs.
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
    dataset, _ = start_object(KIND, origin, labels.model, settings, document)
    dataset.ConversionType = "WSD"
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.AcquisitionDateTime = ""
    # The pages carry no identification of the patient.
    dataset.BurnedInAnnotation = "NO"
    dataset.SourceInstanceSequence = Sequence(origin.references())
    dataset.DocumentTitle = _TITLE
    dataset.ConceptNameCodeSequence = Sequence()
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.EncapsulatedDocumentLength = len(document)
    dataset.EncapsulatedDocument = document + b"\0" * (len(document) % 2)
    return save_object(dataset, path)
