"""All cases together: spreads, missed and false levels, groups, subsets."""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import pytest

from cspine.core.anatomy import CERVICAL_LEVELS, levels_between
from cspine.study.evaluation.evaluation import CaseResult
from cspine.study.evaluation.metrics import LevelMatch, Score
from cspine.study.evaluation.summaries import Spread, as_identity, by_subset, predicted_by, spread, summaries, summary
from tests.builders.evaluation_cases import case_of, false_level, missed_level, score_of
from tests.builders.spine_phantom import MODEL


def test_spread_of_values_that_are_defined() -> None:
    assert spread([1.0, None, 4.0, 2.0]) == Spread(3, 7 / 3, statistics.stdev([1, 4, 2]), 2.0, 3.8, 1.0, 4.0)
    assert spread([2.5]) == Spread(1, 2.5, None, 2.5, 2.5, 2.5, 2.5)
    assert spread([None]) == spread([]) == Spread(0)


TWO = [
    case_of("a", score_of("C1", 0.9, 1.0), missed_level("C2"), score_of("T3", 0.8, 2.0)),
    case_of("b", score_of("C1", 0.7, 3.0), score_of("C2", 0.5, 5.0), false_level("C7")),
]


def test_each_level_and_the_groups() -> None:
    by_name = {level.name: level for level in summaries(TWO, levels_between("C1", "T4"))}
    assert list(by_name) == [
        "C1", "C2", "C7", "T3", "[C1,T1]", "[C1,T1] case means", "[C1,L6]", "[C1,L6] case means",
    ]  # fmt: skip
    assert (by_name["C1"].spreads["dice"].mean, by_name["C1"].spreads["hd95_mm"].n) == (pytest.approx(0.8), 2)
    c2 = by_name["C2"]
    assert (c2.missed, c2.false, c2.spreads["dice"].mean, c2.spreads["hd95_mm"].mean) == (1, 0, 0.25, 5.0)
    assert (c2.identification_rate, c2.level_accuracy, c2.vertebrae) == (0.5, 0.5, 2)
    assert (by_name["C7"].missed, by_name["C7"].false, by_name["C7"].identification_rate) == (0, 1, None)
    pooled, cases = by_name["[C1,T1]"], by_name["[C1,T1] case means"]
    assert pooled.spreads["dice"] == spread([0.9, 0.0, 0.7, 0.5, 0.0])
    assert cases.spreads["dice"] == spread([(0.9 + 0.0) / 2, (0.7 + 0.5 + 0.0) / 3])
    assert cases.spreads["hd95_mm"] == spread([1.0, 4.0]) and (cases.missed, cases.false) == (1, 1)
    assert by_name["[C1,L6]"].spreads["dice"].n == 6


def test_the_whole_spine_is_no_group_of_the_neck() -> None:
    neck = [result.restricted(CERVICAL_LEVELS) for result in TWO]
    assert [level.name for level in summaries(neck, CERVICAL_LEVELS)][-2:] == ["[C1,T1]", "[C1,T1] case means"]


def test_summary_of_all_and_of_each_subset() -> None:
    subsets = [*(case_of(r.case, *r.scores, subset="training", fold=n) for n, r in enumerate(TWO))]
    subsets += [case_of("c", score_of("C1", 1.0, 0.0), subset="external")]
    subsets += [CaseResult("d", (), (), None, error="[CS-IN-001] cannot read d.nii.gz", subset="external")]
    assert {subset: len(some) for subset, some in by_subset(subsets).items()} == {"training": 2, "external": 2}
    result = summary(subsets, levels_between("C1", "T4"), as_identity(MODEL), "ours")
    assert (result["title"], result["model"]["name"], result["cases"]) == ("ours", "phantom-net", 4)
    assert result["compared_levels"] == [level.name for level in levels_between("C1", "T4")]
    assert result["errors"] == {"d": "[CS-IN-001] cannot read d.nii.gz"}
    assert result["levels"]["C1"]["cases"] == 3 and result["levels"]["C2"]["missed"] == 1
    assert (
        result["subsets"]["external"]["levels"]["C1"]["mean_dice"] == 1.0
        and result["subsets"]["external"]["cases"] == 2
    )
    group = result["subsets"]["training"]["groups"]["[C1,T1]"]
    assert group["sd_dice"] == pytest.approx(statistics.stdev([0.9, 0.0, 0.7, 0.5, 0.0]))
    assert group["case_mean_dice"] == pytest.approx((0.45 + 0.4) / 2)
    assert (result["missed"], result["false"]) == (1, 1)
    assert summary(TWO, CERVICAL_LEVELS, None)["model"] is None and summary(TWO, CERVICAL_LEVELS, None)["subsets"] == {}


def test_no_case_at_all_is_reported_without_numbers() -> None:
    failed = [CaseResult("a", (), (), None, error="why")]
    result = summary(failed, CERVICAL_LEVELS, None)
    assert result["mean_dice"] is None and result["levels"] == {} and result["level_accuracy"] is None
    assert result["groups"]["[C1,T1]"]["cases"] == 0


def test_the_builders_are_what_an_evaluation_gives() -> None:
    assert missed_level("C2").missed and false_level("C2").false
    assert isinstance(score_of("C1", 1.0, 0.0), Score) and TWO[0].matches[0] == LevelMatch("C1", "C1")


def test_predictions_of_cspine_name_their_model(tmp_path: Path) -> None:
    model = {"name": "neck", "version": "1.0", "checksum": "ab" * 32}
    assert predicted_by(None) is None and predicted_by(tmp_path) is None
    for content, expected in (
        ({"command": "cspine predict", "model": model}, model),
        ({"command": "cspine audit", "model": model}, None),
        ([1], None),
    ):
        (tmp_path / "summary.json").write_text(json.dumps(content))
        assert predicted_by(tmp_path) == expected
