"""How many threads inference uses, and NumPy's work shared among them: its functions release the interpreter's lock."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from cspine.io.machine import usable_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_limits: list[int] = []


def set_threads(count: int) -> None:
    """Limit the threads of inference in this process, for workers that share a machine.

    Parameters
    ----------
    count : int
        Number of threads, at least 1.
    """
    _limits[:] = [max(1, count)]


def thread_limit() -> int | None:
    """Return the limit that `set_threads` or OMP_NUM_THREADS, which torch and BLAS obey as well, states."""
    if _limits:
        return _limits[0]
    stated = os.environ.get("OMP_NUM_THREADS", "")
    return int(stated) if stated.isdigit() and int(stated) > 0 else None


def threads() -> int:
    """Return the number of threads: the limit, or the cores that this process may use."""
    return thread_limit() or usable_cores()


def each(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what a function returns for each item, in their order; the calls run side by side.

    Parameters
    ----------
    function : callable
        Spends its time in NumPy; must not depend on the order of the calls.
    items : iterable
        Its arguments.
    """
    todo, count = list(items), threads()
    if count == 1 or len(todo) < 2:
        return [function(item) for item in todo]
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(function, todo))
