"""The files of an input, through links to folders too."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.io.walk import files_below, walk
from tests.builders.closed_folders import close


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def link(place: Path, target: Path) -> None:
    place.symlink_to(target, target_is_directory=target.is_dir())


def names(folder: Path) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in files_below(folder)]


def test_files_come_by_path(tmp_path: Path) -> None:
    touch(tmp_path, "b/2", "b/1", "a/c/1", "z", ".hidden/x")
    assert files_below(tmp_path) == sorted(path for path in tmp_path.rglob("*") if path.is_file())


def test_a_folder_behind_a_link_is_read_wherever_it_lies(tmp_path: Path) -> None:
    touch(tmp_path, "in/a/1", "out/deep/2", "other/3")
    link(tmp_path / "in" / "linked", tmp_path / "out")
    link(tmp_path / "out" / "deep" / "further", tmp_path / "other")
    link(tmp_path / "in" / "file", tmp_path / "other" / "3")
    assert names(tmp_path / "in") == ["a/1", "file", "linked/deep/2", "linked/deep/further/3"]


def test_links_in_a_circle_end_and_a_folder_counts_once_under_its_own_name(tmp_path: Path) -> None:
    touch(tmp_path, "in/b/1", "in/b/c/2")
    link(tmp_path / "in" / "a", tmp_path / "in" / "b" / "c")
    link(tmp_path / "in" / "b" / "up", tmp_path / "in")
    link(tmp_path / "in" / "again", tmp_path / "in" / "b")
    assert names(tmp_path / "in") == ["b/1", "b/c/2"]


def test_a_folder_that_the_caller_removes_is_not_visited_linked_or_not(tmp_path: Path) -> None:
    touch(tmp_path, "in/a/1", "in/skip/2", "out/3")
    link(tmp_path / "in" / "linked", tmp_path / "out")
    visited = []
    for place, folders, _ in walk(tmp_path / "in"):
        visited.append(place.name)
        folders[:] = [name for name in folders if name == "a"]
    assert visited == ["in", "a"]


def test_a_folder_that_cannot_be_read_is_reported_if_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "a/1", "closed/2")
    close(tmp_path / "closed", monkeypatch)
    errors: list[OSError] = []
    assert files_below(tmp_path, errors.append) == files_below(tmp_path) == [tmp_path / "a" / "1"]
    assert [type(error) for error in errors] == [PermissionError]
