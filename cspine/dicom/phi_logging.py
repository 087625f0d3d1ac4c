"""Keep libraries from logging or warning of header values: they would print names and dates of birth.

Their settings belong to the process: the first thread that reads or writes changes them, and the last restores them.
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from pydicom import config


class _Suppression:
    """The settings while at least one thread needs suppression."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    def enter(self) -> None:
        with self._lock:
            if self._users == 0:
                logger = logging.getLogger("highdicom")
                self._restore.callback(logger.setLevel, logger.level)
                self._restore.enter_context(config.disable_value_validation())
                self._restore.enter_context(warnings.catch_warnings())
                logger.setLevel(logging.ERROR)
                warnings.simplefilter("ignore")
            self._users += 1

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore.close()


_suppression = _Suppression()


@contextmanager
def suppress_phi_logging() -> Iterator[None]:
    """Suppress the log of highdicom and pydicom while an object is read or written, by whichever threads do so."""
    _suppression.enter()
    try:
        yield
    finally:
        _suppression.leave()
