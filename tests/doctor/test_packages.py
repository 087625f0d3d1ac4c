"""Models and their checksums."""

from __future__ import annotations

from pathlib import Path

from cspine.doctor.check import Readiness
from cspine.doctor.packages import models
from tests.builders.nnunet_results import TinyModel


def verdicts(wanted: str | None, place: Path) -> list[tuple[str, Readiness]]:
    return [(line.name, line.verdict) for line in models(wanted, [place])]


def test_the_model_of_a_run_must_be_whole_and_the_others_should_be(tmp_path: Path) -> None:
    TinyModel().package(tmp_path / "one")
    TinyModel(seed=1).package(tmp_path / "two")
    assert verdicts("one", tmp_path) == [("model one", Readiness.OK), ("model two", Readiness.OK)]
    with (tmp_path / "two" / "fine" / "plans.json").open("a") as file:
        file.write(" ")
    assert verdicts("one", tmp_path) == [("model one", Readiness.OK), ("model two", Readiness.WARN)]
    assert verdicts("two", tmp_path) == [
        ("model two", Readiness.FAIL),
        ("model one", Readiness.OK),
    ]


def test_in_a_container_the_only_model_of_its_folder_is_the_one_of_a_run(tmp_path: Path) -> None:
    TinyModel().package(tmp_path / "mounted" / "neck")
    (line,) = models(None, [tmp_path / "mounted"], tmp_path / "mounted")
    assert line.verdict is Readiness.OK
    (line,) = models(None, [], tmp_path / "wrong mount")
    assert line.verdict is Readiness.FAIL


def test_a_model_that_is_not_there_fails(tmp_path: Path) -> None:
    (line,) = models(None, [tmp_path])
    assert line.verdict is Readiness.FAIL and "installed: none" in line.text and "cspine models" in line.advice
