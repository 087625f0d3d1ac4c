"""The scripts of deploy/map are not a package: they are run by path."""

from __future__ import annotations

import sys
from pathlib import Path

MAP = Path(__file__).resolve().parents[3] / "deploy" / "map"

for folder in (MAP, MAP / "check"):
    sys.path.append(str(folder))
