"""An output folder replaces nothing but its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cspine.core.errors import OutputError, UsageError
from cspine.io.output_folder import OutputFolder, refuse_overlap
from tests.builders.raises import raises_code


def folder(root: Path, command: str = "cspine audit") -> OutputFolder:
    return OutputFolder(root, command, ("labels", "cases"), ("audit.csv",))


def test_inputs_in_its_folders_are_refused_also_behind_links(tmp_path: Path) -> None:
    (tmp_path / "out" / "labels" / "more").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "out" / "labels")
    folder(tmp_path / "out").begin()
    inputs = {"out/labels": "labels/", "out/labels/more": "labels/", "link": "labels/", "out/x/../cases": "cases/"}
    for read, folder_name in inputs.items():
        with raises_code(UsageError, "--out", folder_name) as refused:
            folder(tmp_path / "out").check([None, tmp_path / read])
        assert refused.value.advice == "Give `out` another folder."
    folder(tmp_path / "out").check([tmp_path, tmp_path / "out" / "images"])
    with raises_code(UsageError, "--out"):
        folder(tmp_path / "out").check([tmp_path / "x" / ".." / "out"])
    with raises_code(UsageError, "--pseudo-labels", "imagesTr/"):
        refuse_overlap([tmp_path / "imagesTr"], [tmp_path / "imagesTr"], "--pseudo-labels")


@pytest.mark.parametrize("name", ["labels", "cases", "audit.csv", "summary.json", "sheet.png", "sheet-1.png"])
def test_files_that_it_did_not_make_stay(tmp_path: Path, name: str) -> None:
    if "." in name:
        (tmp_path / name).write_text("[1]")
    else:
        (tmp_path / name).mkdir()
    (tmp_path / "images").mkdir()
    with raises_code(UsageError, "--out", name):
        folder(tmp_path).check([])


def test_its_own_results_are_renewed_even_where_it_was_interrupted(tmp_path: Path) -> None:
    own = folder(tmp_path / "out")
    own.check([])
    own.begin()
    assert json.loads((tmp_path / "out/summary.json").read_text()) == {"command": "cspine audit", "complete": False}
    (tmp_path / "out/labels").mkdir()
    own.check([])
    own.finish({"cases": 3})
    content = json.loads((tmp_path / "out/summary.json").read_text())
    assert content == {"command": "cspine audit", "complete": True, "cases": 3}
    own.check([])
    with raises_code(UsageError, "--out", "cspine evaluate"):
        folder(tmp_path / "out", "cspine evaluate").check([])


def test_results_for_something_else_are_not_replaced(tmp_path: Path) -> None:
    def of(**identity: object) -> OutputFolder:
        return OutputFolder(tmp_path, "cspine predict", (), (), identity)

    of(model="a", settings={"raw": True}).begin()
    with raises_code(UsageError, "--out", "cspine predict", "model", "settings"):
        of(model="b", settings={"raw": False}).check([])
    of(model="a", settings={"raw": True}).finish({"cases": 3})
    with raises_code(UsageError, "--out", "cspine predict", "settings"):
        of(model="a", settings={}).check([])
    of(model="a", settings={"raw": True}, new="of a later version").check([])
    assert json.loads((tmp_path / "summary.json").read_text())["cases"] == 3


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with raises_code(OutputError, tmp_path / "file"):
        folder(tmp_path / "file").check([])
