"""Which code decided about a result: a checksum of its source, so that nobody has to raise a number by hand."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

#: Files and folders of cspine that decide what is found in an image, and what the checks say of it.
DECIDING = (
    "anatomy.py",
    "geometry.py",
    "images.py",
    "inference",
    "models/network.py",
    "models/plans.py",
    "postprocessing",
    "segmentation.py",
    "study/audits/agreement.py",
    "study/audits/anatomy_checks.py",
    "study/audits/audit.py",
    "study/audits/audit_cases.py",
)


@cache
def edition(package: Path = Path(__file__).parents[1]) -> str:
    """Return the checksum of the deciding source: another one means that a kept result may be stale.

    Parameters
    ----------
    package : Path
        Folder of cspine.
    """
    digest = hashlib.sha256()
    for name in DECIDING:
        place = package / name
        for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{path.relative_to(package).as_posix()}\n".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
