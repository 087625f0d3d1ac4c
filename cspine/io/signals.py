"""How a process ends that is asked to: it unwinds, so that no incomplete results remain."""

from __future__ import annotations

import signal
import sys
from types import FrameType


def unwind_on_sigterm() -> None:
    """Let SIGTERM end the process as an interrupt does, with 128 plus the number of the signal."""
    signal.signal(signal.SIGTERM, _exit)


def _exit(signum: int, frame: FrameType | None) -> None:
    sys.exit(128 + signum)
