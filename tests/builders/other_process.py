"""Another Python process, in which sets have another order: what is determined by its inputs is equal there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def output_with_another_hash_seed(code: str) -> str:
    """Return what code prints in a process whose hashes differ from those of this one."""
    own = os.environ.get("PYTHONHASHSEED")
    environment = os.environ | {"PYTHONHASHSEED": "2" if own == "1" else "1", "PYTHONPATH": str(_ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
