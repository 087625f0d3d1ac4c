"""An evaluation set as cases with their table: what is finished is kept, and nothing else."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cspine.core.errors import UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.study.synthesis import evaluation_sets
from cspine.study.synthesis.evaluation_sets import MAX_CASES, SetCase
from cspine.study.synthesis.write_set import EvaluationSet
from tests.builders.blank_volumes import blank_volumes


def _silent(done: int, whole: int) -> None:
    return None


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the cases that were generated, in order; they are blank."""
    names: list[str] = []

    def fake(atlas: object, case: SetCase, people: object) -> tuple[CtVolume, LabelVolume]:
        names.append(case.name)
        return blank_volumes()

    monkeypatch.setattr(evaluation_sets, "synthesize_set_case", fake)
    return names


def test_finished_cases_are_kept_and_others_generated(
    tmp_path: Path, atlas_folder: Path, atlas_cache: Path, made: list[str]
) -> None:
    first = EvaluationSet("hard", atlas_folder, cache=atlas_cache, count=2).write(tmp_path, _silent)
    assert made == [case.name for case in first] == ["hard_20000", "hard_20001"]
    first[1].labels.unlink()
    more = EvaluationSet("hard", atlas_folder, cache=atlas_cache, count=3).write(tmp_path, _silent)
    assert [case.kept for case in more] == [True, False, False]
    assert made[2:] == ["hard_20001", "hard_20002"]
    with (tmp_path / "cases.csv").open(newline="") as lines:
        assert [row["case"] for row in csv.DictReader(lines)] == [case.name for case in more]


def test_a_case_without_its_series_is_not_finished(
    tmp_path: Path, atlas_folder: Path, atlas_cache: Path, made: list[str]
) -> None:
    for dicom, kept in ((False, False), (True, False), (True, True), (False, True)):
        (case,) = EvaluationSet("hard", atlas_folder, None, atlas_cache, 1, dicom).write(tmp_path, _silent)
        assert case.kept is kept
    assert len(made) == 2


def test_sets_that_do_not_exist_are_refused(tmp_path: Path) -> None:
    assert EvaluationSet("ordinary", tmp_path).count == 50
    for wrong in (("easy", tmp_path), ("angio", tmp_path), ("worn", tmp_path)):
        with pytest.raises(UsageError):
            EvaluationSet(*wrong)
    for count in (0, MAX_CASES + 1):
        with pytest.raises(UsageError):
            EvaluationSet("hard", tmp_path, count=count)
