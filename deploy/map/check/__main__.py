"""Check a built image against the MONAI application package guidelines, item by item, and run it.

    python deploy/map/check IMAGE --engine 'podman ...' --series examples/neck-ct

Every item prints PASS or FAIL; the exit code is 1 if one failed. The runs have no network, no capabilities, a read-only
root and an unprivileged user; their DICOM Segmentation must equal that of `python -m app` on this machine.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from guidelines import ITEMS
from image import CheckError, Image
from runs import EPOCH, Runs, run_items


def _direct_run(series: Path, out: Path) -> None:
    out.mkdir()
    subprocess.run(
        [sys.executable, "-m", "app", "-i", str(series), "-o", str(out), "-m", "models/cervical-demo"],
        check=True,
        capture_output=True,
        env=os.environ | {"SOURCE_DATE_EPOCH": EPOCH},
    )


def main() -> None:
    """Run all checks and print the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("image")
    parser.add_argument("--engine", default="podman", help="command of podman or docker, with its options")
    parser.add_argument("--series", type=Path, default=Path("examples/neck-ct"))
    arguments = parser.parse_args()
    engine = shlex.split(arguments.engine)
    image = Image(arguments.image, engine)
    image.load()
    with tempfile.TemporaryDirectory(prefix="cspine-map-") as scratch:
        Path(scratch).chmod(0o755)
        direct = Path(scratch) / "direct"
        _direct_run(arguments.series, direct)
        runs = Runs(arguments.image, engine, arguments.series.resolve(), Path(scratch))
        items: list[tuple[str, Callable[[], None]]] = [(item.title, partial(item.check, image)) for item in ITEMS]
        failed = sum(not _report(title, check) for title, check in [*items, *run_items(runs, direct)])
    print(f"{failed} items failed" if failed else f"all items passed: {arguments.image}")
    sys.exit(1 if failed else 0)


def _report(title: str, check: Callable[[], None]) -> bool:
    started = time.monotonic()
    try:
        check()
    except (CheckError, OSError, ValueError, KeyError, subprocess.CalledProcessError) as error:
        print(f"FAIL  {title}\n      {type(error).__name__}: {error}", flush=True)
        return False
    print(f"PASS  {title} ({time.monotonic() - started:.1f} s)", flush=True)
    return True


if __name__ == "__main__":
    main()
