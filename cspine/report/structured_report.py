"""The measurement groups of the structured report: one per vertebra, one per pair of neighbours, one for the column."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import highdicom as hd
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from cspine.core.anatomy import CATEGORY_CODE, GENERIC_VERTEBRA_CODE, REGION_CODES, Region, Vertebra, vertebra
from cspine.core.volumes import CtVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.descriptions import long_string
from cspine.dicom.earlier_results import algorithm_name
from cspine.dicom.seg import SegRecord
from cspine.dicom.source_facts import read_source_facts
from cspine.dicom.source_header import source_of
from cspine.dicom.sr import Group, SrRecord, SrSettings, referenced_segment, sr_identity, write_sr
from cspine.dicom.uids import ObjectIdentity
from cspine.measurements.change import Change
from cspine.measurements.confidence import Confidence
from cspine.measurements.quantities import HU, Quantity
from cspine.measurements.spine import COLUMN, MeasuredValue, SpineMeasurements
from cspine.measurements.vertebra import VertebraMeasurement
from cspine.report import sr_codes

_HAS_PROPERTIES = hd.sr.RelationshipTypeValues.HAS_PROPERTIES
_AUTHORITY = Code("121406", "DCM", "Reference Authority")


@dataclass(frozen=True)
class ReportContent:
    """What a report says.

    Parameters
    ----------
    measurements : SpineMeasurements
        All measurements.
    model : ModelIdentity or None
        The model that predicted the labels.
    not_found : tuple of str
        Levels that were looked for and not found.
    changes : tuple of Change
        Changes since an earlier result.
    tracking : mapping of str to str
        Tracking UID by level or pair, of an earlier result; the segmentation's go first, others get a new one.
    confidence : mapping of str to Confidence
        Confidence in each vertebra by its level, if it is known.
    """

    measurements: SpineMeasurements
    model: ModelIdentity | None = None
    not_found: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    tracking: Mapping[str, str] = field(default_factory=dict)
    confidence: Mapping[str, Confidence] = field(default_factory=dict)

    def as_text(self) -> str:
        """Return everything but the tracking UIDs as one text, from which the UIDs of the report follow."""
        vertebrae = [[v.level, v.label, v.touches_edge, *centroid_mm(v)] for v in self.measurements.vertebrae]
        # Complete, so that nothing that is written beside a value can be missing here.
        values = [asdict(value) for value in self.measurements.values]
        changes = [asdict(change) for change in self.changes]
        trust = {level: asdict(confidence) for level, confidence in self.confidence.items()}
        model = asdict(self.model) if self.model is not None else None
        return json.dumps([vertebrae, values, self.not_found, changes, trust, model])


def centroid_mm(measured: VertebraMeasurement) -> tuple[float, float, float]:
    """Return the centroid as it is reported, rounded to two digits.

    Parameters
    ----------
    measured : VertebraMeasurement
        Measurements of a vertebra.

    Returns
    -------
    tuple of float
        Left, posterior and superior coordinate in LPS, millimetres.
    """
    left, posterior, superior = (round(value, 2) for value in measured.centroid_lps_mm)
    return left, posterior, superior


def report_settings(
    content: ReportContent, clock: Clock, parameters: tuple[tuple[str, str], ...], remark: str
) -> SrSettings:
    """Return the settings of a report object, with the levels and the private scheme of its content.

    Parameters
    ----------
    content : ReportContent
        What the report says.
    clock, parameters, remark
        As `SrSettings` takes them.
    """
    levels = tuple(each.level for each in content.measurements.vertebrae)
    scheme = (sr_codes.SCHEME, sr_codes.SCHEME_NAME, sr_codes.SCHEME_OWNER)
    return SrSettings(clock, content.model, parameters, levels, remark, schemes=(scheme,))


def write_structured_report(
    content: ReportContent, ct: CtVolume, segmentation: SegRecord | None, settings: SrSettings, path: Path
) -> SrRecord:
    """Write the structured report of a run; errors as `dicom.sr.write_sr`.

    Parameters
    ----------
    content : ReportContent
        What it says.
    ct : CtVolume
        The image, with its source.
    segmentation : SegRecord or None
        The segmentation of the same run; its segments are referenced.
    settings : SrSettings
        Settings of the object.
    path : Path
        File to write.
    """
    identity = _identity(content, ct, segmentation, settings)
    known = dict(content.tracking) | (dict(segmentation.tracking) if segmentation is not None else {})
    builder = _Builder(content, ct, segmentation, lambda site: known.get(site) or identity.uid(f"tracking {site}"))
    return write_sr(list(builder.groups()), ct, segmentation, settings, identity, path)


def _identity(
    content: ReportContent, ct: CtVolume, segmentation: SegRecord | None, settings: SrSettings
) -> ObjectIdentity:
    # The header of the image, with its acquisition, is part of the identity anyway.
    text = content.as_text() + (segmentation.sop_instance_uid if segmentation is not None else "")
    identity = sr_identity(ct, settings, text)
    # A repetition of an earlier result keeps its tracking UIDs, and is the same object.
    levels = segmentation.tracking if segmentation is not None else {}
    others = [
        (site, uid)
        for site, uid in sorted(content.tracking.items())
        if site not in levels and uid != identity.uid(f"tracking {site}")
    ]
    return sr_identity(ct, settings, text + json.dumps(others)) if others else identity


class _Builder:
    """Builds the groups of one report."""

    def __init__(self, content: ReportContent, ct: CtVolume, segmentation: SegRecord | None, tracking_uid: Any) -> None:
        self._content = content
        self._ct = ct
        self._segmentation = segmentation
        self._tracking_uid = tracking_uid
        self._acquisition = read_source_facts(source_of(ct)).acquisition

    def groups(self) -> Iterable[Group]:
        measured = self._content.measurements
        for each in measured.vertebrae:
            yield self._vertebra(each)
        for pair in measured.pairs:
            sites = [_site(vertebra(level)) for level in pair.split("/")]
            yield self._plain(pair, sites, self._numbers(pair))
        if measured.at(COLUMN):
            site = hd.sr.FindingSite(Code(*_swapped(REGION_CODES[Region.CERVICAL])))
            yield self._plain(COLUMN, [site], self._numbers(COLUMN))
        for level in self._content.not_found:
            found = hd.sr.QualitativeEvaluation(sr_codes.LEVEL_SEARCH, sr_codes.NOT_DETECTED)
            yield self._plain(level, [_site(vertebra(level))], [], [found])

    def _vertebra(self, measured: VertebraMeasurement) -> Group:
        level = vertebra(measured.level)
        numbers = [*self._numbers(level.name), *_centroid(measured), *self._changes(level.name)]
        if (trust := self._content.confidence.get(level.name)) is not None:
            numbers += _confidence(trust)
        incomplete = sr_codes.YES if measured.touches_edge else sr_codes.NO
        coverage = [hd.sr.QualitativeEvaluation(sr_codes.COVERAGE_INCOMPLETE, incomplete)]
        segment = referenced_segment(self._segmentation, level.name, self._ct)
        if segment is None:
            return self._plain(level.name, [_site(level)], numbers, coverage)
        return hd.sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=segment,
            measurements=numbers,
            qualitative_evaluations=coverage,
            **self._identification(level.name, [_site(level)]),
        )

    def _plain(self, site: str, sites: Sequence[Any], numbers: Sequence[Any], evaluations: Sequence[Any] = ()) -> Group:
        """Return a group without a region: of neighbours, of the column, of a level without a segment."""
        return hd.sr.MeasurementsAndQualitativeEvaluations(
            measurements=list(numbers) or None,
            qualitative_evaluations=list(evaluations) or None,
            **self._identification(site, sites),
        )

    def _identification(self, site: str, sites: Sequence[Any]) -> dict[str, Any]:
        model = self._content.model
        algorithm = (
            hd.sr.AlgorithmIdentification(algorithm_name(model), long_string(model.version))
            if model is not None
            else None
        )
        return {
            "tracking_identifier": hd.sr.TrackingIdentifier(self._tracking_uid(site), site),
            "finding_category": Code(CATEGORY_CODE[0], "SCT", CATEGORY_CODE[1]),
            "finding_type": Code(GENERIC_VERTEBRA_CODE[0], "SCT", GENERIC_VERTEBRA_CODE[1]),
            "finding_sites": list(sites),
            "algorithm_id": algorithm,
        }

    def _numbers(self, site: str) -> list[Any]:
        return [_number(each, self._acquisition) for each in self._content.measurements.at(site)]

    def _changes(self, site: str) -> list[Any]:
        return [_change(each) for each in self._content.changes if each.site == site]


def _site(level: Vertebra) -> Any:
    if level.has_own_code:
        return hd.sr.FindingSite(Code(level.sct_code, "SCT", level.sct_meaning))
    return hd.sr.FindingSite(Code(*_swapped(REGION_CODES[level.region])))


def _swapped(code: tuple[str, str]) -> tuple[str, str, str]:
    return code[0], "SCT", code[1]


def _centroid(measured: VertebraMeasurement) -> list[Any]:
    return [
        hd.sr.Measurement(name=name, value=value, unit=codes.UCUM.Millimeter)
        for name, value in zip(sr_codes.CENTROID, centroid_mm(measured), strict=True)
    ]


def _confidence(trust: Confidence) -> list[Any]:
    pairs = ((sr_codes.LEVEL_PROBABILITY, trust.level_probability), (sr_codes.EXPECTED_DICE, trust.expected_dice))
    return [hd.sr.Measurement(name=name, value=value, unit=codes.UCUM.NoUnits) for name, value in pairs]


def _number(measured: MeasuredValue, acquisition: str) -> Any:
    concept = sr_codes.concept_of(measured.quantity)
    others = _comparison(measured)
    if acquisition and measured.quantity.unit == HU:
        others.append(hd.sr.TextContentItem(sr_codes.ACQUISITION, acquisition, _HAS_PROPERTIES))
    return hd.sr.Measurement(
        name=concept.code,
        value=measured.value,
        unit=sr_codes.unit_of(measured.quantity),
        derivation=concept.derivation,
        properties=_properties(measured.quantity, measured.uncertainty, others),
    )


def _change(change: Change) -> Any:
    earlier = [hd.sr.TextContentItem(sr_codes.EARLIER_RESULT, change.before_date or "unknown", _HAS_PROPERTIES)]
    return hd.sr.Measurement(
        name=sr_codes.change_of(change.quantity),
        value=change.difference,
        unit=sr_codes.unit_of(change.quantity),
        properties=_properties(change.quantity, change.uncertainty, earlier),
    )


def _comparison(measured: MeasuredValue) -> list[Any]:
    """Return the items of TID 311 and TID 312: what the value is compared with, and its z-score."""
    published = measured.published
    if published is None:
        return []
    unit = sr_codes.unit_of(measured.quantity)
    items = [
        (codes.SCT.MeanValueOfPopulation, published.mean, unit),
        (codes.DCM.StandardDeviationOfPopulation, published.sd, unit),
        (codes.DCM.ZScoreOfMeasurement, measured.z_score, codes.UCUM.NoUnits),
        (codes.SCT.NormalRangeLowerLimit, published.low, unit),
        (codes.SCT.NormalRangeUpperLimit, published.high, unit),
    ]
    numbers = [
        hd.sr.NumContentItem(name, round(value, 4), unit, relationship_type=_HAS_PROPERTIES)
        for name, value, unit in items
        if value is not None
    ]
    return [*numbers, hd.sr.TextContentItem(_AUTHORITY, published.citation, _HAS_PROPERTIES)]


def _properties(quantity: Quantity, uncertainty: float | None, others: Sequence[Any]) -> Any:
    """Return the properties of a measurement (TID 310): its uncertainty, in its own unit, and others."""
    properties = hd.sr.MeasurementProperties()
    properties.extend(others)
    if uncertainty is not None:
        properties.append(
            hd.sr.NumContentItem(
                codes.SCT.RangeOfMeasurementUncertainty,
                uncertainty,
                sr_codes.unit_of(quantity),
                relationship_type=_HAS_PROPERTIES,
            )
        )
    return properties if len(properties) else None
