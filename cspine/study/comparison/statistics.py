"""Two models on the same cases: tests, effect sizes, confidence intervals, equivalence, verdicts.

Every function takes plain arrays. What cannot be computed is None, with the reason in words; nothing is ever nan.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy import stats

from cspine.core.errors import UsageError
from cspine.study.comparison.rank_tests import (
    ALL_ZERO,
    DECIMALS,
    NO_PAIR,
    ONE_PAIR,
    Values,
    rank_sum,
    signed_rank,
    signed_rank_biserial,
    signed_rank_tost,
)

TestName = Literal["wilcoxon", "t", "mann-whitney"]
DIFFERENT, EQUIVALENT, UNDECIDED = "different", "equivalent", "undecided"
DIFFERENT_WITHIN = "different within the margin"
VERDICTS = (DIFFERENT, DIFFERENT_WITHIN, EQUIVALENT, UNDECIDED)
NO_SPREAD = "all differences are equal"
NO_MARGIN = "no margin of equivalence"
#: Margins of equivalence: the paper's five folds differ by so much in one vertebra (medians over C1..T1 of the greatest
#: minus the least fold mean are 0.0205 and 0.53 mm), so that training a model again moves it as far.
MARGINS = {"dice": 0.02, "hd95_mm": 0.5}


@dataclass(frozen=True)
class Settings:
    """The settings of a comparison.

    Parameters
    ----------
    test : str
        The test that verdicts follow; all are computed.
    correction : str
        ``"holm"``, ``"bh"`` (Benjamini-Hochberg) or ``"none"``: of the p-values that verdicts follow.
    alpha : float
        Level of the tests.
    margins : mapping of str to float
        Margin of equivalence by key of the measure; one that is not named keeps that of `MARGINS`.
    resamples : int
        Of the bootstrap.
    seed : int
        Of the bootstrap.
    """

    test: TestName = "wilcoxon"
    correction: Literal["holm", "bh", "none"] = "holm"
    alpha: float = 0.05
    margins: Mapping[str, float] = field(default_factory=dict)
    resamples: int = 5000
    seed: int = 20250714

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.margins) - set(MARGINS)):
            raise UsageError(f"a margin of {unknown[0]}", advice=f"Give margins of {' and '.join(MARGINS)}.")
        object.__setattr__(self, "margins", {**MARGINS, **self.margins})


@dataclass(frozen=True)
class Interval:
    """A confidence interval.

    Parameters
    ----------
    low, high : float
        Its ends.
    method : str
        ``"BCa"``, ``"percentile"`` where BCa is not defined, or ``"none"`` where all differences are equal.
    """

    low: float
    high: float
    method: str


@dataclass(frozen=True)
class PairedResult:
    """The statistics of the paired values of two models; differences are second minus first.

    Parameters
    ----------
    n : int
        Pairs.
    zeros : int
        Pairs without a difference.
    difference, median_difference : float or None
        Mean and median of the differences.
    interval, median_interval : Interval or None
        Of these, at 1 - alpha.
    inner : Interval or None
        Of the mean at 1 - 2 alpha: it must lie within the margin for a verdict of equivalence.
    wilcoxon_p, t_p, mann_whitney_p : float or None
        Two-sided.
    wilcoxon_method : str
        How the p-value was computed.
    rank_biserial : float or None
        Of the signed ranks: -1 (second always lower) .. 1.
    mann_whitney_rank_biserial : float or None
        Of the unpaired ranks.
    dz, d : float or None
        Cohen's: mean difference over the SD of the differences, or over the pooled SD.
    tost_t_p, tost_wilcoxon_p : float or None
        Of the two one-sided tests; small means equivalent.
    margin : float or None
        Of these.
    reasons : tuple of str
        Why something is None.
    """

    n: int
    zeros: int = 0
    difference: float | None = None
    median_difference: float | None = None
    interval: Interval | None = None
    median_interval: Interval | None = None
    inner: Interval | None = None
    wilcoxon_p: float | None = None
    wilcoxon_method: str = ""
    t_p: float | None = None
    mann_whitney_p: float | None = None
    rank_biserial: float | None = None
    mann_whitney_rank_biserial: float | None = None
    dz: float | None = None
    d: float | None = None
    tost_t_p: float | None = None
    tost_wilcoxon_p: float | None = None
    margin: float | None = None
    reasons: tuple[str, ...] = ()

    def p(self, test: TestName) -> float | None:
        """Return the p-value of a test.

        Parameters
        ----------
        test : str
            ``"wilcoxon"``, ``"t"`` or ``"mann-whitney"``.
        """
        return {"wilcoxon": self.wilcoxon_p, "t": self.t_p, "mann-whitney": self.mann_whitney_p}[test]

    def tost_p(self, test: TestName) -> float | None:
        """Return the p-value of the equivalence test that goes with a test: of signed ranks but for the t test.

        Parameters
        ----------
        test : str
            ``"wilcoxon"``, ``"t"`` or ``"mann-whitney"``.
        """
        return self.tost_t_p if test == "t" else self.tost_wilcoxon_p


def compare_pairs(first: Values, second: Values, settings: Settings, margin: float | None, name: str) -> PairedResult:
    """Compare two models on the same cases.

    Parameters
    ----------
    first, second : ndarray, shape (cases,)
        Finite values.
    settings : Settings
        Level, resamples, seed.
    margin : float or None
        Of equivalence; None for none.
    name : str
        Of this comparison: the bootstrap draws the same for it whatever else is compared.
    """
    n = len(first)
    if n == 0:
        return PairedResult(n=0, margin=margin, reasons=(NO_PAIR,))
    differences = np.round(second - first, DECIMALS)
    zeros = int(np.count_nonzero(differences == 0))
    if n == 1:
        only = float(differences[0])
        return PairedResult(1, zeros, only, only, margin=margin, reasons=(ONE_PAIR,))
    spread = float(differences.std(ddof=1))
    flat = bool(np.ptp(differences) == 0)
    pooled = float(np.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2))
    levels = (1 - settings.alpha, 1 - 2 * settings.alpha)
    interval, inner = intervals(differences, "mean", levels, settings, name)
    (median_interval,) = intervals(differences, "median", levels[:1], settings, name)
    p, method = (None, "") if zeros == n else signed_rank(differences, "two-sided")
    u_p, u_effect = rank_sum(first, second)
    reasons = [ALL_ZERO if zeros == n else NO_SPREAD] if flat else []
    reasons += [NO_MARGIN] if margin is None else []
    return PairedResult(
        n=n,
        zeros=zeros,
        difference=float(differences.mean()),
        median_difference=float(np.median(differences)),
        interval=interval,
        median_interval=median_interval,
        inner=inner,
        wilcoxon_p=p,
        wilcoxon_method=method,
        t_p=None if flat else float(stats.ttest_1samp(differences, 0.0).pvalue),
        mann_whitney_p=u_p,
        rank_biserial=None if zeros == n else signed_rank_biserial(differences),
        mann_whitney_rank_biserial=u_effect,
        dz=None if flat else float(differences.mean()) / spread,
        d=None if pooled == 0 else float(differences.mean()) / pooled,
        tost_t_p=None if flat or margin is None else _t_tost(differences, margin),
        tost_wilcoxon_p=None if margin is None else signed_rank_tost(differences, margin),
        margin=margin,
        reasons=tuple(reasons),
    )


def _t_tost(differences: Values, margin: float) -> float:
    above = stats.ttest_1samp(differences, -margin, alternative="greater").pvalue
    return float(max(above, stats.ttest_1samp(differences, margin, alternative="less").pvalue))


def intervals(
    differences: Values, center: Literal["mean", "median"], levels: Sequence[float], settings: Settings, name: str
) -> list[Interval]:
    """Return bootstrap intervals of the mean or median difference, one per confidence level, from the same draws.

    Bias-corrected and accelerated (BCa); percentiles where that is not defined.

    Parameters
    ----------
    differences : ndarray, shape (cases,)
        At least two.
    center : str
        ``"mean"`` or ``"median"``.
    levels : sequence of float
        Confidence levels.
    settings : Settings
        Resamples, seed.
    name : str
        Makes the draw independent of other comparisons.
    """
    if np.ptp(differences) == 0:
        return [Interval(float(differences[0]), float(differences[0]), "none") for _ in levels]
    resampled, found = None, []
    for level in levels:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", stats.DegenerateDataWarning)
            warnings.simplefilter("ignore", RuntimeWarning)  # a jackknife without spread: answered below
            resampled = stats.bootstrap(
                (differences,), np.mean if center == "mean" else np.median, confidence_level=level, method="BCa",
                n_resamples=0 if resampled is not None else settings.resamples, bootstrap_result=resampled, batch=1000,
                rng=generator(settings.seed, f"{name}/{center}"),
            )  # fmt: skip
        low, high = resampled.confidence_interval
        method = "BCa"
        if not (np.isfinite(low) and np.isfinite(high)):
            tail, method = 50 * (1 - level), "percentile"
            low, high = np.percentile(resampled.bootstrap_distribution, (tail, 100 - tail))
        found.append(Interval(float(low), float(high), method))
    return found


def generator(seed: int, name: str) -> np.random.Generator:
    """Return the random numbers of a comparison: the same for its name, whatever else is compared.

    Parameters
    ----------
    seed : int
        Seed of the comparison's settings.
    name : str
        What is compared.
    """
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "big"))


def corrected(values: Sequence[float | None], correction: str) -> list[float | None]:
    """Return p-values corrected for their number; None stays None and does not count.

    Parameters
    ----------
    values : sequence of float or None
        The p-values of one family.
    correction : str
        ``"holm"``, ``"bh"`` or ``"none"``.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    if correction == "none" or not len(known):
        return list(values)
    changed = iter(holm(known) if correction == "holm" else stats.false_discovery_control(known, method="bh"))
    return [None if value is None else float(next(changed)) for value in values]


