"""Select the series to segment, and state for every series why it was chosen or rejected."""

from __future__ import annotations

from dataclasses import dataclass

from cspine.core.errors import (
    GeometryError,
    InputError,
    NoSuitableSeriesError,
    SeveralPatientsError,
    UnknownSeriesError,
    hashed,
)
from cspine.dicom.rules import Criterion, Requirements, Rules
from cspine.dicom.scan import Scan
from cspine.dicom.series import Series
from cspine.dicom.usable import refusal, states_hounsfield

# Names of the requirements in reasons.
_NAMES = {
    "modality": "modality",
    "image_type": "image type",
    "kernel": "kernel",
    "description": "series description",
    "slice_thickness_mm": "slice thickness (mm)",
    "body_part": "body part",
    "coverage_mm": "coverage (mm)",
    "orientation": "orientation",
    "slices": "number of slices",
}
#: Properties of the requirements that have another name: thin slices far apart resolve nothing between them.
_PROPERTIES = {"slice_thickness_mm": "resolution_mm"}


@dataclass(frozen=True)
class SeriesDecision:
    """The decision on a series.

    Parameters
    ----------
    series : Series
        The series.
    suitable : bool
        True if it meets every requirement.
    chosen : bool
        True for the series that is segmented.
    reason : str
        Reason, with the values and the rules that decided.
    """

    series: Series
    suitable: bool
    chosen: bool
    reason: str


@dataclass(frozen=True)
class _Fitness:
    """What the headers of a series that meets the rules show beside them.

    Parameters
    ----------
    problem : str
        Why the slices do not form a volume; empty if they do.
    refused : str
        Why no run can use the series, whatever its geometry; empty if one can.
    hounsfield : bool
        True if the headers say that the values are Hounsfield units.
    """

    problem: str
    refused: str
    hounsfield: bool

    @property
    def order(self) -> tuple[float, float]:
        """What is compared before the criteria of the rules, the smaller the better."""
        return float(bool(self.refused)), float(not self.hounsfield)

    @property
    def reservation(self) -> str:
        """What speaks against the series; empty if nothing does."""
        if self.problem or self.refused:
            return self.problem or self.refused
        return "" if self.hounsfield else _NOT_STATED


_NOT_STATED = "no attribute states that the values are Hounsfield units"


@dataclass(frozen=True)
class Selection:
    """The chosen series and the decisions on all series.

    Parameters
    ----------
    chosen : Series
        The series to segment.
    decisions : tuple of SeriesDecision
        One for each series, in the order of the scan.
    """

    chosen: Series
    decisions: tuple[SeriesDecision, ...]


def select_series(scan: Scan, rules: Rules, series_uid: str | None = None) -> Selection:
    """Return the series of a study that the rules rank first, or the requested one.

    Parameters
    ----------
    scan : Scan
        One study, as `scan.one_study` returns it.
    rules : Rules
        Requirements and ranking.
    series_uid : str, optional
        (0020,000E) of the series to choose regardless of the rules.

    Returns
    -------
    Selection

    Raises
    ------
    NoSuitableSeriesError
        If no series meets the requirements; the message lists the reasons.
    UnknownSeriesError
        If ``series_uid`` is not among the series.
    SeveralPatientsError
        If ``series_uid`` belongs to series of several studies.
    """
    decisions = evaluate_series(scan, rules, series_uid)
    chosen = next((decision.series for decision in decisions if decision.chosen), None)
    if chosen is None:
        reasons = "; ".join(f"series {_label(decision.series)}: {decision.reason}" for decision in decisions)
        raise NoSuitableSeriesError(f"none of {len(decisions)} series meets the rules: {reasons}")
    return Selection(chosen, decisions)


def evaluate_series(scan: Scan, rules: Rules, series_uid: str | None = None) -> tuple[SeriesDecision, ...]:
    """Return the decision on every series, even if none is chosen.

    Parameters
    ----------
    scan : Scan
        Scan of one study.
    rules : Rules
        Selection rules.
    series_uid : str, optional
        Series that the user requested; the rules are then ignored.

    Returns
    -------
    tuple of SeriesDecision
        One decision for each series, in the order of the scan; at most one of them is chosen.

    Raises
    ------
    UnknownSeriesError, SeveralPatientsError
        As in `select_series`.
    """
    if series_uid is not None:
        return _choose_by_uid(scan, series_uid)
    rejections = {id(series): _rejections(series, rules) for series in scan.series}
    fitting = [series for series in scan.series if not rejections[id(series)]]
    fitness = {id(series): _fitness(series) for series in fitting}
    ranked = sorted(fitting, key=lambda series: _rank(series, rules, fitness[id(series)]))
    decisions = []
    for series in scan.series:
        if rejections[id(series)]:
            decisions.append(SeriesDecision(series, False, False, "rejected: " + ", ".join(rejections[id(series)])))
            continue
        position = next(i for i, other in enumerate(ranked) if other is series)
        reason = _ranking_reason(position, ranked, rules, fitness)
        decisions.append(SeriesDecision(series, True, position == 0, reason))
    return tuple(decisions)


