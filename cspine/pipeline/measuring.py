"""The measurements of a run: of its vertebrae, against an earlier result, and what was looked for in vain."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cspine.core.anatomy import OPTIONAL_LEVELS, Vertebra
from cspine.core.findings import Finding
from cspine.core.volumes import CtVolume, LabelVolume, labels_present
from cspine.dicom.headers import UNKNOWN_PATIENT
from cspine.dicom.scan import Scan
from cspine.dicom.source_facts import read_source_facts
from cspine.measurements.change import Change, EarlierValues, changes_since
from cspine.report.earlier_measurements import find_prior, read_prior

if TYPE_CHECKING:
    from cspine.measurements.spine import SpineMeasurements


@dataclass(frozen=True)
class Measured:
    """Everything that was measured.

    Parameters
    ----------
    spine : SpineMeasurements
        The measurements.
    not_found : tuple of str
        Levels that were looked for and not found, from head to foot.
    changes : tuple of Change
        Changes since the earlier result.
    prior : EarlierValues or None
        The earlier result.
    findings : tuple of Finding
        What the measurements say about the shape of vertebrae.
    """

    spine: SpineMeasurements
    not_found: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()
    prior: EarlierValues | None = None
    findings: tuple[Finding, ...] = ()


def prior_result(
    named: Path | None,
    study: Scan | None,
    patient: str | None,
    study_date: str = "",
    images: Collection[str] = (),
) -> EarlierValues | None:
    """Return the earlier result: the one that a user names, or the newest in the study; None if there is none.

    Parameters
    ----------
    named : Path or None
        Output folder or report of an earlier run.
    study : Scan or None
        The study.
    patient : str or None
        Key of the patient; None where the image does not come from DICOM.
    study_date : str
        Date of the study, YYYYMMDD; empty if unknown.
    images : collection of str
        SOP Instance UIDs of the images, whose own report is no earlier result while there is another.

    Raises
    ------
    PriorResultError
        If the named one cannot be compared with.
    """
    if named is not None:
        return read_prior(named, _known(patient), study_date, images)
    return find_prior(study, images) if study is not None else None


def prior_of_image(named: Path | None, ct: CtVolume) -> EarlierValues | None:
    """Return the earlier result that a user names for an image that no scan led to; None if none is named.

    Parameters
    ----------
    named : Path or None
        Output folder or report of an earlier run.
    ct : CtVolume
        The image; if it comes from DICOM, the earlier result must be of its patient.

    Raises
    ------
    PriorResultError
        If the named one cannot be compared with.
    InputError
        If a source file can no longer be read.
    """
    if named is None:
        return None
    if ct.source is None:
        return read_prior(named, None)
    facts = read_source_facts(ct.source)
    return read_prior(named, _known(facts.patient_key), facts.study_date, _images_of(ct))


def _known(patient: str | None) -> str | None:
    """Return the key of a patient; None for that of a header without name and identifier."""
    return None if patient == UNKNOWN_PATIENT else patient


def _images_of(ct: CtVolume) -> frozenset[str]:
    return frozenset(part.sop_instance_uid for part in ct.source.slices) if ct.source is not None else frozenset()


def measure(
    labels: LabelVolume,
    ct: CtVolume,
    sex: str = "",
    looked_for: Iterable[Vertebra] = (),
    prior: EarlierValues | None = None,
) -> Measured:
    """Measure the vertebrae of a CT, and compare them with an earlier result.

    Parameters
    ----------
    labels : LabelVolume
        Labels on the grid of ``ct``.
    ct : CtVolume
        The image.
    sex : str
        ``"M"`` or ``"F"``; anything else if unknown.
    looked_for : iterable of Vertebra
        Levels that the model predicts and the user wants; those that not every patient has are not missed.
    prior : EarlierValues, optional
        The earlier result.
    """
    present = set(labels_present(labels.labels_zyx))
    missed = [v.name for v in looked_for if v.label not in present and v.name not in OPTIONAL_LEVELS]
    from cspine.measurements.shape_findings import shape_findings
    from cspine.measurements.spine import measure_spine

    spine = measure_spine(labels, ct, sex)
    images = _images_of(ct)
    changes: tuple[Change, ...] = ()
    if prior is not None:
        acquisition = read_source_facts(ct.source).acquisition if ct.source is not None else ""
        changes = changes_since(spine, prior, images, acquisition)
    return Measured(spine, tuple(missed), changes, prior, shape_findings(spine, labels.resolution_xyz))