def holm(values: Values) -> Values:
    """Return p-values with Holm's step-down correction (Scandinavian Journal of Statistics 1979, 6:65-70).

    Parameters
    ----------
    values : ndarray of float64, shape (n,)
        The p-values of one family.
    """
    order = np.argsort(values)
    steps = values[order] * np.arange(len(values), 0, -1)
    changed = np.empty_like(values)
    changed[order] = np.minimum(np.maximum.accumulate(steps), 1.0)
    return changed


def verdict(p: float | None, tost_p: float | None, result: PairedResult, alpha: float) -> str:
    """Return one of `VERDICTS`.

    Equivalent needs both: a small p-value of the two one-sided tests, and the interval of the *mean* difference at
    1 - 2 alpha within the margin. Signed ranks alone would not see a model that fails badly in a few cases.

    Parameters
    ----------
    p : float or None
        Of the difference, corrected.
    tost_p : float or None
        Of equivalence, corrected.
    result : PairedResult
        With margin and intervals.
    alpha : float
        Level of both tests.
    """
    different = p is not None and p < alpha
    equivalent = tost_p is not None and tost_p < alpha and within(result.inner, result.margin)
    if different:
        return DIFFERENT_WITHIN if equivalent else DIFFERENT
    return EQUIVALENT if equivalent else UNDECIDED


def within(interval: Interval | None, margin: float | None) -> bool:
    """Return True where an interval lies inside plus and minus a margin.

    Parameters
    ----------
    interval : Interval or None
        The interval; nothing is within the margin without one.
    margin : float or None
        Above 0.
    """
    return interval is not None and margin is not None and -margin < interval.low and interval.high < margin
