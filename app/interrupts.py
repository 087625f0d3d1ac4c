"""A clean end on SIGINT and SIGTERM. Imports nothing that starts a thread: it must act before all else is loaded."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cspine.io.output import StudyOutput

#: Output folders whose unfinished content goes when the process is ended.
unfinished: list[StudyOutput] = []


def leave_nothing_when_ended() -> None:
    """Remove unfinished results when the process is ended, and exit with 128 and the signal's number.

    Holoscan's own handlers end the process without unwinding. So the signals are blocked before any library starts a
    thread, which inherits that, and one thread waits for them.
    """
    ends = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)
    threading.Thread(target=_wait_for_the_end, args=(ends,), daemon=True).start()


def _wait_for_the_end(ends: set[signal.Signals]) -> None:
    number = signal.sigwait(ends)
    for output in unfinished:
        output.discard()
    os._exit(128 + number)
