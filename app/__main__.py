"""`python -m app` in a checkout, `python -m cspine.app` anywhere, `python /opt/holoscan/app` in a container.

Paths come from -i, -o, -m or from HOLOSCAN_*_PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main() -> None:
    """Start the application; libraries are loaded once signals are taken care of."""
    root = Path(__file__).resolve().parent.parent
    # A checkout may start this file by its path.
    if (root / "cspine" / "__init__.py").is_file():
        sys.path.insert(0, str(root))
    from cspine.app.interrupts import discard_on_signal

    discard_on_signal()
    from cspine.app.start import main as start

    start()


if __name__ == "__main__":
    main()
