"""Comparisons of made-up evaluations, computed with few resamples."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cspine.study.comparison.alignment import align
from cspine.study.comparison.reading import read_evaluation
from cspine.study.comparison.results import Results, compute
from cspine.study.comparison.statistics import Settings
from tests.builders.evaluation_folders import Scores

FEW = Settings(resamples=100)
SUBSETS = {"training": 5, "internal": 5, "external": 6}


def made_up(root: Path, models: Sequence[Scores], single: Sequence[str] = (), with_paper: bool = False) -> Results:
    """Write evaluations ``model-1`` and so on, and compare them."""
    folders = [scores.write(root / f"model-{number}") for number, scores in enumerate(models, 1)]
    return compute(None, align([read_evaluation(folder) for folder in folders]), FEW, single, with_paper)
