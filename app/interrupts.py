"""Clean up on SIGINT and SIGTERM. This module imports nothing that starts a thread, because it must run first."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cspine.io.output import StudyOutput

#: Output folders whose unfinished content is removed when the process is terminated.
open_outputs: list[StudyOutput] = []


def discard_on_signal() -> None:
    """Remove unfinished results when the process is terminated, and exit with 128 plus the number of the signal.

    Holoscan's own handlers end the process without unwinding. Therefore the signals are blocked before any library
    starts a thread, which inherits the mask, and one thread waits for them.
    """
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    threading.Thread(target=_wait_for_signal, args=(signals,), daemon=True).start()


def _wait_for_signal(signals: set[signal.Signals]) -> None:
    number = signal.sigwait(signals)
    for output in open_outputs:
        output.discard()
    os._exit(128 + number)
