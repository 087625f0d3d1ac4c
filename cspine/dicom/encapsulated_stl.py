"""Write a surface as an Encapsulated STL object (PS3.3 A.85.1, sup. 205) that refers to the source series."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import UID

from cspine.core.anatomy import Vertebra
from cspine.core.volumes import CtVolume, ModelIdentity
from cspine.dicom.derived import ObjectKind, ObjectSettings, Origin, read_origin, save_object, start_object
from cspine.io.output import SURFACE_OBJECT

#: Encapsulated STL Storage (PS3.4 B.5).
ENCAPSULATED_STL = UID("1.2.840.10008.5.1.4.1.1.104.3")
#: The series of all surfaces of a run.
KIND = ObjectKind(ENCAPSULATED_STL, "M3D", 910, "Surfaces of vertebrae")


@dataclass(frozen=True)
class StlDocument:
    """A surface as it goes into an object.

    Parameters
    ----------
    vertebra : Vertebra
        The level.
    stl : bytes
        Binary STL, millimetres in DICOM patient coordinates.
    """

    vertebra: Vertebra
    stl: bytes


def write_surface_objects(
    documents: list[StlDocument], ct: CtVolume, model: ModelIdentity | None, settings: ObjectSettings, folder: Path
) -> list[Path]:
    """Write one object for each surface, all in one new series.

    Parameters
    ----------
    documents : list of StlDocument
        The surfaces.
    ct : CtVolume
        The image, with its source.
    model : ModelIdentity, optional
        The model that predicted the labels.
    settings : ObjectSettings
        Clock, parameters, remark.
    folder : Path
        Folder of the files ``surface-C3.dcm`` and so on.

    Raises
    ------
    DicomSourceNeededError, InputError, MissingAttributeError, GeometryError
        As `derived.read_origin`; OutputError if a file cannot be written.
    """
    origin = read_origin(ct)
    content = hashlib.sha256()
    for document in documents:
        content.update(document.vertebra.name.encode("ascii") + document.stl)
    paths = []
    for number, document in enumerate(documents, start=1):
        # One identity for all: they are one series.
        dataset, identity = start_object(KIND, origin, model, settings, content.digest())
        dataset.SOPInstanceUID = identity.uid(f"instance {document.vertebra.name}")
        _set_document(dataset, document, number, model)
        _set_references(dataset, origin)
        paths.append(folder / surface_object_name(document.vertebra))
        save_object(dataset, paths[-1])
    return paths


def surface_object_name(vertebra: Vertebra) -> str:
    """Return the name of the file of a level."""
    return SURFACE_OBJECT.format(level=vertebra.name)


def _set_document(dataset: Dataset, document: StlDocument, number: int, model: ModelIdentity | None) -> None:
    level = document.vertebra
    dataset.InstanceNumber = number
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.AcquisitionDateTime = ""
    dataset.BurnedInAnnotation = "NO"
    dataset.DocumentTitle = (
        f"{level.name} vertebra, surface{' (DEMONSTRATION)' if model and model.demonstration else ''}"
    )
    dataset.ConceptNameCodeSequence = Sequence()
    dataset.MIMETypeOfEncapsulatedDocument = "model/stl"
    dataset.EncapsulatedDocumentLength = len(document.stl)
    dataset.EncapsulatedDocument = document.stl + b"\0" * (len(document.stl) % 2)
    dataset.MeasurementUnitsCodeSequence = Sequence([_code("mm", "UCUM", "mm")])
    dataset.ModelModification = "NO"
    dataset.ModelMirroring = "NO"
    dataset.ContentDescription = f"{level.name}, millimetres in patient coordinates"


def _set_references(dataset: Dataset, origin: Origin) -> None:
    dataset.FrameOfReferenceUID = origin.first.FrameOfReferenceUID
    dataset.PositionReferenceIndicator = origin.first.get("PositionReferenceIndicator") or ""
    series = Dataset()
    series.SeriesInstanceUID = origin.first.SeriesInstanceUID
    series.ReferencedInstanceSequence = Sequence(origin.references())
    dataset.ReferencedSeriesSequence = Sequence([series])
    dataset.SourceInstanceSequence = Sequence(origin.references())


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
