"""What takes long to make, once for all workers of pytest-xdist."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import TypeVar

import pytest
from filelock import FileLock

T = TypeVar("T")


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[], T]) -> T:
    """Return what the first worker that asks for it makes; the others wait for it, and read it from a file.

    Parameters
    ----------
    factory : pytest.TempPathFactory
        Of the session.
    name : str
        Name of the file.
    make : callable
        Makes it; it must be possible to pickle it.
    """
    shared = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # the folder of a worker lies in that of the session
        shared = shared.parent
    made = shared / f"{name}.pickle"
    with FileLock(shared / f"{name}.lock"):
        if not made.is_file():
            made.write_bytes(pickle.dumps(make()))
    return pickle.loads(made.read_bytes())  # type: ignore[no-any-return]
