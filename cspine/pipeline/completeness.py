"""Findings on whether a result is based on the complete series, from headers, the sender and earlier results."""

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
    ORDER_CONTRADICTED,
    SUPERSEDES,
    UNATTRIBUTED_FILES,
    Finding,
)
from cspine.core.volumes import CtVolume, ModelIdentity
from cspine.dicom.completeness import MissingInstances, find_missing_instances
from cspine.dicom.earlier_results import (
    EarlierResult,
    algorithm_name,
    find_earlier_results,
    superseded,
    with_other_slices,
)
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series
from cspine.dicom.slice_order import contradicting_order
from cspine.io.tables import counted


@dataclass(frozen=True)
class StudyContext:
    """What a study contains beside the slices of the chosen series.

    Parameters
    ----------
    earlier : tuple of EarlierResult
        Earlier segmentations of the series by cspine.
    absences : MissingInstances
        Signs that the series is incomplete.
    unattributed : int
        Damaged files of the input that may be slices of any series.
    contradiction : str
        How the positions of the slices contradict their numbers; empty if they do not.
    """

    earlier: tuple[EarlierResult, ...]
    absences: MissingInstances
    unattributed: int = 0
    contradiction: str = ""


def inspect_study(study: Scan, series: Series) -> StudyContext:
    """Return the earlier results of a series and the signs that it is incomplete.

    Parameters
    ----------
    study : Scan
        The study.
    series : Series
        The chosen series.
    """
    return StudyContext(
        find_earlier_results(study, series),
        find_missing_instances(study, series),
        sum(damaged.is_unattributed for damaged in study.damaged),
        contradicting_order(series),
    )


def superseded_results(
    context: StudyContext, ct: CtVolume, model: ModelIdentity | None, levels: Iterable[Vertebra] | None = None
) -> tuple[EarlierResult, ...]:
    """Return the earlier results that a result of this model on this volume supersedes.

    Parameters
    ----------
    context : StudyContext
        Context of the series.
    ct : CtVolume
        The volume, with its source.
    model : ModelIdentity or None
        The model; without one, no result is superseded.
    levels : iterable of Vertebra, optional
        The levels that are written; all if omitted. A result with other levels is not superseded.
    """
    if model is None:
        return ()
    wanted = None if levels is None else frozenset(level.name for level in levels)
    return superseded(context.earlier, _slices(ct), algorithm_name(model), wanted)


def completeness_findings(
    context: StudyContext,
    ct: CtVolume,
    model: ModelIdentity | None,
    levels: Iterable[Vertebra] | None = None,
    *,
    incomplete_transfer: bool,
) -> tuple[Finding, ...]:
    """Return the findings on whether the result is based on the complete series.

    Parameters
    ----------
    context : StudyContext
        Context of the series.
    ct : CtVolume
        The volume, with its source.
    model : ModelIdentity or None
        The model of the result.
    levels : iterable of Vertebra, optional
        As in `superseded_results`.
    incomplete_transfer : bool
        True if the caller knows that the transfer of the study was incomplete.
    """
    slices = _slices(ct)
    findings = [
        SUPERSEDES.about(f"{len(result.sources)} of the {len(slices)} slices were used by {_name(result)}.")
        for result in superseded_results(context, ct, model, levels)
    ]
    findings += [
        FEWER_SLICES.about(
            f"{len(result.sources - slices)} of the {len(result.sources)} slices of {_name(result)} were not used; "
            f"this result has {len(slices)}."
        )
        for result in with_other_slices(context.earlier, slices)
    ]
    if incomplete_transfer:
        findings.append(INCOMPLETE_TRANSFER.about("The transfer of the study ended before it was complete."))
    if context.unattributed:
        files = counted(context.unattributed, "damaged file")
        findings.append(UNATTRIBUTED_FILES.about(f"{files} of the input could not be attributed to a series."))
    if context.contradiction:
        findings.append(ORDER_CONTRADICTED.about(f"{context.contradiction}."))
    findings += [INSTANCES_MISSING.about(f"{sign}.") for sign in context.absences.stated]
    findings += [LATE_INSTANCE_NUMBERS.about(f"{sign}.") for sign in context.absences.hinted]
    return tuple(findings)


def _slices(ct: CtVolume) -> frozenset[str]:
    return frozenset(part.sop_instance_uid for part in ct.source.slices) if ct.source else frozenset()


def _name(result: EarlierResult) -> str:
    return f"the earlier result {hashed(result.sop_instance_uid)}"
