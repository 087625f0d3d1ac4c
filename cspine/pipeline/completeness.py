"""Whether a result was made of the whole series: what headers, the sender and earlier results say, as findings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cspine.core.anatomy import Vertebra
from cspine.core.errors import hashed
from cspine.core.findings import (
    FEWER_SLICES,
    INCOMPLETE_TRANSFER,
    INSTANCES_MISSING,
    LATE_INSTANCE_NUMBERS,
    SUPERSEDES,
    Finding,
)
from cspine.core.volumes import CtVolume, ModelIdentity
from cspine.dicom.completeness import MissingInstances, find_missing_instances
from cspine.dicom.earlier_results import EarlierResult, find_earlier_results, superseded, with_other_slices
from cspine.dicom.scan import Scan
from cspine.dicom.seg import algorithm_name
from cspine.dicom.series import Series


@dataclass(frozen=True)
class Surroundings:
    """What the study holds beside the slices of the chosen series.

    Parameters
    ----------
    earlier : tuple of EarlierResult
        Segmentations of the series that cspine wrote before.
    absences : MissingInstances
        Signs that the series is not whole.
    """

    earlier: tuple[EarlierResult, ...]
    absences: MissingInstances


def look_around(study: Scan, series: Series) -> Surroundings:
    """Look for earlier results of a series and for signs that it is not whole.

    Parameters
    ----------
    study : Scan
        The study.
    series : Series
        The series that is worked on.
    """
    return Surroundings(find_earlier_results(study, series), find_missing_instances(study, series))


def superseded_results(
    surroundings: Surroundings, ct: CtVolume, model: ModelIdentity | None, levels: Iterable[Vertebra] | None = None
) -> tuple[EarlierResult, ...]:
    """Return the earlier results that one of this model on this volume takes the place of.

    Parameters
    ----------
    surroundings : Surroundings
        Of the series.
    ct : CtVolume
        The volume, with its source.
    model : ModelIdentity or None
        The model; no result is taken the place of without one.
    levels : iterable of Vertebra, optional
        The levels that are written; all where they are left out. A result with others stays.
    """
    if model is None:
        return ()
    wanted = None if levels is None else frozenset(level.name for level in levels)
    return superseded(surroundings.earlier, _slices(ct), algorithm_name(model), wanted)


def wholeness_findings(
    surroundings: Surroundings,
    ct: CtVolume,
    model: ModelIdentity | None,
    levels: Iterable[Vertebra] | None = None,
    *,
    sender_broke_off: bool,
) -> tuple[Finding, ...]:
    """State whether the result was made of the whole series.

    Parameters
    ----------
    surroundings : Surroundings
        Of the series.
    ct : CtVolume
        The volume, with its source.
    model : ModelIdentity or None
        The model that drew the result.
    levels : iterable of Vertebra, optional
        As of `superseded_results`.
    sender_broke_off : bool
        True where the caller knows that the sender of the study broke off.
    """
    slices = _slices(ct)
    findings = [
        SUPERSEDES.about(f"{len(result.sources)} of the {len(slices)} slices were seen by {_name(result)}.")
        for result in superseded_results(surroundings, ct, model, levels)
    ]
    findings += [
        FEWER_SLICES.about(
            f"{len(result.sources - slices)} of the {len(result.sources)} slices of {_name(result)} were not used; "
            f"this result has {len(slices)}."
        )
        for result in with_other_slices(surroundings.earlier, slices)
    ]
    if sender_broke_off:
        findings.append(INCOMPLETE_TRANSFER.about("The sender broke off before the study was whole."))
    findings += [INSTANCES_MISSING.about(f"{sign}.") for sign in surroundings.absences.stated]
    findings += [LATE_INSTANCE_NUMBERS.about(f"{sign}.") for sign in surroundings.absences.hinted]
    return tuple(findings)


def _slices(ct: CtVolume) -> frozenset[str]:
    return frozenset(part.sop_instance_uid for part in ct.source.slices) if ct.source else frozenset()


def _name(result: EarlierResult) -> str:
    return f"the earlier result {hashed(result.sop_instance_uid)}"
