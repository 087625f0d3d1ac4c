"""nnU-Net's pools of processes as threads of this one.

On a small machine starting a process that imports torch takes longer than its work, and processes are what the system
kills first when memory runs out: nnU-Net then ends with "some background worker is 6 feet under".
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.pool import ThreadPool
from typing import Any

_get_context = multiprocessing.get_context


class _Threads:
    """Looks like a context of multiprocessing to whoever asks it for a Pool alone."""

    @staticmethod
    def Pool(processes: int | None = None) -> ThreadPool:  # noqa: N802 - the name that is asked for
        return ThreadPool(processes)


@contextmanager
def pools_as_threads() -> Iterator[None]:
    """Let `multiprocessing.get_context("spawn").Pool` make threads, which are all that nnU-Net asks a context for."""
    replaced: Any = lambda method=None: _Threads() if method == "spawn" else _get_context(method)  # noqa: E731
    multiprocessing.get_context = replaced
    try:
        yield
    finally:
        multiprocessing.get_context = _get_context
