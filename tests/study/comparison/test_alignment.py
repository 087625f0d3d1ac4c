"""Evaluations side by side: pairs, subsets, references, and what is omitted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cspine.core.errors import ComparisonError
from cspine.study.comparison.alignment import Alignment, align
from cspine.study.comparison.measures import CERVICAL, DICE, FULL_SPINE, HD95, LevelGroup, level_groups
from cspine.study.comparison.reading import read_evaluation
from tests.builders.evaluation_folders import Line, missed, write_folder
from tests.builders.raises import raises_code

C1, C2, T2 = (LevelGroup(name, (name,)) for name in ("C1", "C2", "T2"))


def aligned(root: Path, *models: list[Line], **options: object) -> Alignment:
    folders = [write_folder(root / f"m{i}", lines) for i, lines in enumerate(models, 1)]
    return align([read_evaluation(folder) for folder in folders], **options)  # type: ignore[arg-type]


def test_rows_are_levels_then_groups() -> None:
    assert [g.name for g in level_groups(["T1", "C2", "C1"])] == ["C1", "C2", "T1", "[C1,T1]"]
    assert [g.name for g in level_groups(["L1", "T13", "T12", "T1"])] == ["T1", "T12", "T13", "L1", "[C1,L6]"]
    assert [g.name for g in level_groups(["T1", "C1", "T2"])] == ["C1", "T1", "T2", "[C1,T1]", "[C1,L6]"]
    assert [g.name for g in level_groups(["C3"])] == ["C3"]
    assert len(CERVICAL.levels) == 8 and FULL_SPINE.levels[-1] == "L6"


def test_pairs_are_cases_that_both_have_and_others_are_counted(tmp_path: Path) -> None:
    first = [Line("a", "C1", 0.9), Line("a", "C2", 0.8), Line("b", "C1", 0.7, 2.0), Line("c", "C1", 0.6)]
    second = [Line("a", "C1", 0.95), Line("a", "C2", 0.7), missed(Line("b", "C1")), Line("d", "C1", 0.5)]
    cohort = aligned(tmp_path, first, second)
    pairs = cohort.pairs(*cohort.models, "", C1, DICE)
    assert pairs.cases == ("a", "b") and pairs.dropped == 2
    assert list(pairs.first) == [0.9, 0.7] and list(pairs.second) == [0.95, 0.0]
    pairs = cohort.pairs(*cohort.models, "", C1, HD95)
    assert pairs.cases == ("a",) and pairs.dropped == 3  # b was missed by the second model
    both = cohort.pairs(*cohort.models, "", CERVICAL, DICE)
    assert list(both.first) == pytest.approx([0.85, 0.7]) and list(both.second) == pytest.approx([0.825, 0.0])
    assert cohort.cases("") == ["a", "b"] and cohort.cases("", cohort.models[0]) == ["a", "b", "c"]
    assert sum("absent from" in note for note in cohort.notes) == 2


def test_a_case_mean_is_over_levels_in_which_both_have_a_value(tmp_path: Path) -> None:
    first = [Line("a", "C1", hd95_mm=1.0), Line("a", "C2", hd95_mm=3.0)]
    second = [Line("a", "C1", hd95_mm=2.0), missed(Line("a", "C2"))]
    cohort = aligned(tmp_path, first, second)
    pairs = cohort.pairs(*cohort.models, "", CERVICAL, HD95)
    assert list(pairs.first) == [1.0] and list(pairs.second) == [2.0]
    assert cohort.common_values("", CERVICAL, HD95).tolist() == [[1.0, 2.0]]


def test_parts_keep_the_order_of_the_paper_and_fill_what_a_model_lacks(tmp_path: Path) -> None:
    first = [Line("a", "C1", subset="external"), Line("b", "C1", subset="training", fold=1), Line("c", "C1")]
    second = [Line("a", "C1"), Line("b", "C1"), Line("c", "C1", subset="internal")]
    cohort = aligned(tmp_path, first, second)
    assert cohort.subsets == ("training", "internal", "external")
    assert cohort.subset_of == {"a": "external", "b": "training", "c": "internal"}


@pytest.mark.parametrize(
    ("subset", "fold", "assignment"), [("external", None, "external"), ("training", 2, "training (fold 2)")]
)
def test_another_split_is_refused(tmp_path: Path, subset: str, fold: int | None, assignment: str) -> None:
    with raises_code(ComparisonError, "a", "training (fold 1)", assignment, "m2"):
        aligned(tmp_path, [Line("a", "C1", subset="training", fold=1)], [Line("a", "C1", subset=subset, fold=fold)])


def test_other_references_are_refused_unless_forced(tmp_path: Path) -> None:
    first, second = [Line("a", "C1", reference_ml=10.0)], [Line("a", "C1", reference_ml=10.1)]
    with raises_code(ComparisonError, 1, "m1", "m2", "a") as refused:
        aligned(tmp_path, first, second)
    assert "`force`" in refused.value.advice
    assert "compared all the same" in aligned(tmp_path, first, second, force=True).notes[0]
    assert not aligned(tmp_path, first, [Line("a", "C1", 0.8, reference_ml=10.0005)]).notes
    # a level that only one evaluation compares says nothing of the reference; one that only one reference has does
    assert not aligned(tmp_path, first, [Line("a", "C1", 0.8), Line("a", "T2", reference_ml=9.0)]).notes
    with raises_code(ComparisonError, 1, "m1", "m2", "a"):
        aligned(tmp_path, first, [Line("a", "C1", 0.0, None, reference_ml=0.0)])


def test_without_volumes_the_names_of_the_files_decide(tmp_path: Path) -> None:
    bare = [Line("a", "C1", reference_ml=None, predicted_ml=None)]
    for model, file in (("m1", "r/a"), ("m2", "r/a"), ("m3", "other/a")):
        write_folder(tmp_path / model, bare, files=[["a", "", file, "verse", "f", "verse"]])
    m1, m2, m3 = (read_evaluation(tmp_path / name) for name in ("m1", "m2", "m3"))
    assert not [note for note in align([m1, m2]).notes if "references" in note]
    assert "could not be checked in 1 case" in align([m1, m3]).notes[0]


def evaluations(root: Path, *models: tuple[list[Line], dict[str, object]]):
    folders = [write_folder(root / f"m{i}", lines, **about) for i, (lines, about) in enumerate(models, 1)]
    return [read_evaluation(folder) for folder in folders]


def test_a_reference_without_a_level_that_the_other_has_differs(tmp_path: Path) -> None:
    complete = [Line("a", "C1"), Line("a", "C2")]
    both, c2_alone = {"compared_levels": ["C1", "C2"]}, {"compared_levels": ["C2"]}
    with raises_code(ComparisonError, 1, "m1", "m2", "a"):
        align(evaluations(tmp_path, (complete, both), (complete[1:], both)))
    align(evaluations(tmp_path, (complete, both), (complete[1:], c2_alone)))


def test_levels_that_one_evaluation_does_not_cover_are_omitted_from_all(tmp_path: Path) -> None:
    neck = [Line("a", level) for level in CERVICAL.levels]
    some = [Line("a", level, 0.8) for level in ("C3", "C4")]
    cohort = align(
        evaluations(
            tmp_path, (neck, {"compared_levels": [*CERVICAL.levels]}), (some, {"compared_levels": ["C3", "C4"]})
        )
    )
    assert [model.levels for model in cohort.models] == [{"C3", "C4"}] * 2
    assert cohort.notes == ("C1, C2, C5, C6, C7, T1 of m1 are omitted: not every evaluation covers them.",)
    spine = [*neck, Line("a", "L1"), Line("a", "L2")]
    about = [{"compared_levels": [*{line.level for line in lines}]} for lines in (neck, spine, spine[:-1])]
    cohort = align(evaluations(tmp_path, (neck, about[0]), (spine, about[1]), (spine[:-1], about[2])))
    assert [len(model.levels) for model in cohort.models] == [8, 9, 9]
    assert "L2 of m2 is omitted: not every evaluation covers them." in cohort.notes
    with raises_code(ComparisonError, "m1", "level"):
        align(evaluations(tmp_path, (neck[:2], {"compared_levels": ["C1", "C2"]}), (some, {"compared_levels": ["C3"]})))


def test_the_same_predictions_and_the_same_model_are_reported(tmp_path: Path) -> None:
    lines, other = [Line("a", "C1"), Line("a", "C2", 0.7)], [Line("a", "C1", 0.8), Line("a", "C2", 0.7)]
    (note,) = align(evaluations(tmp_path, (lines, {}), (lines, {}))).notes
    assert note.startswith("m1 and m2 have the same values in every case")
    model = {"model": {"name": "n", "checksum": "abc"}}
    assert "are the same model" in align(evaluations(tmp_path, (lines, model), (other, model))).notes[0]
    assert align(evaluations(tmp_path, (lines, model), (other, {}))).notes == ()


def test_what_an_evaluation_says_of_its_predictions_is_passed_on(tmp_path: Path) -> None:
    lines, other = [Line("a", "C1")], [Line("a", "C1", 0.8)]
    assert align(evaluations(tmp_path, (lines, {"notes": ["Look."]}), (other, {}))).notes == ("m1: Look.",)


def test_nothing_in_common_is_refused(tmp_path: Path) -> None:
    with raises_code(ComparisonError, "m1", "m2", "case"):
        aligned(tmp_path, [Line("a", "C1")], [Line("b", "C1")])
    with raises_code(ComparisonError, "m1", "level"):
        aligned(tmp_path, [Line("a", "C1")], [Line("a", "C2")])
    with raises_code(ComparisonError, "m1", "C5"):
        aligned(tmp_path, [Line("a", "C1")], levels=("C5",))


def test_levels_restrict_every_model(tmp_path: Path) -> None:
    lines = [Line("a", level) for level in ("C1", "C2", "T2")]
    cohort = aligned(tmp_path, lines, lines, levels=CERVICAL.levels)
    assert [group.name for group in cohort.groups] == ["C1", "C2", "[C1,T1]"]


def test_a_cervical_model_is_not_reported_below_t1(tmp_path: Path) -> None:
    predicted = [Line("a", "T1"), Line("a", "T2")]
    cervical = [Line("a", "T1"), missed(Line("a", "T2"))]
    cohort = aligned(tmp_path, predicted, cervical, [missed(Line("a", "T1"))])
    full, neck, blind = cohort.models
    assert cohort.outside(full, T2) == cohort.outside(full, FULL_SPINE) == ""
    assert cohort.outside(neck, T2) == cohort.outside(neck, FULL_SPINE) == "m2 predicts no level below T1"
    assert cohort.outside(neck, CERVICAL) == ""
    assert cohort.outside(blind, LevelGroup("T1", ("T1",))) == ""  # missed, not omitted


def test_titles_differ_in_the_report(tmp_path: Path) -> None:
    for name in ("x/e", "y/e", "z"):
        write_folder(tmp_path / name, [Line("a", "C1")], "same")
    models = [read_evaluation(tmp_path / name) for name in ("x/e", "y/e", "z")]
    assert [m.title for m in align(models).models] == ["same (e) #1", "same (e) #2", "same (z) #3"]
    assert [m.title for m in align([models[0], models[2]]).models] == ["same (e)", "same (z)"]


def test_failed_cases_and_demonstration_models_are_reported(tmp_path: Path) -> None:
    write_folder(tmp_path, [Line("a", "C1")], "m", errors={"b": "x"}, model={"name": "m", "demonstration": True})
    notes = align([read_evaluation(tmp_path)]).notes
    assert notes == ("1 case could not be evaluated for m: b.", "m is a DEMONSTRATION model.")


def test_false_levels_are_in_no_pair_of_a_model_that_is_right(tmp_path: Path) -> None:
    right = [Line("a", "C1")]
    wrong = [*right, replace(Line("a", "C2"), dice=0.0, hd95_mm=None, reference_ml=0.0)]
    cohort = aligned(tmp_path, right, wrong)
    pairs = cohort.pairs(*cohort.models, "", C2, DICE)
    assert pairs.cases == () and pairs.dropped == 1
