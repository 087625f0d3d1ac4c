"""Folders for unfinished work."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from cspine.io.staging import remove_abandoned, staging_folder

_LONG_AGO = time.time() - 3600


def _left_behind(folder: Path, age_s: float = 3600) -> Path:
    """A folder of a call that was killed."""
    folder.mkdir()
    (folder / "slice.dcm").touch()
    os.utime(folder, (time.time() - age_s, time.time() - age_s))
    return folder


def test_a_staging_folder_is_private_and_removed_whatever_happens(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), staging_folder(tmp_path, ".work-") as folder:
        (folder / "file").touch()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        1 / 0  # noqa: B018
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_call_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, other = _left_behind(tmp_path / ".work-left"), _left_behind(tmp_path / "work-of-somebody")
    with staging_folder(tmp_path, ".work-"):
        assert not left.exists()
        assert other.exists()


def test_a_folder_in_use_is_kept(tmp_path: Path) -> None:
    with staging_folder(tmp_path, ".work-") as used:
        os.utime(used, (_LONG_AGO, _LONG_AGO))
        with staging_folder(tmp_path, ".work-"):
            assert used.is_dir()


def test_a_young_folder_which_may_be_about_to_be_locked_is_kept(tmp_path: Path) -> None:
    young = _left_behind(tmp_path / ".work-young", age_s=5)
    remove_abandoned(tmp_path, ".work-")
    assert young.is_dir()


def test_a_link_and_a_folder_of_another_user_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = _left_behind(tmp_path / "target")
    (tmp_path / ".work-link").symlink_to(target)
    os.utime(tmp_path / ".work-link", (_LONG_AGO, _LONG_AGO), follow_symlinks=False)
    remove_abandoned(tmp_path, ".work-")
    assert (target / "slice.dcm").exists()
    foreign = _left_behind(tmp_path / ".work-foreign")
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    remove_abandoned(tmp_path, ".work-")
    assert foreign.exists()
