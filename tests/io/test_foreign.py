"""The boundary to files from outside."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from cspine.core.errors import InputError, OutputError, SystemLimitError, UsageError, as_defect
from cspine.dicom.archive import open_input
from cspine.io.foreign import foreign_file, require_possible_path
from cspine.models.registry import find_model
from cspine.pipeline.source import kind_of_source


@pytest.mark.parametrize(
    "raised", [ValueError("SECRET"), MemoryError(), RecursionError(), OverflowError(), KeyError(1)]
)
def test_whatever_a_library_raises_is_damage_of_the_file(raised: Exception) -> None:
    with pytest.raises(InputError) as caught, foreign_file(lambda kind: InputError(f"damaged ({kind})")):
        raise raised
    assert type(raised).__name__ in caught.value.message
    assert "SECRET" not in str(caught.value)


def test_errors_of_cspine_pass_unchanged() -> None:
    error = UsageError("as it is")
    with pytest.raises(UsageError) as caught, foreign_file(lambda kind: InputError(kind)):
        raise error
    assert caught.value is error


def test_an_interrupt_is_no_damage() -> None:
    with pytest.raises(KeyboardInterrupt), foreign_file(lambda kind: InputError(kind)):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "raised",
    [
        RuntimeError("can't start new thread"),
        BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable"),
        OSError(errno.EMFILE, "Too many open files"),
        OSError(errno.ENFILE, "Too many open files in system"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
    ],
)
def test_what_the_system_refuses_is_no_damage(raised: Exception) -> None:
    with pytest.raises(SystemLimitError) as caught, foreign_file(lambda kind: InputError(kind)):
        raise raised
    assert caught.value.code == as_defect(raised).code == "CS-SYS-001"


def test_a_full_disk_is_no_damage() -> None:
    with pytest.raises(OutputError), foreign_file(lambda kind: InputError(kind)):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_a_long_name_within_a_file_is_its_damage() -> None:
    with pytest.raises(InputError), foreign_file(lambda kind: InputError(kind)):
        raise OSError(errno.ENAMETOOLONG, "File name too long")


@pytest.mark.parametrize("path", ["x" * 5000, "x/" * 2500, "a\0b"])
def test_a_path_that_cannot_exist_has_an_error_of_its_own(path: str) -> None:
    with pytest.raises(SystemLimitError):
        require_possible_path(Path(path))
    for call in (kind_of_source, lambda p: open_input(p).__enter__(), lambda p: find_model(str(p), [])):
        with pytest.raises(SystemLimitError):
            call(Path(path))


def test_a_path_that_could_exist_is_possible(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent", Path("x" * 200)):
        require_possible_path(path)
