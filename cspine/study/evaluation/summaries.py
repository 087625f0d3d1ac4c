"""All cases together: spread of each metric per level and over groups of levels, missed and false levels."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import cspine
from cspine.core.anatomy import CERVICAL_LEVELS, VERTEBRAE, Vertebra
from cspine.core.volumes import ModelIdentity
from cspine.io.output_folder import PREDICT, summary_of
from cspine.study.evaluation.evaluation import CaseResult, mean
from cspine.study.evaluation.metrics import LevelMatch, Score

#: Metrics of which the spread is reported, and how to get them from a score.
METRICS: Mapping[str, Callable[[Score], float | None]] = {
    "dice": lambda score: score.dice,
    "hd95_mm": lambda score: score.hd95_mm,
    "assd_mm": lambda score: score.assd_mm,
    "volume_error_ml": lambda score: score.volume_error_ml,
    "given_to_neighbour": lambda score: score.given_to_neighbour,
}
#: Groups of levels: pooled rows, as the paper's [C1,T1].
GROUPS: Mapping[str, tuple[Vertebra, ...]] = {"[C1,T1]": CERVICAL_LEVELS, "[C1,L6]": VERTEBRAE}
#: What is added to the name of a group whose values are the means of the cases.
CASE_MEANS = " case means"


@dataclass(frozen=True)
class Spread:
    """The distribution of values; None without values.

    Parameters
    ----------
    n : int
        How many values are defined.
    mean, sd, median, p95, lowest, highest : float or None
        Of those values; the standard deviation is that of a sample (n - 1), None for fewer than two. The 95th
        percentile interpolates linearly between values.
    """

    n: int
    mean: float | None = None
    sd: float | None = None
    median: float | None = None
    p95: float | None = None
    lowest: float | None = None
    highest: float | None = None


def spread(values: Iterable[float | None]) -> Spread:
    """Return how values spread; those that are None are omitted."""
    defined = [value for value in values if value is not None]
    if not defined:
        return Spread(0)
    return Spread(
        len(defined),
        statistics.fmean(defined),
        statistics.stdev(defined) if len(defined) > 1 else None,
        statistics.median(defined),
        float(np.percentile(defined, 95)),
        min(defined),
        max(defined),
    )


@dataclass(frozen=True)
class LevelSummary:
    """A level, or a group of levels, over all cases.

    Parameters
    ----------
    name : str
        Level or group.
    spreads : mapping of str to Spread
        By metric, the keys of `METRICS`.
    missed, false : int
        Levels that the reference has and the prediction lacks; and the other way round.
    vertebrae : int
        Vertebrae of the references that level accuracy is about.
    level_accuracy : float or None
        Share of those on their own level.
    identification_rate : float or None
        Share of the references' levels that are identified as VerSe defines it.
    """

    name: str
    spreads: Mapping[str, Spread]
    missed: int
    false: int
    vertebrae: int
    level_accuracy: float | None
    identification_rate: float | None


def summaries(results: Sequence[CaseResult], levels: Sequence[Vertebra]) -> list[LevelSummary]:
    """Return a summary for each level that a case has, then for the groups of levels, pooled and as means of cases.

    Parameters
    ----------
    results : sequence of CaseResult
        The cases, restricted to the levels.
    levels : sequence of Vertebra
        Levels that are compared; [C1,L6] is reported only if some lie below T1.
    """
    rows = [_summary(level.name, results, {level.name}) for level in levels]
    rows = [summary for summary in rows if summary.spreads["dice"].n]
    compared = {level.name for level in levels}
    for group, members in GROUPS.items():
        names = compared & {level.name for level in members}
        if names and (members is CERVICAL_LEVELS or compared - {level.name for level in CERVICAL_LEVELS}):
            rows += [_summary(group, results, names), _of_case_means(group + CASE_MEANS, results, names)]
    return rows


def _scores(result: CaseResult, names: set[str]) -> list[Score]:
    return [score for score in result.scores if score.level in names]


def _summary(name: str, results: Sequence[CaseResult], names: set[str]) -> LevelSummary:
    scores = [score for result in results for score in _scores(result, names)]
    matches = [match for result in results for match in result.matches if match.level in names]
    return _counted(name, {metric: spread(map(get, scores)) for metric, get in METRICS.items()}, scores, matches)


def _counted(
    name: str, spreads: Mapping[str, Spread], scores: Sequence[Score], matches: Sequence[LevelMatch]
) -> LevelSummary:
    return LevelSummary(
        name,
        spreads,
        missed=sum(score.missed for score in scores),
        false=sum(score.false for score in scores),
        vertebrae=len(matches),
        level_accuracy=mean(float(match.right) for match in matches),
        identification_rate=mean(float(score.identified) for score in scores if score.identified is not None),
    )


def _of_case_means(name: str, results: Sequence[CaseResult], names: set[str]) -> LevelSummary:
    """Summarise the means of the cases; counts and rates are those of all rows."""
    each = [_scores(result, names) for result in results]
    spreads = {metric: spread(mean(map(get, scores)) for scores in each) for metric, get in METRICS.items()}
    matches = [match for result in results for match in result.matches if match.level in names]
    return _counted(name, spreads, [score for scores in each for score in scores], matches)


def by_subset(results: Sequence[CaseResult]) -> dict[str, list[CaseResult]]:
    """Return the cases of each subset of the study, in the order of the subsets' first cases; empty without subsets."""
    subsets: dict[str, list[CaseResult]] = {}
    for result in results:
        if result.subset:
            subsets.setdefault(result.subset, []).append(result)
    return subsets


