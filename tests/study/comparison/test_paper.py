"""The paper's figures are complete, and some of them are pinned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.study.comparison.measures import CERVICAL
from cspine.study.comparison.paper import paper
from cspine.study.comparison.statistics import MARGINS

ROWS = {*CERVICAL.levels, "[C1,T1]"}


def test_every_row_has_every_figure() -> None:
    for table in (paper().cervical_model, paper().p_values):
        assert set(table) == {"dice", "hd95_mm"}
        assert all(set(rows) == ROWS for rows in table.values())
    for rows in paper().cervical_model.values():
        assert {name for name, row in rows.items() if row.cross_validation is None} == {"[C1,T1]"}
        for row in rows.values():
            low, high = row.cross_validation or (0.0, 1.0)
            assert low < high and min(*row.internal, *row.external) > 0
    assert len(paper().single_cases) == 3
    assert all(set(rows) == {*CERVICAL.levels, "[C1,L6]"} for rows in paper().single_cases.values())


def test_pinned_figures() -> None:
    known = paper()
    assert known.source.doi == "10.1109/EMBC58623.2025.11253480"
    assert {subset: own.count for subset, own in known.patients.items()} == {
        "training": 172,
        "internal": 37,
        "external": 268,
    }
    assert (known.patients["training"].age_mean, known.patients["external"].male_percent) == (56, 61)
    dice, hd95 = known.cervical_model["dice"], known.cervical_model["hd95_mm"]
    assert dice["[C1,T1]"].external == (0.951, 0.051) and dice["C3"].internal == (0.895, 0.196)
    assert hd95["C7"].cross_validation == (1.08, 8.96) and hd95["C5"].cross_validation == (0.99, 1.36)
    assert dice["T1"].cross_validation == (0.872, 0.956)
    assert (known.p_values["hd95_mm"]["[C1,T1]"].external, known.p_values["dice"]["T1"].external) == (0.037, 0.065)
    assert known.single_cases["case 3"]["C6"] == (0.121, 1.07)
    assert known.single_cases["case 1"]["[C1,L6]"] == (0.869, 5.40)
    assert any("1.306" in note for note in known.notes) and any("0.9506" in note for note in known.notes)


def test_the_default_margins_are_what_the_papers_folds_differ_by() -> None:
    for measure, margin in MARGINS.items():
        ranges = [row.cross_validation for row in paper().cervical_model[measure].values() if row.cross_validation]
        assert np.median([high - low for low, high in ranges]) == pytest.approx(margin, rel=0.07)


def test_the_table_of_the_documentation_is_made_of_them() -> None:
    known = paper()
    rows = []
    for name in (*CERVICAL.levels, "[C1,T1]"):
        cells = []
        for measure, digits in (("dice", 3), ("hd95_mm", 2)):
            own = known.cervical_model[measure][name]
            folds = own.cross_validation
            cells.append("" if folds is None else f"{folds[0]:.{digits}f}, {folds[1]:.{digits}f}")
            cells += [f"{mean:.{digits}f} +- {sd:.{digits}f}" for mean, sd in (own.internal, own.external)]
            p = known.p_values[measure][name]
            cells.append(f"{p.internal:.3f}, {p.external:.3f}")
        rows.append(f"| {' | '.join([name, *cells])} |")
    assert "\n".join(rows) in (Path(__file__).parents[3] / "docs" / "guide" / "study.md").read_text(encoding="utf-8")
