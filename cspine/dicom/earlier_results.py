"""Earlier segmentations by cspine of the same series: the slices they are based on, and references to them.

A later run with more slices references the results that it supersedes. DICOM has no "supersedes" for images
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
from cspine.core.volumes import ModelIdentity
from cspine.dicom.descriptions import long_string
from cspine.dicom.headers import InstanceHeader
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series
from cspine.io.foreign import raise_system_limit

#: End of the names of models that are for demonstration.
_DEMONSTRATION = " (DEMONSTRATION)"
#: (0008,0070) *Manufacturer* and (0008,1090) *Manufacturer's Model Name* of objects that cspine writes.
MANUFACTURER = MODEL_NAME = "cspine"

# The second is Label Map Segmentation Storage, which pydicom does not name yet.
_SEGMENTATIONS = (SegmentationStorage, "1.2.840.10008.5.1.4.1.1.66.7")
# The segments name the model; frames and pixels are never read.
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
        SOP Instance UIDs of the slices that it is based on.
    levels : frozenset of str
        (0062,0005) *Segment Label* of its segments.
    tracking : tuple of (str, str)
        Label and (0062,0021) *Tracking UID* of each segment that has one.
    """

    study_uid: str
    series_uid: str
    sop_instance_uid: str
    algorithm: str
    sources: frozenset[str]
    levels: frozenset[str]
    tracking: tuple[tuple[str, str], ...] = ()


def find_earlier_results(study: Scan, series: Series) -> tuple[EarlierResult, ...]:
    """Return the segmentations of a series by cspine among the files of its study.

    Parameters
    ----------
    study : Scan
        The study.
    series : Series
        The series that is processed.

    Returns
    -------
    tuple of EarlierResult
        Sorted by UID, without segmentations by other manufacturers, of other series, or that cannot be read.
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
        names = _algorithms(dataset)
        tracking = _tracking(dataset)
    except Exception as error:  # whatever a foreign file makes pydicom raise
        raise_system_limit(error)
        _log.warning(
            "segmentation %s cannot be read (%s) and is ignored",
            hashed(instance.sop_instance_uid), type(error).__name__,
        )  # fmt: skip
        return None
    if not sources:
        return None
    algorithm = next(iter(names.values()), "")
    return EarlierResult(
        instance.study_uid,
        instance.series_uid,
        instance.sop_instance_uid,
        algorithm,
        sources,
        frozenset(names),
        tracking,
    )


def _algorithms(dataset: Dataset) -> dict[str, str]:
    """Return the name of the algorithm of each segment by its label; empty for a manual segmentation.

    The background of a label map is a segment of its own without an algorithm.
    """
    return {
        str(segment.SegmentLabel): str(identification[0].AlgorithmName)
        for segment in dataset.SegmentSequence
        if (identification := segment.get("SegmentationAlgorithmIdentificationSequence"))
    }


def _tracking(dataset: Dataset) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(segment.SegmentLabel), str(segment.TrackingUID))
        for segment in dataset.SegmentSequence
        if segment.get("TrackingUID")
    )


def superseded(
    earlier: Iterable[EarlierResult], slices: frozenset[str], algorithm: str, wanted: frozenset[str] | None = None
) -> tuple[EarlierResult, ...]:
    """Return the earlier results that a new one supersedes.

    These are results of the same model based on a part of its slices and no others. The same slices are a repetition,
    which supersedes nothing; another model gives a second opinion; results with levels not requested now are kept.

    Parameters
    ----------
    earlier : iterable of EarlierResult
        Of the same series.
    slices : frozenset of str
        SOP Instance UIDs that the new result is based on.
    algorithm : str
        Its (0066,0036) *Algorithm Name*.
    wanted : frozenset of str, optional
        Names of the levels that it may contain; all if omitted.
    """
    return tuple(
        e for e in earlier if e.sources < slices and e.algorithm == algorithm and (wanted is None or e.levels <= wanted)
    )


def with_other_slices(earlier: Iterable[EarlierResult], slices: frozenset[str]) -> tuple[EarlierResult, ...]:
    """Return the earlier results of any model based on slices that the new one lacks.

    Parameters
    ----------
    earlier : iterable of EarlierResult
        Results that were found in the study.
    slices : frozenset of str
        SOP Instance UIDs of the slices of the new result.
    """
    return tuple(e for e in earlier if not e.sources <= slices)


def name_superseded(segmentation: Dataset, results: Iterable[EarlierResult]) -> None:
    """Add the series of superseded results to (0008,1250) *Related Series Sequence* (PS3.3 C.7.3.1).

    The purpose is (122401, DCM, "Same Anatomy"), the only code of CID 7210 that applies. Instances are not referenced:
    viewers take the series of (0008,1115) *Referenced Series Sequence* for the source.

    Parameters
    ----------
    segmentation : Dataset
        The new object, modified in place.
    results : iterable of EarlierResult
        As `superseded` returns them.
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


def algorithm_name(model: ModelIdentity) -> str:
    """Return (0066,0036) *Algorithm Name* of the segments that a model predicts; a long name keeps its mark.

    Parameters
    ----------
    model : ModelIdentity
        The model; the name of a demonstration model ends with a mark.
    """
    return long_string(model.name, _DEMONSTRATION if model.demonstration else "")


def named_model(algorithm: str, version: str) -> ModelIdentity:
    """Return the model that an *Algorithm Name* and *Version* name; its checksum is unknown.

    Parameters
    ----------
    algorithm : str
        (0066,0036) *Algorithm Name*, as `algorithm_name` returns it.
    version : str
        (0066,0031) *Algorithm Version*.

    Examples
    --------
    >>> named_model("neck (DEMONSTRATION)", "1").name, named_model("neck (DEMONSTRATION)", "1").demonstration
    ('neck', True)
    """
    name = algorithm.removesuffix(_DEMONSTRATION)
    return ModelIdentity(name, version, checksum="", demonstration=name != algorithm)
