"""Patients are split, never their cases, and alike in every dataset of a study."""

import random
import time
from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspine.core.errors import SplitError
from cspine.study.datasets.case_table import Subset, split_checksum
from cspine.study.datasets.split import InternalFrom, SplitSettings, split, splits_final
from tests.builders.case_rows import NECK, TRUNK, case_row, study_rows
from tests.builders.raises import raises_code


def subsets_of(rows):
    found = defaultdict(set)
    for row in rows:
        if row.subset not in (Subset.UNUSED, Subset.UNASSIGNED):
            found[row.subset].add(row.patient)
    return found


def test_the_papers_study_is_split_by_its_numbers_in_a_moment():
    cervical, full_spine = study_rows(900, 900)
    start = time.perf_counter()
    necks, spines = split([cervical, full_spine], SplitSettings())
    assert time.perf_counter() - start < 2.0
    assert {subset: len(p) for subset, p in subsets_of(necks).items()} == {
        Subset.TRAINING: 172, Subset.INTERNAL: 37, Subset.EXTERNAL: 268,
    }  # fmt: skip
    assert all(row.source == "TotalSegmentator" for row in spines if row.subset is Subset.EXTERNAL)
    assert all(row.source != "TotalSegmentator" for row in spines if row.subset in (Subset.TRAINING, Subset.INTERNAL))
    assert all(row.levels == NECK and not row.partial for row in spines if row.subset is Subset.EXTERNAL)
    assert not any(row.subset is not Subset.UNUSED for row in [*necks, *spines] if row.excluded)


def test_training_and_internal_are_alike_in_age_sex_and_source():
    cervical, _ = study_rows(900, 300)
    rows = [row for row in split([cervical], SplitSettings(external=50))[0] if row.subset is not Subset.UNASSIGNED]
    one = {row.patient: row for row in rows}.values()
    for kind in (lambda r: r.source, lambda r: r.sex, lambda r: r.age_years is not None and r.age_years >= 60):
        shares = {}
        for subset in (Subset.TRAINING, Subset.INTERNAL):
            counts = Counter(kind(row) for row in one if row.subset is subset)
            shares[subset] = {key: count / counts.total() for key, count in counts.items()}
        for key in shares[Subset.TRAINING]:
            assert shares[Subset.TRAINING][key] == pytest.approx(shares[Subset.INTERNAL].get(key, 0), abs=0.1)


@settings(max_examples=25, deadline=None)
@given(st.integers(40, 80), st.integers(25, 45), st.integers(0, 50), st.sampled_from(InternalFrom), st.booleans())
def test_a_patient_lies_in_one_part_and_fold_everywhere(patients, external, seed, internal_from, training):
    tables = study_rows(patients, external, seed)
    remaining = Subset.TRAINING if training else Subset.UNASSIGNED
    asked = SplitSettings(seed=seed, scale=True, folds=3, internal_from=internal_from, remaining=remaining)
    assigned = split(tables, asked)
    groups = defaultdict(set)
    for before, rows in zip(tables, assigned, strict=True):
        assert [row.case for row in rows] == [row.case for row in before]
        for row in rows:
            if row.subset in (Subset.TRAINING, Subset.INTERNAL, Subset.EXTERNAL):
                groups[row.patient].add((row.subset, row.fold))
            assert (row.fold is not None) == (row.subset is Subset.TRAINING)
            assert row.subset is Subset.UNUSED if row.excluded else row.subset is not Subset.UNUSED
    assert all(len(found) == 1 for found in groups.values())
    for rows in assigned:
        sizes = Counter(
            next(iter(groups[p]))[1] for p in {row.patient for row in rows if row.subset is Subset.TRAINING}
        )
        assert set(sizes) == {0, 1, 2} and max(sizes.values()) - min(sizes.values()) <= 3
    leading = Counter(next(iter(groups[p]))[1] for p in {r.patient for r in assigned[0] if r.subset is Subset.TRAINING})
    assert max(leading.values()) - min(leading.values()) <= 1
    shuffled = [random.Random(seed).sample(rows, len(rows)) for rows in tables]
    again = split(shuffled, asked)
    assert [split_checksum(rows) for rows in again] == [split_checksum(rows) for rows in assigned]


def test_an_earlier_split_is_forgotten_and_another_seed_gives_another():
    cervical, _ = study_rows(160, 80)
    asked = SplitSettings(40, 8, 20)
    (first,) = split([cervical], asked)
    assert split([first], asked) == [first]
    (other,) = split([first], replace(asked, seed=1))
    assert split_checksum(other) != split_checksum(first)


