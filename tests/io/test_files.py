"""Files and folders appear complete, or not at all."""

from __future__ import annotations

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
    (folder.parent / ".partial-series").mkdir()
    (folder.parent / ".partial-series" / "left").write_text("")
    write("c")
    assert [path.name for path in folder.parent.rglob("*")] == ["series", "c"]
