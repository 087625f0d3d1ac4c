"""A process that is asked to end unwinds."""

from __future__ import annotations

import signal
import subprocess
import sys

_PROGRAM = """
import os, signal
from cspine.io.signals import unwind_on_sigterm
unwind_on_sigterm()
try:
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
finally:
    print("cleaned up")
"""


def test_a_process_that_is_terminated_cleans_up_and_exits_with_the_number_of_the_signal() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (128 + signal.SIGTERM, "cleaned up")
