"""What the operating system refuses, as an error."""

from __future__ import annotations

import errno

import pytest

from cspine.core.errors import CSpineError, OutOfMemoryError, OutputError, SystemLimitError, system_limit


@pytest.mark.parametrize(
    ("refused", "error"),
    [
        (MemoryError(), OutOfMemoryError),
        (RuntimeError("can't start new thread"), SystemLimitError),
        (OSError(errno.EAGAIN, ""), SystemLimitError),
        (OSError(errno.EMFILE, ""), SystemLimitError),
        (OSError(errno.ENFILE, ""), SystemLimitError),
        (OSError(errno.ENAMETOOLONG, ""), SystemLimitError),
        (OSError(errno.ENOSPC, ""), OutputError),
        (OSError(errno.EDQUOT, ""), OutputError),
    ],
    ids=repr,
)
def test_a_refused_resource_has_an_error_of_its_kind(refused: BaseException, error: type[CSpineError]) -> None:
    assert type(system_limit(refused)) is error


@pytest.mark.parametrize("other", [OSError(errno.ENOENT, ""), RuntimeError("x"), ValueError("x")], ids=repr)
def test_any_other_exception_is_none(other: BaseException) -> None:
    assert system_limit(other) is None


def test_the_advice_is_about_what_was_refused() -> None:
    files, processes = system_limit(OSError(errno.EMFILE, "")), system_limit(OSError(errno.EAGAIN, ""))
    assert files is not None and processes is not None
    assert "ulimit -n" in files.advice and "ulimit -u" in processes.advice
