"""Segmentations that cspine wrote of the same series before: what each has seen, and how a new one names them.

A later run with more slices names the results that it takes the place of. DICOM has no "supersedes" for images
(Predecessor Documents Sequence is for structured reports), so their series go into (0008,1250) *Related Series
Sequence*.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from pydicom import Dataset, dcmread
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.uid import UID, SegmentationStorage

from cspine.core.errors import hashed
from cspine.dicom.headers import InstanceHeader
from cspine.dicom.scan import DAMAGE, Scan
from cspine.dicom.series import Series

#: (0008,0070) *Manufacturer* and (0008,1090) *Manufacturer's Model Name* of what cspine writes.
MANUFACTURER = MODEL_NAME = "cspine"

# The second is Label Map Segmentation Storage, which pydicom does not name yet.
_SEGMENTATIONS = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
# The segments say which model drew them; frames and pixels are never read.
_WANTED = ["Manufacturer", "ManufacturerModelName", "ReferencedSeriesSequence", "SegmentSequence"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EarlierResult:
    """A segmentation that cspine wrote of the series in an earlier run.

    Parameters
    ----------
    study_uid, series_uid, sop_instance_uid : str
        UIDs of the segmentation.
    algorithm : str
        (0066,0036) *Algorithm Name* of its segments: the model, without its version.
    sources : frozenset of str
        SOP Instance UIDs of the slices that it was made of.
    levels : frozenset of str
        (0062,0005) *Segment Label* of its segments.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    algorithm: str
    sources: frozenset[str]
    levels: frozenset[str]


def find_earlier_results(study: Scan, series: Series) -> tuple[EarlierResult, ...]:
    """Find cspine's segmentations of a series among the files of its study.

    Parameters
    ----------
    study : Scan
        The study.
    series : Series
        The series that is worked on.

    Returns
    -------
    tuple of EarlierResult
        Sorted by UID. Segmentations of other makers and of other series are left out, and what cannot be read too.
    """
    found: dict[str, EarlierResult] = {}
    for holder in study.series:
        for instance in holder.instances:
            if instance.sop_class_uid in _SEGMENTATIONS and (result := _read(instance, series.series_uid)) is not None:
                found[result.sop_instance_uid] = result
    return tuple(found[uid] for uid in sorted(found))


def _read(instance: InstanceHeader, source_series_uid: str) -> EarlierResult | None:
    try:
        dataset = dcmread(instance.path, stop_before_pixels=True, force=True, specific_tags=list(_WANTED))
        if (dataset.get("Manufacturer"), dataset.get("ManufacturerModelName")) != (MANUFACTURER, MODEL_NAME):
            return None
        sources = frozenset(
            str(reference.ReferencedSOPInstanceUID)
            for referenced in dataset.ReferencedSeriesSequence
            if referenced.SeriesInstanceUID == source_series_uid
            for reference in referenced.ReferencedInstanceSequence
        )
        names = _drawn_by(dataset)
    except DAMAGE as error:
        _log.warning(
            "segmentation %s cannot be read (%s): it counts as absent",
            hashed(instance.sop_instance_uid), type(error).__name__,
        )  # fmt: skip
        return None
    if not sources:
        return None
    algorithm = next(iter(names.values()), "")
    return EarlierResult(
        instance.study_uid, instance.series_uid, instance.sop_instance_uid, algorithm, sources, frozenset(names)
    )


def _drawn_by(dataset: Dataset) -> dict[str, str]:
    """Return the name of the algorithm of each segment by its label; nothing for a segmentation that no model drew.

    The background of a label map is a segment of its own that no algorithm drew.
    """
    return {
        str(segment.SegmentLabel): str(identification[0].AlgorithmName)
        for segment in dataset.SegmentSequence
        if (identification := segment.get("SegmentationAlgorithmIdentificationSequence"))
    }


def superseded(
    earlier: Iterable[EarlierResult], slices: frozenset[str], algorithm: str, wanted: frozenset[str] | None = None
) -> tuple[EarlierResult, ...]:
    """Return the earlier results that a new one takes the place of.

    Those of the same model that saw part of its slices and no other. The same slices again are a repetition, which
    takes no one's place; another model's result is another opinion; and levels that are not wanted are not made up for.

    Parameters
    ----------
    earlier : iterable of EarlierResult
        Of the same series.
    slices : frozenset of str
        SOP Instance UIDs that the new result is made of.
    algorithm : str
        Its (0066,0036) *Algorithm Name*.
    wanted : frozenset of str, optional
        Names of the levels that it may hold; all where it is left out.
    """
    return tuple(
        e for e in earlier if e.sources < slices and e.algorithm == algorithm and (wanted is None or e.levels <= wanted)
    )


def with_other_slices(earlier: Iterable[EarlierResult], slices: frozenset[str]) -> tuple[EarlierResult, ...]:
    """Return the earlier results, of any model, that saw slices which the new one does not; as `superseded`."""
    return tuple(e for e in earlier if not e.sources <= slices)


def name_superseded(segmentation: Dataset, results: Iterable[EarlierResult]) -> None:
    """Write the series of superseded results into (0008,1250) *Related Series Sequence* (PS3.3 C.7.3.1).

    The purpose is the one of CID 7210 that holds, (122401, DCM, "Same Anatomy"). Instances are not referenced:
    viewers take the series of (0008,1115) *Referenced Series Sequence* for the source.

    Parameters
    ----------
    segmentation : Dataset
        The new object, changed in place.
    results : iterable of EarlierResult
        As `superseded` gives them.
    """
    series = {result.series_uid: result.study_uid for result in results}
    if not series:
        return
    items = []
    for series_uid, study_uid in series.items():
        purpose = Dataset()
        code = codes.DCM.SameAnatomy
        purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = (
            code.value, code.scheme_designator, code.meaning,
        )  # fmt: skip
        item = Dataset()
        item.StudyInstanceUID = UID(study_uid)
        item.SeriesInstanceUID = UID(series_uid)
        item.PurposeOfReferenceCodeSequence = Sequence([purpose])
        items.append(item)
    segmentation.RelatedSeriesSequence = Sequence(items)
