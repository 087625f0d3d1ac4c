"""The conclusion says what the numbers show, and no more."""

from __future__ import annotations

from dataclasses import replace

from cspine.study.comparison.conclusion import conclude
from cspine.study.comparison.results import Results
from cspine.study.comparison.words import level_list


def with_verdicts(results: Results, *verdicts: str) -> Results:
    rows = tuple(
        replace(row, verdict=verdicts[i % len(verdicts)] if row.measure in ("dice", "hd95_mm") else "")
        for i, row in enumerate(results.comparisons)
    )
    return replace(results, comparisons=rows)


def claim(results: Results, *verdicts: str) -> str:
    return conclude(with_verdicts(results, *verdicts)).claims[0]


def test_alike_is_said_only_where_every_verdict_is_equivalent(two: Results) -> None:
    alike = claim(two, "equivalent")
    assert alike.startswith("model-2 and model-1 ") and "every verdict (8 vertebrae, 3 subsets, Dice and HD95)" in alike
    assert "0.02 of Dice and 0.5 mm of HD95" in alike
    assert "every verdict" not in claim(two, "equivalent", "undecided")


def test_undecided_is_explained(two: Results) -> None:
    text = claim(two, "undecided")
    assert text.startswith("Of 48 verdicts") and "0 are equivalent, 48 undecided" in text
    assert "neither a difference" in text


def test_the_better_model_is_named(two: Results) -> None:
    rows = [r for r in two.comparisons if r.single and r.measure in ("dice", "hd95_mm")]
    better = sum(
        (r.result.difference or 0) > 0 if r.measure == "dice" else (r.result.difference or 0) < 0 for r in rows
    )
    assert f"48 different (model-2 better in {better}, model-1 in {48 - better})" in claim(two, "different")


def test_differences_within_the_margin_are_called_so(two: Results) -> None:
    assert claim(two, "different within the margin").endswith(
        "no vertebra differs by more than 0.02 of Dice and 0.5 mm of HD95."
    )


def test_every_part_and_measure_has_its_sentence(two: Results) -> None:
    conclusion = conclude(two)
    assert len(conclusion.details) == 3 and all(len(sentences) == 2 for _, sentences in conclusion.details)
    head, (dice, hd95) = conclusion.details[-1]
    assert head == "External test, model-2 against model-1"
    assert dice.startswith("Dice: the mean difference over [C1,T1] is") and "95% interval" in dice
    assert "Wilcoxon signed-rank test p " in hd95 and "By vertebra, " in hd95
    assert "levels were missed" in conclusion.models[1] and "no level was missed" in conclusion.models[0]


def test_levels_are_reported_as_ranges() -> None:
    every = ["C1", "C2", "C3", "C4", "T1"]
    assert level_list(every, every) == "C1 to T1"
    assert level_list(["C1", "C2", "C4", "T1"], every) == "C1, C2, C4 and T1"
    assert level_list(["C1", "C3", "C4", "T1"], every) == "C1 and C3 to T1"


def test_one_model_is_compared_with_nothing(one: Results) -> None:
    conclusion = conclude(one)
    assert conclusion.claims == ("One model: nothing was compared.",) and conclusion.details == ()


def test_a_model_that_predicts_nothing_is_reported(one: Results) -> None:
    assert "no merit" not in conclude(one).models[0]
    failed = replace(one, descriptions=tuple(replace(d, mean=0.1) for d in one.descriptions))
    assert conclude(failed).models[0].endswith("equivalence with it is no sign of quality.")
