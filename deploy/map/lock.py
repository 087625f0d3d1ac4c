"""Lock every package of the container image by its hash, and compare collected wheels with the lock.

    lock.py write cpu|cuda|tools               asks the indexes of pip; writes deploy/map/lock-NAME.txt
    lock.py record NAME WHEELS RECORD          writes the checksums of wheels that pip has just collected by the lock
    lock.py check NAME WHEELS RECORD           compares a folder of wheels with lock and record before it is used

pip accepts a file of a lock only with one of its hashes. A wheel built here from a locked source has a hash of its own,
which the record keeps: both together say whether a cached folder is still what pip collected.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MAP = Path(__file__).resolve().parent
REQUIREMENTS = MAP.parents[1] / "requirements.txt"
#: Holoscan loads libcudart on a CPU too, but none of its wheels contains it.
CPU_RUNTIME = "nvidia-cuda-runtime==13.5.37"
_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<hash>[0-9a-f]{64})")


class LockError(Exception):
    """A wheel is not what the lock names."""


def normalised(name: str) -> str:
    """Return the name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(text: str) -> dict[str, str]:
    """Return version by normalised name of the lines ``name==version``; extras and comments are ignored."""
    found = re.findall(r"^([A-Za-z][\w.-]*)(?:\[[\w,]+\])?==(\S+)", text, flags=re.MULTILINE)
    return {normalised(name): version for name, version in found}


def wanted(flavour: str, requirements: str, excluded: str) -> list[str]:
    """Return what an image of a flavour contains, ``name==version``, torch's own requirements left out."""
    left_out = {normalised(line) for line in excluded.splitlines() if re.match("[a-z]", line)}
    kept = [f"{name}=={version}" for name, version in pins(requirements).items() if name not in left_out]
    return [*kept, CPU_RUNTIME] if flavour == "cpu" else kept


def lock_lines(report: Mapping[str, Any]) -> dict[str, str]:
    """Return the line of each distribution in a report of ``pip install --dry-run``, by normalised name."""
    lines = {}
    for item in report["install"]:
        name, version = normalised(item["metadata"]["name"]), item["metadata"]["version"]
        lines[name] = f"{name}=={version} --hash=sha256:{item['download_info']['archive_info']['hashes']['sha256']}"
    return lines


def read_lock(text: str) -> dict[str, tuple[str, str]]:
    """Return version and SHA-256 by normalised name; LockError for a line that is no pin with a hash."""
    found = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise LockError(f"not a pin with one hash: {line}")
        found[normalised(match["name"])] = (match["version"], match["hash"])
    return found


def check(lock: Mapping[str, tuple[str, str]], wheels: Path, record: Mapping[str, str] | None) -> None:
    """Compare a folder of wheels with a lock.

    Parameters
    ----------
    lock : mapping
        From `read_lock`.
    wheels : Path
        The folder.
    record : mapping of str to str, or None
        SHA-256 by file name, as they were when pip had collected them; None at that moment.

    Raises
    ------
    LockError
        If a wheel is absent, additional, of another version or of another content.
    """
    seen = set()
    for path in sorted(wheels.iterdir()):
        name, version = normalised(path.name.split("-")[0]), path.name.split("-")[1]
        if path.suffix != ".whl" or name not in lock or lock[name][0] != version or name in seen:
            raise LockError(f"{path.name} is not in the lock")
        seen.add(name)
        digest = sha256(path)
        if record is not None and record.get(path.name) != digest:
            raise LockError(f"{path.name} has changed since it was collected")
    if absent := sorted(set(lock) - seen):
        raise LockError(f"not collected: {', '.join(absent)}")


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_record(text: str) -> dict[str, str]:
    """Return SHA-256 by file name of the lines of `sha256sum`."""
    return {name.lstrip("*./"): digest for digest, name in (line.split() for line in text.splitlines())}


def _pip_report(requirements: Iterable[str], *more: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        listed, report = Path(scratch) / "wanted.txt", Path(scratch) / "report.json"
        listed.write_text("\n".join(requirements), encoding="utf-8")
        command = (sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet")
        subprocess.run([*command, "--report", str(report), *more, "--requirement", str(listed)], check=True)
        return dict(json.loads(report.read_text(encoding="utf-8")))


def _write(name: str) -> None:
    if name == "tools":
        lines = lock_lines(_pip_report((MAP / "tools.txt").read_text(encoding="utf-8").splitlines()))
    else:
        excluded = (MAP / "excluded-packages.txt").read_text(encoding="utf-8")
        asked = wanted(name, REQUIREMENTS.read_text(encoding="utf-8"), excluded)
        torch = [pin for pin in asked if pin.startswith("torch==")]
        lines = lock_lines(_pip_report((pin for pin in asked if pin not in torch), "--no-deps"))
        # The CUDA build brings the CUDA libraries that it pins; the CPU build needs nothing that is not pinned already.
        more = ("--no-deps",) if name == "cpu" else ("--constraint", str(REQUIREMENTS))
        lines |= lock_lines(_pip_report(torch, *more))
        if ("+cpu" in lines["torch"]) != (name == "cpu"):
            raise LockError(f"pip found another build of torch: {lines['torch'].split()[0]}")
    heading = f"# Made by `make lock`: every package of {'the build' if name == 'tools' else f'the image {name}'}."
    text = "\n".join([heading, *(lines[key] for key in sorted(lines))])
    _lock_file(name).write_text(text + "\n", encoding="utf-8")


def _lock_file(name: str) -> Path:
    return MAP / f"lock-{name}.txt"


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["write", "record", "check"])
    parser.add_argument("name", choices=["cpu", "cuda", "tools"])
    parser.add_argument("wheels", nargs="?", type=Path)
    parser.add_argument("record", nargs="?", type=Path)
    given = parser.parse_args()
    try:
        if given.action == "write":
            _write(given.name)
            return
        lock = read_lock(_lock_file(given.name).read_text(encoding="utf-8"))
        if given.action == "record":
            check(lock, given.wheels, None)
            lines = [f"{sha256(path)}  ./{path.name}" for path in sorted(given.wheels.iterdir())]
            given.record.write_text("\n".join(lines) + "\n", encoding="utf-8")
            return
        check(lock, given.wheels, read_record(given.record.read_text(encoding="utf-8")))
    except (LockError, OSError) as error:
        sys.exit(f"{given.name}: {error}")


if __name__ == "__main__":
    main()
