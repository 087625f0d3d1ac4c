"""A short round, and every mutant that once was a fault; `make fuzz` runs more."""

from __future__ import annotations

import logging
import os
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fuzz.case import MARKER, bases, new_case
from tests.fuzz.mutations import MUTATIONS
from tests.fuzz.oracle import judge, observed
from tests.fuzz.rounds import Recipe, corpus, mutant, recipes, run_one


@pytest.mark.parametrize("base", bases())
def test_an_unchanged_series_gives_its_values(base: str, tmp_path: Path) -> None:
    assert judge(new_case(base), tmp_path).kind == "same"


@pytest.mark.parametrize("first", range(0, 60, 10))
def test_mutants_end_with_a_code_the_same_values_or_a_note(first: int) -> None:
    outcomes = {recipe: run_one(recipe) for recipe in recipes(2026, first, 10)}
    assert {recipe: outcome for recipe, outcome in outcomes.items() if outcome.is_fault} == {}


@pytest.mark.parametrize("recipe", corpus(), ids=lambda recipe: f"{recipe.base}-{recipe.seed}")
def test_what_once_was_a_fault_is_none(recipe: Recipe) -> None:
    outcome = run_one(recipe)
    assert outcome.kind in ("refused", "same", "noted"), outcome


def test_a_seed_gives_the_same_mutants() -> None:
    assert list(recipes(3, 5, 20)) == list(recipes(3, 0, 25))[5:]
    recipe = Recipe("ExplicitVRLittleEndian", ("element of another value", "position rounded"), "a")
    first, second = mutant(recipe), mutant(recipe)
    assert first is not None and second is not None
    assert [str(dataset) for dataset in first.datasets] == [str(dataset) for dataset in second.datasets]


def test_every_mutation_is_part_of_a_round() -> None:
    assert {name for recipe in recipes(1, 0, 2000) for name in recipe.mutations} == set(MUTATIONS)


# --- the oracle itself ------------------------------------------------------------------------------------------------


def test_wrong_values_without_a_word_are_noticed(tmp_path: Path) -> None:
    case = new_case("ExplicitVRLittleEndian")
    case.truth[3] = replace(case.truth[3], hu_yx=case.truth[7].hu_yx)
    assert judge(case, tmp_path).kind == "silent"


def test_an_error_without_a_code_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("cspine.pipeline.steps.reading.read_volume", lambda *_, **__: fail())
    assert judge(new_case("enhanced"), tmp_path).kind == "uncaught"


def test_a_private_word_is_noticed_wherever_it_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    with observed() as printed:
        os.write(2, f"{MARKER}1".encode())
        sys.stdout.write(f"{MARKER}2")
        logging.getLogger("cspine").debug("%s3", MARKER)
        warnings.warn(f"{MARKER}4", stacklevel=1)
        logging.getLogger("pydicom").warning("%s5", MARKER)
        said = printed()
    assert [number for number in "12345" if f"{MARKER}{number}" in said] == ["1", "2", "3"]
    assert capfd.readouterr() == ("", "")
