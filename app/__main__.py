"""`python -m app`: what a MAP's container starts. Paths come from -i, -o, -m or from HOLOSCAN_*_PATH."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Start the application; libraries are loaded once signals are taken care of."""
    # The container may start this file by its path.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from app.interrupts import leave_nothing_when_ended

    leave_nothing_when_ended()
    from app.start import main as start

    start()


if __name__ == "__main__":
    main()
