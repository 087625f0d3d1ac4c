"""`python -m app`: the entry point of the container of a MAP. Paths come from -i, -o, -m or from HOLOSCAN_*_PATH."""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Start the application; libraries are loaded after signal handling is set up."""
    # The container may start this file by path.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from app.interrupts import discard_on_signal

    discard_on_signal()
    from app.start import main as start

    start()


if __name__ == "__main__":
    main()
