"""Results of an evaluation without images."""

from __future__ import annotations

from cspine.study.evaluation.evaluation import CaseResult
from cspine.study.evaluation.metrics import LevelMatch, Score


def score_of(level: str, dice: float, distance_mm: float) -> Score:
    """A level that both images have."""
    return Score(level, dice, distance_mm, distance_mm / 2, 10.0, 11.0, True, 0.5, 0.02)


def missed_level(level: str) -> Score:
    """A level that the reference alone has."""
    return Score(level, 0.0, None, None, 10.0, 0.0, False, None, 0.0)


def false_level(level: str) -> Score:
    """A level that the prediction alone has."""
    return Score(level, 0.0, None, None, 0.0, 5.0, None, None)


def case_of(name: str, *scores: Score, subset: str = "", fold: int | None = None) -> CaseResult:
    """A case of predictions, without findings."""
    matches = [LevelMatch(s.level, None if s.missed else s.level) for s in scores if not s.false]
    return CaseResult(name, scores, tuple(matches), None, subset=subset, fold=fold)
