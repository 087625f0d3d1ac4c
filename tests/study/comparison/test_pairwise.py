"""Families of tests: what is corrected with what, and which verdict follows."""

from __future__ import annotations

from pathlib import Path

import pytest
from scipy import stats

from cspine.study.comparison.alignment import Alignment, align
from cspine.study.comparison.measures import ASSD, DICE, HD95
from cspine.study.comparison.pairwise import Comparison, compare_all, compare_overall, followed_p
from cspine.study.comparison.reading import read_evaluation
from cspine.study.comparison.statistics import Settings, corrected
from tests.builders.evaluation_folders import CERVICAL, Scores

SETTINGS = Settings(margins={"dice": 0.02, "hd95_mm": 0.5}, resamples=100)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Alignment:
    root = tmp_path_factory.mktemp("cohort")
    subsets = {"internal": 8, "external": 14}
    models = [Scores(subsets, seed=seed, dice=dice) for seed, dice in ((1, 0.95), (2, 0.94), (3, 0.85))]
    return align([read_evaluation(m.write(root / f"m{i}")) for i, m in enumerate(models, 1)])


def of(rows: list[Comparison], second: str, subset: str, measure: str) -> list[Comparison]:
    return [row for row in rows if (row.second, row.subset, row.measure) == (second, subset, measure)]


def test_p_values_are_corrected_over_the_vertebrae_of_a_measure_and_subset(cohort: Alignment) -> None:
    reported: list[tuple[int, int]] = []
    rows = compare_all(cohort, (DICE, HD95), SETTINGS, lambda done, total: reported.append((done, total)))
    assert reported[-1] == (8, 8) and len(rows) == 2 * 2 * 2 * 9
    family = of(rows, "m2", "external", "dice")
    levels = [row for row in family if row.single]
    assert [row.group for row in levels] == list(CERVICAL)
    p = [row.result.wilcoxon_p for row in levels]
    assert [row.p_holm for row in levels] == pytest.approx(corrected(p, "holm"))
    assert [row.p_bh for row in levels] == pytest.approx(corrected(p, "bh"))
    tost = [row.result.tost_wilcoxon_p for row in levels]
    assert [row.tost_p_corrected for row in levels] == pytest.approx(corrected(tost, "holm"))
    (group,) = (row for row in family if not row.single)
    assert (group.group, group.p_holm, group.tost_p_corrected) == ("[C1,T1]", None, None)
    assert (
        followed_p(group, SETTINGS) == group.result.wilcoxon_p and followed_p(levels[0], SETTINGS) == levels[0].p_holm
    )
    first = cohort.pairs(cohort.models[0], cohort.models[1], "external", cohort.groups[0], DICE)
    assert levels[0].result.wilcoxon_p == pytest.approx(stats.wilcoxon(first.second, first.first).pvalue)


def test_verdicts_follow_the_test_and_the_correction_asked_for(cohort: Alignment) -> None:
    rows = compare_all(cohort, (DICE,), SETTINGS)
    assert {row.verdict for row in of(rows, "m3", "external", "dice")} == {"different"}
    assert {row.verdict for row in of(rows, "m2", "external", "dice") if row.group == "[C1,T1]"} <= {
        "equivalent", "different within the margin", "different",
    }  # fmt: skip
    for correction, name in (("bh", "p_bh"), ("none", "")):
        settings = Settings(test="t", correction=correction, margins=SETTINGS.margins, resamples=100)  # type: ignore[arg-type]
        row = compare_all(cohort, (DICE,), settings)[0]
        assert followed_p(row, settings) == (getattr(row, name) if name else row.result.t_p)


def test_a_measure_without_a_margin_has_no_verdict(cohort: Alignment) -> None:
    row = compare_all(cohort, (ASSD,), SETTINGS)[0]
    assert row.verdict == "" and row.result.wilcoxon_p is not None and row.result.tost_wilcoxon_p is None


def test_results_do_not_depend_on_what_else_is_compared(cohort: Alignment) -> None:
    alone = compare_all(cohort, (HD95,), SETTINGS)
    both = [row for row in compare_all(cohort, (DICE, HD95), SETTINGS) if row.measure == "hd95_mm"]
    assert alone == both


def test_three_models_are_compared_overall(cohort: Alignment) -> None:
    rows = compare_overall(cohort, (DICE,))
    external = [row for row in rows if row.subset == "external"]
    values = cohort.common_values("external", cohort.groups[0], DICE)
    assert values.shape == (14, 3)
    assert external[0].result.p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
    p = [row.result.p for row in external if row.single]
    assert [row.p_holm for row in external if row.single] == pytest.approx(corrected(p, "holm"))
    assert compare_overall(Alignment(cohort.models[:2], cohort.subset_of), (DICE,)) == []


def test_what_a_cervical_model_does_not_predict_is_not_compared(tmp_path: Path) -> None:
    subsets = {"external": 6}
    full = Scores(subsets, levels=(*CERVICAL, "T2"))
    neck = Scores(subsets, levels=CERVICAL, seed=2)
    models = [read_evaluation(m.write(tmp_path / name)) for m, name in ((full, "full"), (neck, "neck"))]
    rows = compare_all(align(models), (DICE,), SETTINGS)
    for row in rows:
        below = row.group in ("T2", "[C1,L6]")
        assert row.result.reasons == (("neck predicts no level below T1",) if below else ())
        assert (row.verdict == "") == below