def as_identity(model: ModelIdentity) -> dict[str, Any]:
    """Return the entry of summary.json about a model."""
    return {
        "name": model.name,
        "version": model.version,
        "checksum": model.checksum,
        "demonstration": model.demonstration,
    }


def predicted_by(folder: Path | None) -> dict[str, Any] | None:
    """Return the identity of the model in a folder of `cspine predict`; None for another folder."""
    written = None if folder is None else summary_of(folder, PREDICT)
    model = None if written is None else written.get("model")
    return dict(model) if isinstance(model, dict) else None


def summary(
    results: Sequence[CaseResult], levels: Sequence[Vertebra], model: Mapping[str, Any] | None, title: str = ""
) -> dict[str, Any]:
    """Return the content of summary.json about all cases.

    Parameters
    ----------
    results : sequence of CaseResult
        The cases, restricted to the levels.
    levels : sequence of Vertebra
        Levels that are compared.
    model : mapping or None
        Identity of the model (`as_identity`); None where nothing is known of it.
    title : str
        What a reader calls the model or the predictions.
    """
    return {
        "cspine_version": cspine.__version__,
        "title": title,
        "model": None if model is None else dict(model),
        "cases": len(results),
        "errors": {result.case: result.error for result in results if result.error},
        "compared_levels": [level.name for level in levels],
        **_figures(results, levels),
        "subsets": {
            subset: {"cases": len(some), **_figures(some, levels)} for subset, some in by_subset(results).items()
        },
    }


def _figures(results: Sequence[CaseResult], levels: Sequence[Vertebra]) -> dict[str, Any]:
    every = [score for result in results for score in result.scores]
    level_summaries = summaries(results, levels)
    groups: dict[str, dict[str, Any]] = {}
    for group in level_summaries:
        if group.name in GROUPS:
            groups[group.name] = _as_json(group)
        elif group.name.endswith(CASE_MEANS):
            means = {f"case_{key}": value for key, value in _spreads_as_json(group).items()}
            groups[group.name.removesuffix(CASE_MEANS)] |= means
    return {
        "mean_dice": mean(score.dice for score in every),
        "mean_hd95_mm": mean(score.hd95_mm for score in every),
        "mean_assd_mm": mean(score.assd_mm for score in every),
        **levels_summary(results),
        "levels": {level.name: _as_json(level) for level in level_summaries if not level.name.startswith("[")},
        "groups": groups,
    }


def _as_json(level: LevelSummary) -> dict[str, Any]:
    return {
        "cases": level.spreads["dice"].n,
        **_spreads_as_json(level),
        "missed": level.missed,
        "false": level.false,
        "level_accuracy": level.level_accuracy,
        "identification_rate": level.identification_rate,
    }


def _spreads_as_json(level: LevelSummary) -> dict[str, float | None]:
    found: dict[str, float | None] = {}
    for metric, values in level.spreads.items():
        found |= {f"mean_{metric}": values.mean, f"sd_{metric}": values.sd}
        found |= {f"median_{metric}": values.median, f"p95_{metric}": values.p95}
    return found


def levels_summary(results: Sequence[CaseResult]) -> dict[str, float | int | None]:
    """Return the figures about levels: accuracy, identification, cases with a wrong level with and without a finding.

    Parameters
    ----------
    results : sequence of CaseResult
        The cases.
    """
    silent = [result.silent for result in results if result.silent is not None]
    every = [score for result in results for score in result.scores]
    return {
        "vertebrae": sum(len(result.matches) for result in results),
        "level_accuracy": mean(float(match.right) for result in results for match in result.matches),
        "identification_rate": mean(float(score.identified) for score in every if score.identified is not None),
        "missed": sum(score.missed for score in every),
        "false": sum(score.false for score in every),
        "cases_ok": sum(result.ok for result in results),
        "share_ok": mean(float(result.ok) for result in results),
        "cases_with_wrong_level": sum(bool(result.wrong) for result in results),
        "cases_with_missed_level": sum(bool(result.missed) for result in results),
        "cases_wrong_without_finding": sum(silent) if silent else None,
    }
