"""Models and their checksums."""

from __future__ import annotations

from pathlib import Path

from cspine.doctor.diagnostic import Status
from cspine.doctor.packages import models
from tests.builders.nnunet_results import TinyModel


def statuses(name: str | None, folder: Path) -> list[tuple[str, Status]]:
    return [(line.name, line.status) for line in models(name, [folder])]


def test_a_damaged_model_fails_only_if_it_is_the_model_of_a_run(tmp_path: Path) -> None:
    TinyModel().package(tmp_path / "one")
    TinyModel(seed=1).package(tmp_path / "two")
    assert statuses("one", tmp_path) == [("model one", Status.OK), ("model two", Status.OK)]
    with (tmp_path / "two" / "fine" / "plans.json").open("a") as file:
        file.write(" ")
    assert statuses("one", tmp_path) == [("model one", Status.OK), ("model two", Status.WARN)]
    assert statuses("two", tmp_path) == [
        ("model two", Status.FAIL),
        ("model one", Status.OK),
    ]


def test_in_a_container_the_only_model_of_its_folder_is_the_one_of_a_run(tmp_path: Path) -> None:
    TinyModel().package(tmp_path / "mounted" / "neck")
    (line,) = models(None, [tmp_path / "mounted"], tmp_path / "mounted")
    assert line.status is Status.OK
    (line,) = models(None, [], tmp_path / "wrong mount")
    assert line.status is Status.FAIL


def test_a_model_that_is_not_there_fails(tmp_path: Path) -> None:
    (line,) = models(None, [tmp_path])
    assert line.status is Status.FAIL and "installed: none" in line.text and "cspine models" in line.advice
