"""Tests of ranks for models on the same cases: signed ranks, rank sums, and Friedman's test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Values = NDArray[np.float64]
#: The distribution of the signed ranks is exact up to so many pairs, with ties too.
EXACT_UP_TO = 50
#: Differences are rounded to so many decimals, so that those that are equal tie (0.95 - 0.94 and 0.96 - 0.95).
DECIMALS = 9
ALL_ZERO = "all differences are 0"
NO_PAIR, ONE_PAIR = "no case has both", "one case only"


def signed_rank(differences: Values, alternative: Literal["two-sided", "less", "greater"]) -> tuple[float, str]:
    """Return the p-value of Wilcoxon's signed-rank test, and how it was computed.

    Pairs without a difference are omitted (Wilcoxon's rule). For up to `EXACT_UP_TO` other pairs the distribution is
    exact, given the ties: that of all choices of signs. Above, it is the normal approximation with the correction for
    ties.

    Parameters
    ----------
    differences : ndarray, shape (cases,)
        Of which at least one is not 0.
    alternative : str
        Whether the differences are other than 0, below or above.
    """
    differing = differences[differences != 0]
    if len(differing) > EXACT_UP_TO:
        result = stats.wilcoxon(differing, alternative=alternative, method="asymptotic", correction=False)
        return float(result.pvalue), "normal approximation"
    below, above = _exact_tails(differing)
    one_sided = {"less": below, "greater": above}
    return one_sided.get(alternative, min(1.0, 2 * min(below, above))), "exact"


def _exact_tails(differences: Values) -> tuple[float, float]:
    """Return the shares of all choices of signs whose sum of positive ranks is at most, and at least, the observed."""
    twice = np.rint(2 * stats.rankdata(np.abs(differences))).astype(int)  # ranks of ties may be halves
    ways = np.zeros(twice.sum() + 1)  # by twice the sum; exact: 2^50 fits a double
    ways[0] = 1
    for rank in twice:
        ways[rank:] += ways[:-rank].copy()
    observed = int(twice[differences > 0].sum())
    return float(ways[: observed + 1].sum() / ways.sum()), float(ways[observed:].sum() / ways.sum())


def signed_rank_biserial(differences: Values) -> float:
    """Return (positive - negative) / all ranks of the differences that are not 0 (Kerby 2014).

    Parameters
    ----------
    differences : ndarray of float64, shape (cases,)
        At least one is not 0.

    Returns
    -------
    float
        From -1 (all are negative) to 1.
    """
    differing = differences[differences != 0]
    ranks = stats.rankdata(np.abs(differing))
    return float((ranks[differing > 0].sum() - ranks[differing < 0].sum()) / ranks.sum())


def rank_sum(first: Values, second: Values) -> tuple[float, float]:
    """Return the two-sided p-value of the Mann-Whitney U test, and its rank-biserial correlation.

    Parameters
    ----------
    first, second : ndarray of float64, shape (cases,)
        Values of two models.

    Returns
    -------
    p : float
        The p-value.
    rank_biserial : float
        From -1 to 1; above 0 if the second model has the higher values.
    """
    # Rounded, so that equal values tie.
    result = stats.mannwhitneyu(np.round(second, DECIMALS), np.round(first, DECIMALS), alternative="two-sided")
    return float(result.pvalue), float(2 * result.statistic / (len(first) * len(second)) - 1)


def signed_rank_tost(differences: Values, margin: float) -> float:
    """Return the p-value of two one-sided signed-rank tests: small where the median lies within the margin.

    Parameters
    ----------
    differences : ndarray, shape (cases,)
        At least one.
    margin : float
        Above 0.
    """
    above, below = np.round(differences + margin, DECIMALS), np.round(differences - margin, DECIMALS)
    return max(
        signed_rank(above, "greater")[0] if above.any() else 1.0,
        signed_rank(below, "less")[0] if below.any() else 1.0,
    )


@dataclass(frozen=True)
class FriedmanResult:
    """Several models on the same cases.

    Parameters
    ----------
    n : int
        Cases that all models have.
    statistic, p : float or None
        Friedman's chi-squared (with the correction for ties), and its p-value.
    kendall_w : float or None
        Effect size: 0 (no order among the models) .. 1 (the same order in every case).
    reason : str
        Why they are None.
    """

    n: int
    statistic: float | None = None
    p: float | None = None
    kendall_w: float | None = None
    reason: str = ""


def friedman(columns: Values) -> FriedmanResult:
    """Return Friedman's test over three or more models.

    Parameters
    ----------
    columns : ndarray, shape (cases, models)
        Values of the cases that all models have.
    """
    n, models = columns.shape
    if n < 2:
        return FriedmanResult(n, reason=NO_PAIR if n == 0 else ONE_PAIR)
    rounded = np.round(columns, DECIMALS)
    if bool(np.all(np.ptp(rounded, axis=1) == 0)):
        return FriedmanResult(n, reason=ALL_ZERO)
    result = stats.friedmanchisquare(*rounded.T)
    statistic = float(result.statistic)
    return FriedmanResult(n, statistic, float(result.pvalue), statistic / (n * (models - 1)))
