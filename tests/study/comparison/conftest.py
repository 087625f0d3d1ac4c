"""Comparisons of one, two and three models, computed once."""

from __future__ import annotations

import pytest

from cspine.study.comparison.results import Results
from tests.builders.comparisons import SUBSETS, made_up
from tests.builders.evaluation_folders import Scores


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Two models in three subsets, with single cases and the paper."""
    models = [Scores(SUBSETS), Scores(SUBSETS, seed=2, missing=0.03)]
    return made_up(tmp_path_factory.mktemp("two"), models, ("external-001", "internal-000"), with_paper=True)


@pytest.fixture(scope="session")
def three(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Three models without subsets, in two vertebrae."""
    models = [
        Scores({"": 6}, levels=("C1", "C2"), seed=seed, dice=dice) for seed, dice in ((1, 0.9), (2, 0.9), (3, 0.6))
    ]
    return made_up(tmp_path_factory.mktemp("three"), models)


@pytest.fixture(scope="session")
def one(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """One model without subsets, beside the paper."""
    return made_up(tmp_path_factory.mktemp("one"), [Scores({"": 4}, levels=("C1", "C2"))], with_paper=True)
