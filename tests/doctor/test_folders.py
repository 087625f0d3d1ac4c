"""Folders are tried by writing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cspine.doctor.check import Readiness
from cspine.doctor.folders import output_folder, temporary_folder


def test_a_folder_that_is_not_there_yet_can_be_made_and_nothing_is_left(tmp_path: Path) -> None:
    line = output_folder(tmp_path / "a" / "b")
    assert line.verdict is Readiness.OK and "GiB free" in line.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = output_folder(tmp_path / "file" / "out")
    assert line.verdict is Readiness.FAIL and line.advice


def test_little_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    assert output_folder(tmp_path).verdict is Readiness.WARN


def test_without_a_temporary_folder_folders_can_still_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert temporary_folder().verdict is Readiness.OK
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert temporary_folder().verdict is Readiness.WARN

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert temporary_folder().verdict is Readiness.WARN
