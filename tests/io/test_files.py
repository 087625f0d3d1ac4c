"""Files and folders appear complete, or not at all."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from cspine.core.errors import OutputError
from cspine.io.files import write_atomic, write_folder_atomic
from tests.builders.raises import raises_code


def test_a_file_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(partial: Path) -> None:
        partial.write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_atomic(tmp_path / "a", fail)
    assert list(tmp_path.iterdir()) == []
    write_atomic(tmp_path / "new" / "a", lambda partial: partial.write_text("whole"))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_a_folder_is_replaced_when_the_new_one_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "series"

    def write(*names: str, then: BaseException | None = None) -> None:
        def content(partial: Path) -> None:
            for name in names:
                (partial / name).write_text("")
            if then is not None:
                raise then

        write_folder_atomic(folder, content)

    with pytest.raises(KeyboardInterrupt):
        write("a", then=KeyboardInterrupt())
    assert not folder.exists()
    write("a", "b")
    with raises_code(OutputError, "series"):
        write("c", then=OSError("no space"))
    assert sorted(path.name for path in folder.iterdir()) == ["a", "b"]
    write("c")
    assert [path.name for path in folder.parent.rglob("*")] == ["series", "c"]


def test_what_killed_calls_left_is_removed_after_an_hour(tmp_path: Path) -> None:
    old, young, other = (tmp_path / f".partial-{name}" for name in ("0123abcd-a", "89abcdef-a", "0123abcd-b"))
    for path in (old, young, other):
        path.write_text("half")
        if path is not young:
            os.utime(path, (time.time() - 7200,) * 2)
    write_atomic(tmp_path / "a", lambda partial: partial.write_text("whole"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [other.name, young.name, "a"]


def test_a_folder_that_a_killed_call_was_replacing_is_put_back(tmp_path: Path) -> None:
    left = tmp_path / ".replaced-0123abcd-series"
    left.mkdir()
    (left / "old").write_text("")

    def fail(partial: Path) -> None:
        raise OSError(28, "No space left on device")

    with raises_code(OutputError):
        write_folder_atomic(tmp_path / "series", fail)
    assert [path.name for path in tmp_path.rglob("*")] == ["series", "old"]


def test_a_rename_that_fails_keeps_the_earlier_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rename = tmp_path / "series", Path.rename
    write_folder_atomic(folder, lambda partial: (partial / "old").write_text(""))

    def refuse(self: Path, target: Path) -> Path:
        if self.name.startswith(".partial-"):
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with raises_code(OutputError, "No space left"):
        write_folder_atomic(folder, lambda partial: (partial / "new").write_text(""))
    assert [path.name for path in tmp_path.rglob("*")] == ["series", "old"]


def test_two_writers_of_a_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    def while_another_writes(partial: Path) -> None:
        partial.write_text("first, ")
        write_atomic(tmp_path / "a", lambda other: other.write_text("second"))
        with partial.open("a") as file:
            file.write("complete")

    write_atomic(tmp_path / "a", while_another_writes)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"a": "first, complete"}
