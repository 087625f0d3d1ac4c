"""The result of an evaluation for one case: overlap, whether its levels are correct, and whether findings report it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from cspine.core.anatomy import VERTEBRAE, Vertebra
from cspine.core.findings import NO_CERVICAL_VERTEBRA, NUMBERING_CODES, Finding, Severity
from cspine.core.volumes import LabelVolume
from cspine.study.evaluation.metrics import LevelMatch, Score, match_levels, score_levels, within_their_box

#: Findings that warn a reader about the numbering, where they are warnings or serious.
LEVEL_FINDINGS = NUMBERING_CODES | {NO_CERVICAL_VERTEBRA.code}


@dataclass(frozen=True)
class CaseResult:
    """The result of an evaluation for one case.

    Parameters
    ----------
    case : str
        Its name.
    scores : tuple of Score
        One for each level that the reference or the result has, head to foot.
    matches : tuple of LevelMatch
        Which level each vertebra of the reference got.
    findings : tuple of Finding or None
        Of the run; None where nothing is known of one.
    error : str
        Why the case could not be done; it then counts in no mean.
    subset : str
        Subset of the study that the case belongs to; empty where no table of cases was given.
    fold : int or None
        Fold of a training case.
    orientation : str
        How the reference is turned against the patient; empty if nothing shows that it is.
    """

    case: str
    scores: tuple[Score, ...]
    matches: tuple[LevelMatch, ...]
    findings: tuple[Finding, ...] | None
    error: str = ""
    subset: str = ""
    fold: int | None = None
    orientation: str = ""

    @property
    def mean_dice(self) -> float | None:
        """Return the mean Dice over the levels that either image has."""
        return mean(score.dice for score in self.scores)

    @property
    def mean_hd95_mm(self) -> float | None:
        """Return the mean HD95 over the levels that both images have."""
        return mean(score.hd95_mm for score in self.scores)

    @property
    def mean_assd_mm(self) -> float | None:
        """Return the mean ASSD over the levels that both images have."""
        return mean(score.assd_mm for score in self.scores)

    @property
    def level_accuracy(self) -> float | None:
        """Share of the reference's vertebrae on their own level."""
        return mean(float(match.right) for match in self.matches)

    @property
    def identification_rate(self) -> float | None:
        """Share of the reference's levels that are identified as VerSe defines it."""
        return mean(float(score.identified) for score in self.scores if score.identified is not None)

    @property
    def wrong(self) -> tuple[LevelMatch, ...]:
        """Return the vertebrae on another's level."""
        return tuple(match for match in self.matches if match.wrong)

    @property
    def missed(self) -> tuple[LevelMatch, ...]:
        """Return the vertebrae without a label."""
        return tuple(match for match in self.matches if match.predicted is None)

    @property
    def false(self) -> tuple[str, ...]:
        """Return the predicted levels that the reference lacks."""
        return tuple(score.level for score in self.scores if score.false)

    @property
    def finding_codes(self) -> tuple[str, ...]:
        """Return the codes of the findings that are warnings or serious."""
        found = [f.code for f in self.findings or () if f.severity in (Severity.WARNING, Severity.SERIOUS)]
        return tuple(dict.fromkeys(found))

    @property
    def silent(self) -> bool | None:
        """Return True where a vertebra is on a wrong level and no finding says so; None where there are no findings."""
        if self.findings is None:
            return None
        return bool(self.wrong) and not LEVEL_FINDINGS.intersection(self.finding_codes)

    @property
    def ok(self) -> bool:
        """Return True where every vertebra of the reference is on its own level."""
        return not self.error and all(match.right for match in self.matches)

    @property
    def rank(self) -> tuple[float, ...]:
        """Return the order of the cases, worst first: failed, silent mistakes, wrong levels, missed ones, then Dice."""
        dice = self.mean_dice
        return (
            -float(bool(self.error)),
            -float(bool(self.silent)),
            -len(self.wrong),
            -len(self.missed),
            1.0 if dice is None else dice,
        )

    def restricted(self, levels: Iterable[Vertebra]) -> CaseResult:
        """Return the result over some levels alone.

        Parameters
        ----------
        levels : iterable of Vertebra
            Levels to keep.
        """
        names = {level.name for level in levels}
        scores = tuple(score for score in self.scores if score.level in names)
        return replace(self, scores=scores, matches=tuple(match for match in self.matches if match.level in names))


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are defined, or None where there is none."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def compare(case: str, reference: LabelVolume, found: LabelVolume, findings: tuple[Finding, ...] | None) -> CaseResult:
    """Compare a result with its reference over all levels; `CaseResult.restricted` leaves some of them.

    Parameters
    ----------
    case : str
        Name of the case.
    reference, found : LabelVolume
        Labels on the same grid.
    findings : tuple of Finding or None
        Of the run; None where there was none.

    Raises
    ------
    InputError
        If the grids differ.
    """
    reference, found = within_their_box(reference, found)
    scores = tuple(score_levels(reference, found, VERTEBRAE))
    return CaseResult(case, scores, tuple(match_levels(reference, found, VERTEBRAE)), findings)


def levels_to_compare(
    results: Iterable[CaseResult], drawable: Iterable[str] | None, annotated: Iterable[str] | None
) -> tuple[Vertebra, ...]:
    """Return the levels of a comparison if none are named: those that both sides can have.

    Parameters
    ----------
    results : iterable of CaseResult
        The cases, over all levels.
    drawable : iterable of str or None
        Levels that the model, or the label scheme of the predictions, can name; None where that is not known: then
        C1..T1, and further down to the lowest level in any of the predictions.
    annotated : iterable of str or None
        Levels that the label scheme of the references can name; None where that is not known: then C1..T1, and further
        down to the lowest level that any of the references has.

    Returns
    -------
    tuple of Vertebra
        Levels of both, head to foot. A level between them without a prediction counts as missed; levels below the
        references, or below what a model of the neck can predict, do not count.
    """
    scores = [score for result in results for score in result.scores]
    predictable = _down_to(score.level for score in scores if not score.missed) if drawable is None else set(drawable)
    there = _down_to(score.level for score in scores if not score.false) if annotated is None else set(annotated)
    return tuple(level for level in VERTEBRAE if level.name in predictable & there)


def _down_to(levels: Iterable[str]) -> set[str]:
    """Return the levels from C1 to the lowest of these, or to T1 where that lies lower."""
    names = {"T1", *levels}
    last = max(place for place, level in enumerate(VERTEBRAE) if level.name in names)
    return {level.name for level in VERTEBRAE[: last + 1]}
