"""Run many small tasks in processes: one that dies fails its own task and no other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from enum import Enum
from typing import Final, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class _Died(Enum):
    DIED = "died"


#: The result of a task whose process died.
DIED: Final = _Died.DIED


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, progress: Callable[[int, int], None]
) -> list[Result | _Died]:
    """Return the results of a function for each item, computed in several processes.

    Parameters
    ----------
    work : callable
        A function at module level whose result can be pickled. An exception that it raises stops all.
    items : sequence
        Its arguments, which can be pickled.
    jobs : int
        Number of processes; with 1, or a single item, the work is done in this process.
    progress : callable
        Called with the number of finished tasks and of all tasks.

    Returns
    -------
    list
        Results in the order of the items; `DIED` if the process was killed, usually because it was out of memory.
    """
    progress(0, len(items))
    results: dict[int, Result | _Died] = {}
    if min(jobs, len(items)) <= 1:
        for index, item in enumerate(items):
            results[index] = work(item)
            progress(len(results), len(items))
        return [results[index] for index in range(len(items))]
    waiting, suspects = list(range(len(items))), list[int]()
    while waiting or suspects:
        # After a death the culprit is unknown: the tasks that were running are repeated one by one.
        if suspects:
            index = suspects.pop()
            if _round(work, items, [index], 1, results, progress):
                results[index] = DIED
                progress(len(results), len(items))
        else:
            suspects = _round(work, items, waiting, jobs, results, progress)
    return [results[index] for index in range(len(items))]


def _round(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    waiting: list[int],
    jobs: int,
    results: dict[int, Result | _Died],
    progress: Callable[[int, int], None],
) -> list[int]:
    """Run the waiting tasks until all are done or a process dies; return those that were running then."""
    running: dict[Future[Result], int] = {}
    lost: list[int] = []
    with ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=multiprocessing.get_context("forkserver")) as pool:
        try:
            while (waiting or running) and not lost:
                while waiting and len(running) < jobs:
                    index = waiting.pop(0)
                    running[pool.submit(work, items[index])] = index
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    index = running.pop(future)
                    try:
                        results[index] = future.result()
                    except BrokenProcessPool:
                        lost.append(index)
                        continue
                    progress(len(results), len(items))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [*lost, *running.values()] if lost else []
