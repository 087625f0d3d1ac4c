"""Many small tasks in processes of their own: one that dies takes its task along, and no other."""

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


#: Stands in the place of the result of a task whose process died.
DIED: Final = _Died.DIED


def in_processes(
    work: Callable[[Item], Result], items: Sequence[Item], jobs: int, progress: Callable[[int, int], None]
) -> list[Result | _Died]:
    """Do a task for each item.

    Parameters
    ----------
    work : callable
        A function of a module; it returns what can be pickled. What it raises ends all.
    items : sequence
        What it gets; can be pickled.
    jobs : int
        Processes; 1, or a single item, is done in this one.
    progress : callable
        Gets the tasks done and all of them.

    Returns
    -------
    list
        Results in the order of the items; `DIED` where the process was killed, mostly for its memory.
    """
    progress(0, len(items))
    results: dict[int, Result | _Died] = {}
    if min(jobs, len(items)) <= 1:
        for place, item in enumerate(items):
            results[place] = work(item)
            progress(len(results), len(items))
        return [results[place] for place in range(len(items))]
    waiting, suspects = list(range(len(items))), list[int]()
    while waiting or suspects:
        # After a death nobody knows whose fault it was: what was running is done once more, one by one.
        if suspects:
            place = suspects.pop()
            if _round(work, items, [place], 1, results, progress):
                results[place] = DIED
                progress(len(results), len(items))
        else:
            suspects = _round(work, items, waiting, jobs, results, progress)
    return [results[place] for place in range(len(items))]


def _round(
    work: Callable[[Item], Result],
    items: Sequence[Item],
    waiting: list[int],
    jobs: int,
    results: dict[int, Result | _Died],
    progress: Callable[[int, int], None],
) -> list[int]:
    """Work on what waits until it is done or a process dies; return what was running then."""
    running: dict[Future[Result], int] = {}
    lost: list[int] = []
    with ProcessPoolExecutor(min(jobs, len(waiting)), mp_context=multiprocessing.get_context("forkserver")) as pool:
        try:
            while (waiting or running) and not lost:
                while waiting and len(running) < jobs:
                    place = waiting.pop(0)
                    running[pool.submit(work, items[place])] = place
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    place = running.pop(future)
                    try:
                        results[place] = future.result()
                    except BrokenProcessPool:
                        lost.append(place)
                        continue
                    progress(len(results), len(items))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [*lost, *running.values()] if lost else []
