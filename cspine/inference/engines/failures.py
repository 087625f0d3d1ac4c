"""What libraries raise while a network runs, as errors of cspine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from cspine.core.errors import InferenceError, OutOfMemoryError

_NO_MEMORY = (
    "out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory", "bad_alloc",
    "failed to allocate",
)  # fmt: skip


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise errors with a code in place of those of torch, OpenVINO and numpy."""
    try:
        yield
    except MemoryError as error:
        raise OutOfMemoryError(f"out of memory: {_first_line(error)}") from error
    except RuntimeError as error:  # torch.OutOfMemoryError is one, and so is every failure of OpenVINO
        if is_out_of_memory(error):
            raise OutOfMemoryError(f"out of memory: {_first_line(error)}") from error
        raise InferenceError(f"the engine failed: {_first_line(error)}") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether a library says that memory is short."""
    if isinstance(error, (MemoryError, OutOfMemoryError)) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(words in str(error).lower() for words in _NO_MEMORY)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
