"""Write a Key Object Selection Document (PS3.3 A.35.4, PS3.16 TID 2010): the slices of the vertebrae with findings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence as ItemSequence
from pydicom.sr.codedict import codes
from pydicom.uid import KeyObjectSelectionDocumentStorage

from cspine.core.anatomy import vertebra
from cspine.core.findings import Finding, Severity
from cspine.core.geometry import resample_labels
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.derived import ObjectKind, ObjectSettings, Origin, read_origin, reference, save_object, start_object
from cspine.dicom.phi_logging import suppress_phi_logging
from cspine.dicom.sr import device_context

KIND = ObjectKind(KeyObjectSelectionDocumentStorage, "KO", 905, "Vertebrae with findings")
#: Purpose of reference; the template names none, and some readers expect one.
_SOURCE = hd.sr.CodedConcept("260753009", "SCT", "Source")
_CONTAINS = hd.sr.RelationshipTypeValues.CONTAINS


@dataclass(frozen=True, eq=False)
class KeyImage:
    """An image that the document refers to.

    Parameters
    ----------
    header : Dataset
        Its header; SOP class, instance, series and study are taken from it.
    frame : int or None
        Number of the frame of a multi-frame image, from 1 on.
    """

    header: Dataset
    frame: int | None = None

    @property
    def key(self) -> tuple[str, int]:
        """Instance and frame."""
        return str(self.header.SOPInstanceUID), self.frame or 0


def write_key_objects(
    findings: Iterable[Finding],
    labels: LabelVolume,
    ct: CtVolume,
    settings: ObjectSettings,
    path: Path,
    pictures: Sequence[Path] = (),
) -> str | None:
    """Write the document and return its SOP Instance UID; None, and no file, where there is nothing to refer to.

    Parameters
    ----------
    findings : iterable of Finding
        Findings of the result. Those that name a level and are more than information select a slice each: the one that
        shows most of that vertebra.
    labels : LabelVolume
        Labels on any grid; they are resampled to the planes of the source series.
    ct : CtVolume
        The image, with its source.
    settings : ObjectSettings
        Clock, parameters, remark.
    path : Path
        File to write; it appears when complete, or not at all.
    pictures : sequence of Path
        Objects of the same run that are selected too, such as its Secondary Capture, if there is any finding.

    Raises
    ------
    DicomSourceNeededError, InputError, MissingAttributeError
        As `derived.read_origin`; OutputError if the file cannot be written.
    """
    about = [f for f in findings if f.level is not None and f.severity is not Severity.INFO]
    origin = read_origin(ct)
    images = _key_slices(about, labels, origin)
    if not images:
        return None
    with suppress_phi_logging():
        images += [KeyImage(dcmread(picture, stop_before_pixels=True)) for picture in pictures]
    text = "\r\n".join(f"{f.code}: {f.sentence}" for f in about)
    content = json.dumps([text, *(image.key for image in images)]).encode("utf-8")
    dataset, identity = start_object(KIND, origin, labels.model, settings, content)
    dataset.ReferencedPerformedProcedureStepSequence = ItemSequence()
    dataset.ContentDate, dataset.ContentTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.CurrentRequestedProcedureEvidenceSequence = ItemSequence([_evidence(images)])
    dataset.update(_selection(text, images, device_context(identity)))
    return save_object(dataset, path)


def _key_slices(about: Sequence[Finding], labels: LabelVolume, origin: Origin) -> list[KeyImage]:
    """Return the slice of each vertebra that findings name, without repetition, in the order of the slices."""
    on_source = resample_labels(labels.labels_zyx, labels.grid, origin.source.grid)
    by_uid = {str(header.SOPInstanceUID): header for header in origin.headers}
    chosen = set()
    for level in {finding.level for finding in about if finding.level is not None}:
        areas = (on_source == vertebra(level).label).sum(axis=(1, 2))
        if areas.any():
            chosen.add(int(np.argmax(areas)))
    parts = [origin.source.slices[index] for index in sorted(chosen)]
    return [KeyImage(by_uid[part.sop_instance_uid], None if part.frame is None else part.frame + 1) for part in parts]


def _selection(text: str, images: Sequence[KeyImage], observer: Any) -> Dataset:
    """Return the content of TID 2010: what selected the images, why, and the images."""
    root = hd.sr.ContainerContentItem(codes.DCM.OfInterest, is_content_continuous=False, template_id="2010")
    items = [*observer]
    items.append(hd.sr.TextContentItem(codes.DCM.KeyObjectDescription, text, relationship_type=_CONTAINS))
    items += [
        hd.sr.ImageContentItem(
            _SOURCE,
            str(image.header.SOPClassUID),
            str(image.header.SOPInstanceUID),
            referenced_frame_numbers=image.frame,
            relationship_type=_CONTAINS,
        )
        for image in images
    ]
    root.ContentSequence = ItemSequence(items)
    return root


def _evidence(images: Sequence[KeyImage]) -> Dataset:
    """Return the study with every series and instance that is referred to (PS3.3 C.17.2)."""
    study = Dataset()
    study.StudyInstanceUID = images[0].header.StudyInstanceUID
    study.ReferencedSeriesSequence = ItemSequence()
    for uid in dict.fromkeys(str(image.header.SeriesInstanceUID) for image in images):
        series = Dataset()
        series.SeriesInstanceUID = uid
        headers = {str(i.header.SOPInstanceUID): i.header for i in images if i.header.SeriesInstanceUID == uid}
        series.ReferencedSOPSequence = ItemSequence(reference(header) for header in headers.values())
        study.ReferencedSeriesSequence.append(series)
    return study
