"""Folders are tested by writing."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from cspine.doctor.diagnostic import Status
from cspine.doctor.folders import output_folder, temporary_folder


def test_a_missing_folder_can_be_created_and_is_not(tmp_path: Path) -> None:
    line = output_folder(tmp_path / "a" / "b")
    assert line.status is Status.OK and "GiB free" in line.text
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    line = output_folder(tmp_path / "file" / "out")
    assert line.status is Status.FAIL and line.advice


def test_low_space_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000})())
    assert output_folder(tmp_path).status is Status.WARN


def test_without_a_temporary_folder_folders_can_still_be_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert temporary_folder().status is Status.OK
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: str(tmp_path / "file"))
    assert temporary_folder().status is Status.WARN

    def none() -> str:
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert temporary_folder().status is Status.WARN
