"""Who may read and write the folder of the queue."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from cspine.core.errors import SpoolError
from cspine.service.queue import durable
from cspine.service.queue.spool import Spool
from cspine.service.startup import inspect_spool


def mode(path: Path) -> int:
    """The permissions of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(params=[None, 0o755, 0o777])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A spool folder that does not exist, or exists and is open to other users."""
    path = tmp_path / "spool"
    if request.param is not None:
        path.mkdir()
        path.chmod(request.param)
    return path


def test_the_spool_and_its_locks_are_private_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        spool = Spool(folder)
        spool.lock()
        with spool.transition():
            durable.make_file(spool.receiving / "study")
        spool.release()
    finally:
        os.umask(before)
    assert {mode(path) for path in (folder, *folder.iterdir()) if path.is_dir()} == {0o700}
    assert {mode(folder / name) for name in ("lock", "transitions", "receiving/study")} == {0o600}


def test_a_folder_of_another_user_that_everybody_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "spool"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(SpoolError):
        Spool(folder)
    with pytest.raises(SpoolError):
        inspect_spool(folder, 0)
    folder.chmod(0o770)
    Spool(folder)
    assert mode(folder) == 0o770
