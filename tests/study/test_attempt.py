"""Errors of one case are distinguished from errors of all."""

from __future__ import annotations

import pytest

from cspine.core.errors import (
    CSpineError,
    DeviceError,
    GeometryError,
    InferenceError,
    InputError,
    ModelError,
    OutOfMemoryError,
    OutputError,
    UsageError,
    hashed,
)
from cspine.study import attempt as module
from cspine.study.attempt import Failure, attempt


def failing(error: BaseException) -> object:
    def work() -> object:
        raise error

    return attempt("doe_jane", work)


def test_what_is_done_is_returned() -> None:
    assert attempt("a", lambda: 3) == 3


@pytest.mark.parametrize("kind", [InputError, GeometryError, InferenceError, OutOfMemoryError])
def test_an_error_of_a_case_is_its_own_and_the_log_does_not_name_it(
    kind: type[CSpineError], monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(module._log, "warning", lambda text, *values: lines.append(text % values))
    error = kind("cannot read doe_jane.nii.gz")
    assert failing(error) == Failure(str(error))
    assert lines == [f"case {hashed('doe_jane')} failed: {error.code}"]


def test_memory_that_numpy_cannot_get_is_an_error_of_a_case() -> None:
    assert failing(MemoryError()) == Failure("[CS-INF-003] out of memory")


@pytest.mark.parametrize("kind", [UsageError, ModelError, DeviceError, OutputError, CSpineError, KeyError])
def test_an_error_of_every_case_stops(kind: type[Exception]) -> None:
    with pytest.raises(kind):
        failing(kind("no"))
