"""Dice of each fold, as nnU-Net's validation writes it."""

import json
import math

import pytest

from cspine.core.errors import TrainingError
from cspine.study.label_sets import label_set
from cspine.study.training.validation import FoldScores, fold_scores, scores_table
from tests.builders.raises import raises_code

LABELS = label_set("cervical", auxiliary=True)


def write(folder, mean, cases=3):
    (folder / "validation").mkdir(parents=True)
    content = {"mean": {str(k): {"Dice": v} for k, v in mean.items()}, "metric_per_case": [{}] * cases}
    (folder / "validation" / "summary.json").write_text(json.dumps(content))


def test_levels_by_name_without_those_that_no_case_has_and_without_the_auxiliary_class(tmp_path):
    write(tmp_path, {1: 0.5, 2: 0.75, 3: math.nan, 9: 0.1})
    scores = fold_scores(tmp_path, "0", LABELS)
    assert (scores.fold, scores.cases, scores.dice) == ("0", 3, {"C1": 0.5, "C2": 0.75})
    assert scores.mean == 0.625


@pytest.mark.parametrize("text", [None, "{", "{}", '{"mean": {"1": {}}}', "[]"])
def test_a_summary_that_is_absent_or_damaged_is_an_error(tmp_path, text):
    if text is not None:
        (tmp_path / "validation").mkdir()
        (tmp_path / "validation" / "summary.json").write_text(text)
    with raises_code(TrainingError, 2, tmp_path / "validation" / "summary.json"):
        fold_scores(tmp_path, "2", LABELS)


def test_the_table_has_a_row_a_level_and_a_column_a_fold():
    scores = [FoldScores("0", 2, {"C1": 0.5, "C2": 0.75}), FoldScores("1", 3, {"C1": 0.7})]
    assert scores_table(scores, LABELS).splitlines() == [
        "| level | mean | min | max | fold 0 | fold 1 |",
        "|---|---|---|---|---|---|",
        "| C1 | 0.600 | 0.500 | 0.700 | 0.500 | 0.700 |",
        "| C2 | 0.750 | 0.750 | 0.750 | 0.750 |  |",
        "| all levels | 0.662 | 0.625 | 0.700 | 0.625 | 0.700 |",
        "| cases | 5 | | | 2 | 3 |",
    ]


def test_a_fold_that_found_nothing_has_an_empty_mean():
    assert "| all levels |  |  |  |  |" in scores_table([FoldScores("0", 1, {})], LABELS)
