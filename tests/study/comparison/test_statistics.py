"""Every number beside SciPy's, or one computed by hand or with statsmodels 0.15."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from cspine.study.comparison.rank_tests import (
    ALL_ZERO,
    NO_PAIR,
    ONE_PAIR,
    signed_rank_tost,
)
from cspine.study.comparison.statistics import (
    DIFFERENT,
    DIFFERENT_WITHIN,
    EQUIVALENT,
    NO_MARGIN,
    NO_SPREAD,
    UNDECIDED,
    Interval,
    PairedResult,
    Settings,
    compare_pairs,
    corrected,
    generator,
    intervals,
    verdict,
)

QUICK = Settings(resamples=500)


def pairs(n: int, shift: float = 0.01, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    first = generator.normal(0.9, 0.03, n)
    return first, first + generator.normal(shift, 0.02, n)


@pytest.mark.parametrize("n", [5, 20, 50, 120])
def test_tests_are_those_of_scipy(n: int) -> None:
    first, second = pairs(n)
    found = compare_pairs(first, second, QUICK, 0.02, "x")
    assert found.n == n and found.zeros == 0
    method = "exact" if n <= 50 else "asymptotic"
    assert found.wilcoxon_p == pytest.approx(stats.wilcoxon(second, first, method=method, correction=False).pvalue)
    assert found.wilcoxon_method == ("exact" if n <= 50 else "normal approximation")
    assert found.t_p == pytest.approx(stats.ttest_rel(second, first).pvalue)
    assert found.mann_whitney_p == pytest.approx(stats.mannwhitneyu(second, first).pvalue)
    one_sided = (
        stats.ttest_rel(second + 0.02, first, alternative="greater").pvalue,
        stats.ttest_rel(second - 0.02, first, alternative="less").pvalue,
    )
    assert found.tost_t_p == pytest.approx(max(one_sided))
    differences = second - first
    assert found.difference == pytest.approx(differences.mean())
    assert found.median_difference == pytest.approx(np.median(differences))
    assert found.dz == pytest.approx(differences.mean() / differences.std(ddof=1))
    pooled = math.sqrt((first.var(ddof=1) + second.var(ddof=1)) / 2)
    assert found.d == pytest.approx(differences.mean() / pooled)
    sides = (
        stats.wilcoxon(differences + 0.02, alternative="greater", method=method, correction=False).pvalue,
        stats.wilcoxon(differences - 0.02, alternative="less", method=method, correction=False).pvalue,
    )
    assert found.tost_wilcoxon_p == pytest.approx(max(sides))
    assert (found.p("wilcoxon"), found.p("t"), found.p("mann-whitney")) == (
        found.wilcoxon_p, found.t_p, found.mann_whitney_p,
    )  # fmt: skip
    assert found.tost_p("t") == found.tost_t_p and found.tost_p("wilcoxon") == found.tost_wilcoxon_p


def test_equal_differences_tie_whatever_binary_makes_of_them() -> None:
    first, second = np.array([0.94, 0.95, 0.10]), np.array([0.95, 0.96, 0.11])
    assert len(set(second - first)) > 1
    found = compare_pairs(first, second, QUICK, 0.02, "x")
    assert NO_SPREAD in found.reasons and found.t_p is None and found.dz is None
    assert found.interval == Interval(0.01, 0.01, "none") and found.wilcoxon_p == pytest.approx(0.25)


def test_the_interval_is_scipys_and_does_not_depend_on_other_comparisons() -> None:
    differences = np.subtract(*reversed(pairs(30)))
    outer, inner = intervals(differences, "mean", (0.95, 0.90), QUICK, "a")
    expected = stats.bootstrap(
        (differences,), np.mean, n_resamples=500, method="BCa", rng=generator(QUICK.seed, "a/mean"), batch=1000
    ).confidence_interval
    assert (outer.low, outer.high, outer.method) == (pytest.approx(expected.low), pytest.approx(expected.high), "BCa")
    assert outer.low < inner.low < differences.mean() < inner.high < outer.high
    again = intervals(differences, "mean", (0.95, 0.90), QUICK, "a")
    assert again == [outer, inner]
    assert intervals(differences, "mean", (0.95,), QUICK, "b") != [outer]
    (median,) = intervals(differences, "median", (0.95,), QUICK, "a")
    assert median.low <= np.median(differences) <= median.high


def test_an_interval_without_bca_is_reported_as_percentiles() -> None:
    differences = np.array([*[0.0] * 29, 1.0])
    (found,) = intervals(differences, "median", (0.95,), QUICK, "a")
    assert found.method == "percentile" and found.low == found.high == 0.0


def test_two_one_sided_t_tests_are_those_of_statsmodels() -> None:
    differences = np.array([0.01, -0.02, 0.03, 0.0, 0.005, -0.01, 0.02])
    found = compare_pairs(np.zeros(7), differences, QUICK, 0.02, "x")
    assert found.tost_t_p == pytest.approx(0.029570645435780203)


def test_corrections_are_those_of_statsmodels_and_by_hand() -> None:
    values = [0.01, None, 0.04, 0.03]
    assert corrected(values, "holm") == [pytest.approx(0.03), None, pytest.approx(0.06), pytest.approx(0.06)]
    assert corrected(values, "bh") == [pytest.approx(0.03), None, pytest.approx(0.04), pytest.approx(0.04)]
    assert corrected(values, "none") == values and corrected([None], "holm") == [None]
    many = [0.012, 0.2, 0.003, 0.04, 0.04, 0.11, 0.6, 0.008]
    assert corrected(many, "holm") == pytest.approx([0.072, 0.4, 0.024, 0.2, 0.2, 0.33, 0.6, 0.056])
    assert corrected(many, "bh") == pytest.approx(
        [0.032, 0.228571, 0.024, 0.064, 0.064, 0.146667, 0.6, 0.032], abs=1e-6
    )


def result(low: float, high: float, margin: float = 0.02) -> PairedResult:
    return PairedResult(9, inner=Interval(low, high, "BCa"), margin=margin)


def test_the_four_verdicts() -> None:
    inside, across = result(-0.01, 0.01), result(-0.03, 0.01)
    assert verdict(0.5, 0.01, inside, 0.05) == EQUIVALENT
    assert verdict(0.01, 0.5, across, 0.05) == DIFFERENT
    assert verdict(0.01, 0.01, inside, 0.05) == DIFFERENT_WITHIN
    assert verdict(0.5, 0.5, inside, 0.05) == UNDECIDED
    # signed ranks do not see a few grave failures, the interval of the mean does
    assert verdict(0.5, 0.0001, across, 0.05) == UNDECIDED
    assert verdict(None, None, PairedResult(2), 0.05) == UNDECIDED


def test_a_model_that_fails_gravely_in_a_few_cases_is_not_equivalent() -> None:
    first, second = pairs(100, shift=0.0)
    second[:4] = 0.0
    found = compare_pairs(first, second, QUICK, 0.02, "x")
    assert found.tost_wilcoxon_p is not None and found.tost_wilcoxon_p < 0.001
    assert verdict(found.wilcoxon_p, found.tost_wilcoxon_p, found, 0.05) == UNDECIDED


def test_no_difference_at_all_is_equivalent_only_in_enough_cases() -> None:
    for n, expected in ((2, UNDECIDED), (4, UNDECIDED), (5, EQUIVALENT), (60, EQUIVALENT)):
        same = pairs(n)[0]
        found = compare_pairs(same, same, QUICK, 0.02, "x")
        assert found.reasons == (ALL_ZERO,) and found.zeros == n and found.difference == 0.0
        assert found.wilcoxon_p is None and found.t_p is None and found.tost_t_p is None and found.rank_biserial is None
        assert found.mann_whitney_p == pytest.approx(1.0)
        assert verdict(found.wilcoxon_p, found.tost_wilcoxon_p, found, 0.05) == expected


def test_the_margin_itself_is_not_within_it() -> None:
    assert signed_rank_tost(np.full(8, 0.02), 0.02) == 1.0
    assert signed_rank_tost(np.full(8, 0.01), 0.02) == pytest.approx(1 / 256)


def test_too_few_pairs_are_answered_with_a_reason() -> None:
    none = compare_pairs(np.array([]), np.array([]), QUICK, 0.02, "x")
    assert (none.n, none.difference, none.reasons) == (0, None, (NO_PAIR,))
    one = compare_pairs(np.array([0.9]), np.array([0.8]), QUICK, 0.02, "x")
    assert one.difference == pytest.approx(-0.1) and one.interval is None and one.reasons == (ONE_PAIR,)
    assert compare_pairs(*pairs(3), QUICK, None, "x").reasons == (NO_MARGIN,)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.5, 0.5], [0.5, 0.5]), ([0.5, 0.5], [0.6, 0.6]), ([0.0, 0.0, 0.9], [0.0, 0.0, 0.9]),
        ([0.1, 0.2], [0.2, 0.1]), ([0.0] * 30, [0.0] * 29 + [1.0]), ([0.9, 0.9, 0.9], [0.9, 0.9, 0.8]),
        ([1e-12, 0.0], [0.0, 0.0]),
    ],
)  # fmt: skip
def test_no_input_gives_nan(first: list[float], second: list[float]) -> None:
    found = compare_pairs(np.array(first), np.array(second), QUICK, 0.02, "x")
    numbers = [getattr(found, field.name) for field in fields(found)]
    numbers += [end for i in (found.interval, found.inner, found.median_interval) if i for end in (i.low, i.high)]
    assert all(math.isfinite(value) for value in numbers if isinstance(value, float))