def test_internal_patients_come_on_top_or_out_of_those_for_training():
    cervical, _ = study_rows(300, 0)
    for internal_from, training in ((InternalFrom.TOP, 60), (InternalFrom.TRAINING, 47)):
        found = subsets_of(split([cervical], SplitSettings(60, 13, 0, internal_from))[0])
        assert (len(found[Subset.TRAINING]), len(found[Subset.INTERNAL])) == (training, 13)


def test_too_few_patients_are_reported_with_the_counts():
    rows = [case_row(f"v{i}") for i in range(30)]
    rows += [case_row(f"t{i}", source="TotalSegmentator", partial=("T1",) if i else ()) for i in range(4)]
    with pytest.raises(SplitError) as refused:
        split([rows], SplitSettings(40, 5, 2))
    for fact in ("need 45 patients, 30 ", "2 patients of TotalSegmentator with C1 to T1 ", "1 are there among 4"):
        assert fact in refused.value.message
    with raises_code(SplitError, 5, 4):
        split([rows[:5]], SplitSettings(4, 1, 0))
    assert "`scale`" in refused.value.advice
    with raises_code(SplitError, "TotalSegmentator", "C1", "T1", 0, 0) as refused:
        split([rows[:30]], SplitSettings(scale=True))
    assert "`external` 0" in refused.value.advice and "`scale`" not in refused.value.advice
    with raises_code(SplitError, 5, 5):
        split([rows], SplitSettings(5, 5, 0, InternalFrom.TRAINING))


def test_scaled_down_a_small_cohort_keeps_the_proportions():
    rows = [case_row(f"v{i}") for i in range(41)]
    rows += [case_row(f"t{i}", source="TotalSegmentator") for i in range(19)]
    found = {subset: len(p) for subset, p in subsets_of(split([rows], SplitSettings(scale=True))[0]).items()}
    assert found == {Subset.TRAINING: 34, Subset.INTERNAL: 7, Subset.EXTERNAL: 19}
    tiny = split([rows[:8] + rows[-1:]], SplitSettings(scale=True))[0]
    assert Counter(row.subset for row in tiny) == {Subset.TRAINING: 7, Subset.INTERNAL: 1, Subset.EXTERNAL: 1}
    exact = split([rows], SplitSettings(20, 4, 10, scale=True))[0]
    assert Counter(row.subset for row in exact)[Subset.UNASSIGNED] == 26


def test_patients_whom_only_the_second_dataset_can_use_are_for_training_there_or_unassigned():
    full = [case_row(f"v{i}") for i in range(10)] + [case_row(f"a{i}", levels=TRUNK) for i in range(6)]
    neck = [replace(row, levels=() if row.levels == TRUNK else NECK) for row in full]
    for remaining in (Subset.TRAINING, Subset.UNASSIGNED):
        necks, spines = split([neck, full], SplitSettings(8, 2, 0, folds=4, remaining=remaining))
        assert {row.subset for row in spines if row.levels == TRUNK} == {remaining}
        assert {row.subset for row in necks if not row.levels} == {Subset.UNUSED}
    (alone,) = split([full], SplitSettings(12, 4, 0))
    assert not [row for row in alone if row.subset is Subset.UNASSIGNED]


def test_the_incomplete_scan_of_an_external_patient_is_unassigned():
    rows = [case_row(f"v{i}") for i in range(8)]
    rows += [case_row("t_1", source="TotalSegmentator", patient="t")]
    rows += [case_row("t_2", source="TotalSegmentator", patient="t", partial=("C1",)), case_row("t_3", patient="t")]
    (assigned,) = split([rows], SplitSettings(6, 2, 1, folds=3))
    assert [row.subset for row in assigned[-3:]] == [Subset.EXTERNAL, Subset.UNASSIGNED, Subset.UNASSIGNED]


def test_a_case_of_two_patients_is_refused():
    with raises_code(SplitError, "a", "a", "b"):
        split([[case_row("a")], [case_row("a", patient="b")]], SplitSettings(scale=True))


def test_nnunets_folds_have_every_training_case_once():
    cervical, _ = study_rows(160, 0)
    (rows,) = split([cervical], SplitSettings(40, 8, 0))
    folds = splits_final(rows)
    training = sorted(row.case for row in rows if row.subset is Subset.TRAINING)
    assert len(folds) == 5
    assert sorted(case for fold in folds for case in fold["val"]) == training
    assert all(sorted(fold["train"] + fold["val"]) == training for fold in folds)
