"""Findings of synthetic cases: each is counted once a case, and named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import false_findings
from benchmarks.false_findings import Case, as_json, cases, found, markdown
from cspine.core.findings import METAL, MOTION
from tests.builders.small_set import small_case
from tests.builders.spine_phantom import volumes
from tests.builders.tiny_atlas import write_atlas

MOVED = (MOTION.about("At C3.", "C3"), MOTION.about("At C5.", "C5"))
LOOKED_AT = (Case("ordinary_1", (), MOVED), Case("hard_2", ("screws",), (METAL.about("Screws."),)), Case("a", (), ()))


def test_cases_of_the_set_are_made_and_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(false_findings, "set_case", small_case)
    made = list(cases(write_atlas(tmp_path), "hard", 2))
    assert [case.name for case in made] == ["hard_20000", "hard_20001"]
    assert [case.hard_because for case in made] == [small_case("hard", i).perturbations for i in range(2)]


def test_findings_about_image_and_shape_are_those_of_a_run() -> None:
    labels, ct = volumes()
    assert found(labels, ct) == ()
    z, y, x = (int(v) for v in np.argwhere(labels.labels_zyx == 3).mean(axis=0))
    ct.hu_zyx[z : z + 6, y : y + 6, x : x + 6] = 3071
    assert [finding.code for finding in found(labels, ct)] == ["CS-FND-035"]


def test_a_case_counts_once_for_each_kind_of_finding() -> None:
    text = markdown(LOOKED_AT)
    assert "1 of 3 cases" in text
    assert "| CS-FND-035 | 1 |" in text and "| CS-FND-042 | 1 |" in text
    assert "| hard_2 | screws | CS-FND-035 | Screws. |" in text
    assert markdown(LOOKED_AT[2:]).startswith("1 of 1 cases")


def test_the_figures_have_every_finding() -> None:
    first = as_json(LOOKED_AT)["cases"][0]
    assert [(f["code"], f["level"]) for f in first["findings"]] == [("CS-FND-042", "C3"), ("CS-FND-042", "C5")]
