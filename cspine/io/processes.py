"""Many tasks in processes of their own: one that dies takes its task along, and no other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from enum import Enum
from multiprocessing.synchronize import Event
from typing import Final, Generic, TypeVar

from cspine.core.errors import ProcessStartError
from cspine.io.privacy import withhold_foreign_texts

Item = TypeVar("Item")
Result = TypeVar("Result")


class Died(Enum):
    """Type of `DIED`."""

    DIED = "died"


#: Stands in the place of the result of a task whose process died, mostly for its memory.
DIED: Final = Died.DIED


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, progress: Callable[[int, int], None]
) -> list[Result | Died]:
    """Do a task for each item, and return the results in the order of the items.

    Parameters
    ----------
    work : callable
        As of `run_each`.
    items : sequence
        As of `run_each`.
    jobs : int
        Number of processes; with 1, or a single item, the work is done in this process.
    progress : callable
        Gets the tasks done and all of them.
    """
    results: dict[int, Result | Died] = {}
    progress(0, len(items))

    def take(index: int, result: Result | Died) -> None:
        results[index] = result
        progress(len(results), len(items))

    run_each(work, items, jobs, take)
    return [results[index] for index in range(len(items))]


def run_each(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    jobs: int,
    take: Callable[[int, Result | Died], None],
    *,
    isolated: bool = False,
) -> None:
    """Do a task for each item, and hand on each result when it is there.

    Parameters
    ----------
    work : callable
        A function of a module, or a partial of one; it returns what can be pickled. What it raises ends all.
    items : sequence
        What it gets; can be pickled.
    jobs : int
        Processes; 1, or a single item, is done in this one.
    take : callable
        Gets the position of an item and its result; `DIED` where the process was killed. What it raises ends all.
    isolated : bool
        True to do every task in another process, even a single one.

    Raises
    ------
    ProcessStartError
        If no process comes to work, as in a script that starts them while it is imported.
    """
    if not isolated and min(jobs, len(items)) <= 1:
        for index, item in enumerate(items):
            take(index, work(item))
        return
    pool = _Pool(work, items, take)
    waiting = deque(range(len(items)))
    while waiting:
        # After a death its cause is unknown: what was running is done once more, one by one.
        for index in pool.run(waiting, jobs):
            if pool.run(deque([index]), 1):
                take(index, DIED)


class _Pool(Generic[Item, Result]):
    """Runs tasks in processes until all are done or one process dies."""

    def __init__(
        self, work: Callable[[Item], Result], items: Sequence[Item], take: Callable[[int, Result | Died], None]
    ) -> None:
        self._work = work
        self._items = items
        self._take = take

    def run(self, waiting: deque[int], jobs: int) -> list[int]:
        """Take items from those that wait until none is left or a process dies; return what was running then."""
        workers = max(1, min(jobs, len(waiting)))
        running: dict[Future[Result], int] = {}
        context = _context()
        has_started = context.Event()
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_as_worker, initargs=(has_started,)) as pool:
            try:
                while waiting or running:
                    while waiting and len(running) < workers:
                        index = waiting[0]
                        running[pool.submit(self._work, self._items[index])] = index
                        waiting.popleft()
                    finished, _ = wait(running, return_when=FIRST_COMPLETED)
                    for future in finished:
                        result = future.result()
                        self._take(running.pop(future), result)
            except BrokenProcessPool as error:
                if not has_started.is_set():
                    raise ProcessStartError("every process ended before it could do a task") from error
                return list(running.values())
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        return []


def _context() -> multiprocessing.context.BaseContext:
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def _as_worker(has_started: Event) -> None:
    """Keep to what the command keeps to, leave interrupts to it, and end when it is gone."""
    has_started.set()
    withhold_foreign_texts()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