def _choose_by_uid(scan: Scan, series_uid: str) -> tuple[SeriesDecision, ...]:
    wanted = [series for series in scan.series if series.series_uid == series_uid]
    if not wanted:
        raise UnknownSeriesError(f"series {hashed(series_uid)} is not among the {len(scan.series)} series of the input")
    if len(wanted) > 1:
        raise SeveralPatientsError(f"series {hashed(series_uid)} is in {len(wanted)} studies of the input")
    if not wanted[0].planes:
        raise NoSuitableSeriesError(f"series {_label(wanted[0])} contains no CT images")
    reservation = _fitness(wanted[0]).reservation
    reason = f"chosen by UID; but {reservation}" if reservation else "chosen by UID"
    return tuple(
        SeriesDecision(series, series is wanted[0], series is wanted[0], reason)
        if series is wanted[0]
        else SeriesDecision(series, False, False, "not requested")
        for series in scan.series
    )


def _rejections(series: Series, rules: Rules) -> list[str]:
    """Return each requirement that the series does not meet, with its value."""
    require: Requirements = rules.require
    rejections = [
        # A description is free text that may contain names: the rule is reported, the value is not.
        f"{name} does not meet its rule" if field == "description" else f"{name} {rejection}"
        for field, name in _NAMES.items()
        if (condition := getattr(require, field)) is not None
        and (rejection := condition.rejection(getattr(series, _PROPERTIES.get(field, field)))) is not None
    ]
    if require.contrast is not None and series.contrast != require.contrast:
        rejections.append(f"contrast agent is {'stated' if series.contrast else 'not stated'}")
    if not series.planes:
        rejections.append("it contains no image with a position")
    return rejections


def _fitness(series: Series) -> _Fitness:
    error = refusal(series)
    about_slices = isinstance(error, (GeometryError, InputError))
    text = str(error) if error is not None else ""
    return _Fitness(
        problem=text if about_slices else "",
        refused="" if about_slices else text,
        hounsfield=states_hounsfield(series),
    )


def _criterion(series: Series, criterion: Criterion, rules: Rules, problem: str) -> float | str:
    """Return the value that a criterion compares, the smaller the better."""
    if criterion == "regular":
        return float(bool(problem))
    if criterion == "thinner":
        return round(series.resolution_mm or 1e3, 1)
    if criterion == "bone_kernel":
        return float(rules.bone_kernel.rejection(series.kernel) is not None)
    if criterion == "covers_more":
        return -float(round(series.coverage_mm / 10))
    if criterion == "covers_far_more":
        return -float(round(series.coverage_mm / 100))
    return "".join(chr(0x10FFFF - ord(c)) for c in series.date_time) + chr(0x10FFFF)


def _rank(series: Series, rules: Rules, fitness: _Fitness) -> tuple[float | str, ...]:
    compared = tuple(_criterion(series, criterion, rules, fitness.problem) for criterion in rules.rank)
    number = series.series_number if series.series_number is not None else 10**9
    last = (-float(series.slices), float(number), series.series_uid, series.study_uid)
    return (*fitness.order, *compared, *last)


def _ranking_reason(position: int, ranked: list[Series], rules: Rules, fitness: dict[int, _Fitness]) -> str:
    series, best = ranked[position], ranked[0]
    mine, first = fitness[id(series)], fitness[id(best)]
    if position == 0:
        others = f", first of {len(ranked)} suitable series" if len(ranked) > 1 else ""
        facts = f"chosen: {_facts(series, rules)}{others}"
        return f"{facts}; but {mine.reservation}" if mine.reservation else facts
    rank = f"suitable, rank {position + 1} of {len(ranked)}"
    if mine.order != first.order:
        return f"{rank}; {mine.refused or _NOT_STATED}"
    for criterion in rules.rank:
        if _criterion(series, criterion, rules, mine.problem) != _criterion(best, criterion, rules, first.problem):
            why = f"{criterion}: {_fact(series, criterion, rules, mine.problem)}"
            against = _fact(best, criterion, rules, first.problem)
            return f"{rank}; {why}, versus {against} of series {_label(best)}"
    return f"{rank}; equal to series {_label(best)} but for slices and UID"


def _facts(series: Series, rules: Rules) -> str:
    stated: list[Criterion] = [c for c in rules.rank if c in ("thinner", "bone_kernel", "covers_more")]
    return ", ".join(_fact(series, criterion, rules, "") for criterion in stated) or "suitable"


def _fact(series: Series, criterion: Criterion, rules: Rules, problem: str) -> str:
    if criterion == "regular":
        return problem or "a regular stack"
    if criterion == "thinner":
        return f"{_millimetres(series)} slices"
    if criterion == "bone_kernel":
        is_bone = rules.bone_kernel.rejection(series.kernel) is None
        return f"{'bone' if is_bone else 'not a bone'} kernel{'' if series.kernel else ' (not stated)'}"
    if criterion in ("covers_more", "covers_far_more"):
        return f"{series.coverage_mm:.0f} mm covered"
    return "a later date" if series.date_time else "no date"


def _millimetres(series: Series) -> str:
    """Return the slice thickness, with the distance between slices where it is larger."""
    thickness, resolution = series.slice_thickness_mm, series.resolution_mm or 0.0
    if thickness is not None and resolution > 1.05 * thickness:
        return f"{thickness:g} mm (every {resolution:g} mm)"
    return f"{resolution:g} mm"


def _label(series: Series) -> str:
    """Return the series number, if any, and the hashed UID, which do not identify the patient."""
    number = "" if series.series_number is None else f"{series.series_number} "
    return f"{number}({hashed(series.series_uid)})"
