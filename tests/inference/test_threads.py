from __future__ import annotations

import threading

import pytest

from cspine.inference import threads as module
from cspine.inference.threads import each, set_threads, threads


@pytest.fixture(autouse=True)
def unlimited(monkeypatch):
    monkeypatch.setattr(module, "_limits", [])
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def test_the_limit_of_the_process_goes_before_the_variable_and_the_machine(monkeypatch):
    monkeypatch.setattr(module, "usable_cores", lambda: 8)
    assert threads() == 8
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads() == 3
    set_threads(2)
    assert threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    monkeypatch.setattr(module, "_limits", [])
    assert threads() == 8


@pytest.mark.parametrize("count", [1, 2, 4])
def test_results_come_in_the_order_of_the_items(count):
    set_threads(count)
    seen = set()

    def square(n: int) -> int:
        seen.add(threading.get_ident())
        return n * n

    assert each(square, range(50)) == [n * n for n in range(50)]
    assert len(seen) <= count
    assert count > 1 or seen == {threading.get_ident()}


def test_an_error_in_a_thread_is_raised():
    set_threads(2)
    with pytest.raises(ZeroDivisionError):
        each(lambda n: 1 / n, [1, 0, 2])
