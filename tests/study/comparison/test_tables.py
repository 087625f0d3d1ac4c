"""The tables have the paper's shape, and their numbers are those of the results."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cspine.study.comparison.paper import paper
from cspine.study.comparison.results import Results
from cspine.study.comparison.table_files import Table
from cspine.study.comparison.tables import build_tables, console_tables, write_tables
from tests.builders.evaluation_folders import CERVICAL

ROWS = [*CERVICAL, "[C1,T1]"]


def by_name(results: Results) -> dict[str, Table]:
    return {table.name: table for table in build_tables(results)}


def texts(table: Table, row: int) -> list[str]:
    return [cell.text for cell in table.rows[row]]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as lines:
        return list(csv.DictReader(lines))


def test_two_models_have_every_table(two: Results) -> None:
    tables = by_name(two)
    assert list(tables) == [
        "model-1", "model-2", "model-1-more", "model-2-more", "p-values", "verdict-training", "verdict-internal",
        "verdict-external", "single-cases", "counts", "paper-1", "paper-2", "paper-p-values-2", "paper-single-cases",
    ]  # fmt: skip
    assert all(len(row) == len(table.columns) for table in tables.values() for row in table.rows)
    assert all(sum(n for _, n in t.spans) == len(t.columns) for t in tables.values() if t.spans)
    assert [row[0].text for row in tables["model-1"].rows] == ROWS == [row[0].text for row in tables["p-values"].rows]


def test_a_models_table_is_the_papers(two: Results) -> None:
    table = by_name(two)["model-1"]
    assert table.columns == ("Vertebra", *(("cross-validation", "internal validation", "external test") * 2))
    low, high = two.description("model-1", "training", "C1", "dice").fold_range or (0, 0)
    internal = two.description("model-1", "internal", "C1", "dice")
    external = two.description("model-1", "external", "C1", "hd95_mm")
    row = texts(table, 0)
    assert row[1] == f"[{low:.3f}, {high:.3f}]" and row[2] == f"{internal.mean:.3f} ± {internal.sd:.3f}"
    assert row[6] == f"{external.mean:.2f} ± {external.sd:.2f}"


def test_verdicts_stand_beside_n_difference_and_p(two: Results) -> None:
    table = by_name(two)["verdict-external"]
    found = two.comparison("model-2", "external", "C1", "dice")
    row = texts(table, 0)
    assert row[:4] == ["Dice", "C1", str(found.result.n), str(found.dropped)]
    assert row[9] == found.verdict and found.verdict in ("equivalent", "undecided", "different")
    assert f"{found.result.wilcoxon_p:.3f}" == row[5] and f"{found.p_holm:.3f}" == row[6]
    assert len(table.rows) == 18 and "0.02 (Dice) and 0.5 mm (HD95)" in table.note


def test_single_cases_have_a_row_a_model(two: Results) -> None:
    table = by_name(two)["single-cases"]
    assert [text for text, _ in table.spans] == ["", "external-001", "internal-000"] and len(table.rows) == 18
    score = two.cohort.models[0].by_case["external-001"]["C1"]
    assert texts(table, 0)[:4] == ["C1", "model-1", f"{score.dice:.3f}", f"{score.hd95_mm:.2f}"]
    rows = [two.cohort.models[0].by_case["external-001"][level].dice or 0.0 for level in CERVICAL]
    assert texts(table, 16)[2] == f"{sum(rows) / 8:.3f}"


def test_missed_levels_are_counted(two: Results) -> None:
    table = by_name(two)["counts"]
    missed = [row.in_reference and not row.in_found for row in two.cohort.models[1].scores]
    column = 2 + 5 + 3
    assert sum(missed) == sum(int(row[column].text) for row in table.rows if row[1].text != "[C1,T1]") > 0
    hd95_missed = two.description("model-2", "training", "[C1,T1]", "hd95_mm")
    assert hd95_missed.values + hd95_missed.missed == 40


def test_the_paper_stands_beside_ours_with_the_difference(two: Results) -> None:
    table = by_name(two)["paper-1"]
    row = texts(table, 0)
    assert row[2] == "[0.937, 0.952]" and row[4] == "0.947 ± 0.018" and row[7] == "0.959 ± 0.022"
    mean = two.description("model-1", "external", "C1", "dice").mean or 0.0
    assert float(row[9].replace("−", "-")) == pytest.approx(mean - 0.959, abs=0.0006)
    assert "is no test of a model" in table.note
    assert texts(table, 8)[2] == "" and table.rows[8][2].reason == "the paper has none"
    p = by_name(two)["paper-p-values-2"]
    assert texts(p, 8)[1] == "0.338" and len(p.rows) == 9
    own = two.comparison("model-2", "external", "T1", "hd95_mm").result.wilcoxon_p or 0.0
    assert texts(p, 7)[-2:] == [f"{paper().p_values['hd95_mm']['T1'].external:.3f}", f"{own:.3f}"]
    single = by_name(two)["paper-single-cases"]
    assert texts(single, 8) == ["[C1,L6]", "0.869", "5.40", "0.840", "6.41", "0.619", "6.23"]


def test_without_parts_the_papers_external_test_stands_beside_all_cases(one: Results) -> None:
    table = by_name(one)["paper-1"]
    assert table.spans[1] == ("paper's external test, our all cases", 3)
    assert (
        texts(table, 2)[3:] == ["", ""] and table.rows[2][3].reason == "not in this comparison"
    )  # ours has C1 and C2 only


def test_three_models_have_a_table_a_pair_and_an_overall_test(three: Results) -> None:
    tables = by_name(three)
    assert {"p-values-2", "p-values-3", "verdict-all-2", "verdict-all-3", "overall"} <= set(tables)
    assert texts(tables["overall"], 0)[1].endswith("(n 6)")
    shown = console_tables(three, "")
    assert [title for title, _, _ in shown] == [
        "All cases: 6 common cases: Dice",
        "All cases: 6 common cases: HD95 (mm)",
    ]
    assert all(len(row) == len(columns) for _, columns, rows in shown for row in rows)


def test_the_long_tables_have_every_number(two: Results, three: Results, tmp_path: Path) -> None:
    write_tables(two, build_tables(two), tmp_path / "two")
    values, tests = rows_of(tmp_path / "two" / "values.csv"), rows_of(tmp_path / "two" / "tests.csv")
    assert len(values) == 4 * 3 * 9 * 2 and len(tests) == 4 * 3 * 9
    (row,) = (r for r in tests if (r["subset"], r["vertebra"], r["measure"]) == ("external", "C1", "dice"))
    found = two.comparison("model-2", "external", "C1", "dice")
    for column, value in (
        ("wilcoxon_p", found.result.wilcoxon_p), ("t_p", found.result.t_p), ("p_holm", found.p_holm),
        ("mann_whitney_p", found.result.mann_whitney_p), ("p_bh", found.p_bh), ("cohen_dz", found.result.dz),
        ("tost_t_p", found.result.tost_t_p), ("rank_biserial", found.result.rank_biserial),
    ):  # fmt: skip
        assert float(row[column]) == pytest.approx(value, abs=1e-4), column
    assert row["ci_method"] == "BCa" and row["margin"] == "0.02" and row["wilcoxon_method"] == "exact"
    assert not any("nan" in cell for r in (*values, *tests) for cell in r.values())
    assert not (tmp_path / "two" / "overall-tests.csv").exists()
    write_tables(three, build_tables(three), tmp_path / "three")
    overall = rows_of(tmp_path / "three" / "overall-tests.csv")
    assert len(overall) == 4 * 3 and all(0 <= float(r["kendall_w"]) <= 1 for r in overall if r["kendall_w"])
    names = {path.name for path in (tmp_path / "three").iterdir()}
    assert {"model-1.csv", "model-1.md", "model-1.tex", "all.tex"} <= names
