"""What an evaluation says of cases: right, wrong, missed, and whether a user would have been warned."""

from __future__ import annotations

import csv
from pathlib import Path

from cspine.postprocessing.findings import CUT_BY_EDGE, MISSING_LEVEL, OFF_COLUMN_REMOVED, Finding
from cspine.study.evaluation import evaluation
from cspine.volumes import LabelVolume
from tests.builders.spine_phantom import MODEL, Phantom, draw

AFFINE = Phantom().grid().affine_lps
TRUTH = LabelVolume(draw(Phantom()), AFFINE)


def changed(**to: int) -> LabelVolume:
    """The neck with levels called otherwise: ``C3=4``."""
    labels = TRUTH.labels_zyx.copy()
    for name, label in to.items():
        labels[TRUTH.labels_zyx == int(name[1:])] = label
    return LabelVolume(labels, AFFINE)


def result(found: LabelVolume, *findings: Finding, without: bool = False) -> evaluation.CaseResult:
    return evaluation.compare("a", TRUTH, found, None if without else findings)


def test_a_wrong_level_is_silent_unless_a_finding_about_levels_warns() -> None:
    wrong = changed(C3=4)
    assert result(wrong).silent
    assert result(wrong, CUT_BY_EDGE.about("x")).silent
    assert not result(wrong, MISSING_LEVEL.about("x")).silent
    assert not result(changed(C3=0)).silent
    assert result(wrong, without=True).silent is None
    assert evaluation.headline(result(wrong)) == "wrong level, no finding"
    assert evaluation.words(result(wrong))[0] == "- C3 labelled C4"


def test_figures_of_a_case() -> None:
    good = result(TRUTH, OFF_COLUMN_REMOVED.about("x"))
    assert (good.mean_dice, good.mean_hd95_mm, good.level_accuracy, good.ok) == (1.0, 0.0, 1.0, True)
    assert good.told == ()
    missed = result(changed(C3=0))
    assert missed.level_accuracy == 7 / 8 and not missed.ok
    assert missed.mean_hd95_mm == 0.0  # over the levels that both have
    order = sorted([good, missed, result(changed(C3=4))], key=lambda r: r.rank)
    assert [len(r.wrong) for r in order] == [1, 0, 0] and order[-1] is good


def test_tables_and_summary(tmp_path: Path) -> None:
    results = [result(changed(C3=4, C5=0), CUT_BY_EDGE.about("x")), result(TRUTH, without=True)]
    evaluation.write_tables(results, tmp_path)
    with (tmp_path / "cases.csv").open(newline="") as lines:
        first, second = csv.DictReader(lines)
    assert (first["wrong_levels"], first["missed_levels"], first["findings"]) == ("C3:C4", "C5", "CS-FND-001")
    assert (first["wrong_without_finding"], first["ok"], first["level_accuracy"]) == ("yes", "no", "0.750")
    assert (second["wrong_without_finding"], second["findings"], second["ok"]) == ("n/a", "n/a", "yes")
    told = evaluation.summary(results, MODEL)
    assert told["level_accuracy"] == 14 / 16 and told["cases_wrong_without_finding"] == 1
    assert told["levels"]["C5"] == {"cases": 2, "mean_dice": 0.5, "mean_hd95_mm": 0.0}
    assert evaluation.summary(results[1:], None)["cases_wrong_without_finding"] is None
