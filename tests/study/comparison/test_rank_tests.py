"""Tests of ranks beside SciPy's, or computed by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy import stats

from cspine.study.comparison.rank_tests import (
    ALL_ZERO,
    NO_PAIR,
    ONE_PAIR,
    friedman,
    rank_sum,
    signed_rank,
    signed_rank_biserial,
)


def test_signed_ranks_by_hand() -> None:
    # |d| 1..5 have ranks 1..5; the negative one has rank 2: W- = 2, W+ = 13. Of the 32 choices of signs those with a
    # sum of 2 or less are {}, {1}, {2}: 3 of 32, twice.
    differences = np.array([1.0, -2.0, 3.0, 4.0, 5.0])
    assert signed_rank(differences, "two-sided") == (pytest.approx(6 / 32), "exact")
    assert signed_rank_biserial(differences) == pytest.approx((13 - 2) / 15)
    # a pair without a difference is omitted
    with_zero = np.append(differences, 0.0)
    assert signed_rank(with_zero, "two-sided")[0] == pytest.approx(6 / 32)
    assert signed_rank_biserial(with_zero) == pytest.approx(11 / 15)


def test_ties_have_the_exact_distribution_of_all_choices_of_signs() -> None:
    differences = np.array([1.0, 1.0, 1.0, -2.0, 3.0, 3.0])
    ranks = stats.rankdata(np.abs(differences))
    observed = ranks[differences > 0].sum()
    sums = [sum(itertools.compress(ranks, signs)) for signs in itertools.product((0, 1), repeat=6)]
    upper = float(np.mean([total >= observed - 1e-9 for total in sums]))
    assert signed_rank(differences, "greater") == (pytest.approx(upper), "exact")
    for seed in range(4):
        tied = np.random.default_rng(seed).integers(-3, 5, 10).astype(float)
        kept = tied[tied != 0]
        for alternative in ("two-sided", "less", "greater"):
            expected = stats.wilcoxon(kept, alternative=alternative, method=stats.PermutationMethod(n_resamples=2**10))
            assert signed_rank(tied, alternative)[0] == pytest.approx(expected.pvalue)  # type: ignore[arg-type]
    many = np.array([1.0, 1.0, -2.0] * 20)
    p, method = signed_rank(many, "two-sided")
    assert method == "normal approximation"
    assert p == pytest.approx(stats.wilcoxon(many, method="asymptotic", correction=False).pvalue)


def test_mann_whitney_by_hand() -> None:
    # every value of the second above every one of the first: U = 9 of 9, p = 2 / C(6, 3)
    assert rank_sum(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0])) == (pytest.approx(0.1), 1.0)
    assert rank_sum(np.array([4.0, 5.0, 6.0]), np.array([1.0, 2.0, 3.0]))[1] == -1.0


def test_friedman_is_scipys_with_kendalls_w() -> None:
    columns = np.random.default_rng(1).normal(0, 1, (12, 3)) + np.array([0, 0.5, 1.5])
    found = friedman(columns)
    expected = stats.friedmanchisquare(*columns.T)
    assert (found.n, found.p, found.statistic) == (
        12,
        pytest.approx(expected.pvalue),
        pytest.approx(expected.statistic),
    )
    assert found.kendall_w == pytest.approx(expected.statistic / 24)
    # the same order in every case: W is 1
    assert friedman(np.array([[1.0, 2, 3], [2, 3, 4], [0, 5, 6]])).kendall_w == pytest.approx(1.0)
    assert friedman(np.ones((5, 3))).reason == ALL_ZERO
    assert friedman(np.ones((1, 3))).reason == ONE_PAIR and friedman(np.ones((0, 3))).reason == NO_PAIR
