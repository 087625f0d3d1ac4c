"""The tables of a comparison for programs: every number with all its decimals, and why a cell is empty."""

from __future__ import annotations

from pathlib import Path

from cspine.io.tables import number, write_csv
from cspine.study.comparison.pairwise import Comparison
from cspine.study.comparison.results import Results
from cspine.study.comparison.statistics import Interval

_VALUE_COLUMNS = (
    "model", "subset", "vertebra", "measure", "cases", "values", "mean", "sd", "median", "folds", "fold_min",
    "fold_max", "missed", "false", "reason",
)  # fmt: skip
_TEST_COLUMNS = (
    "first", "second", "subset", "vertebra", "measure", "n", "dropped", "zeros", "mean_difference", "ci_low", "ci_high",
    "ci_method", "median_difference", "median_ci_low", "median_ci_high", "median_ci_method", "inner_ci_low",
    "inner_ci_high", "wilcoxon_p", "wilcoxon_method", "t_p", "mann_whitney_p", "test", "p", "p_holm", "p_bh",
    "rank_biserial", "mann_whitney_rank_biserial", "cohen_dz", "cohen_d", "margin", "tost_t_p", "tost_wilcoxon_p",
    "tost_p_corrected", "verdict", "reason",
)  # fmt: skip
_OVERALL_COLUMNS = (
    "subset", "vertebra", "measure", "n", "friedman_chi2", "p", "p_holm", "p_bh", "kendall_w", "reason",
)  # fmt: skip


def write(results: Results, folder: Path) -> None:
    """Write values.csv, tests.csv (two models and more), overall-tests.csv (three); OutputError if that fails."""
    write_csv(folder / "values.csv", _VALUE_COLUMNS, _value_rows(results))
    if len(results.titles) > 1:
        write_csv(folder / "tests.csv", _TEST_COLUMNS, [_test_row(row, results) for row in results.comparisons])
    if results.overall:
        write_csv(
            folder / "overall-tests.csv", _OVERALL_COLUMNS,
            [
                [
                    row.subset, row.group, row.measure, str(row.result.n), number(row.result.statistic, 4),
                    _p(row.result.p), _p(row.p_holm), _p(row.p_bh), number(row.result.kendall_w, 4), row.result.reason,
                ]
                for row in results.overall
            ],
        )  # fmt: skip


def _value_rows(results: Results) -> list[list[str]]:
    rows = []
    for d in results.descriptions:
        low, high = d.fold_range or (None, None)
        rows.append(
            [
                d.model, d.subset, d.group, d.measure, str(d.cases), str(d.values), number(d.mean, 6), number(d.sd, 6),
                number(d.median, 6), str(d.folds), number(low, 6), number(high, 6), str(d.missed), str(d.false),
                d.reason,
            ]
        )  # fmt: skip
    return rows


def _p(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


def _ends(interval: Interval | None) -> list[str]:
    return ["", ""] if interval is None else [number(interval.low, 6), number(interval.high, 6)]


def _test_row(row: Comparison, results: Results) -> list[str]:
    r = row.result
    return [
        row.first, row.second, row.subset, row.group, row.measure, str(r.n), str(row.dropped), str(r.zeros),
        number(r.difference, 6), *_ends(r.interval), r.interval.method if r.interval else "",
        number(r.median_difference, 6), *_ends(r.median_interval),
        r.median_interval.method if r.median_interval else "",
        *_ends(r.inner), _p(r.wilcoxon_p), r.wilcoxon_method, _p(r.t_p), _p(r.mann_whitney_p), results.settings.test,
        _p(r.p(results.settings.test)), _p(row.p_holm), _p(row.p_bh), number(r.rank_biserial, 4),
        number(r.mann_whitney_rank_biserial, 4), number(r.dz, 4), number(r.d, 4),
        "" if r.margin is None else f"{r.margin:g}", _p(r.tost_t_p), _p(r.tost_wilcoxon_p), _p(row.tost_p_corrected),
        row.verdict, "; ".join(r.reasons),
    ]  # fmt: skip
