"""Compile the modules that a run loads, so that the image starts as fast as an installation, and leave out the others.

Validated by nothing (unchecked hash): no date gets into the image, and its files never change.
"""

from __future__ import annotations

import importlib
import py_compile
import sys
from pathlib import Path

_LOADED_BY_A_RUN = (
    "cspine.app.start",
    "cspine.app.app",
    "cspine.cli.run",
    "cspine.pipeline.study",
    "cspine.doctor.examine",
    "pydicom.pixels",
)


def main() -> None:
    """Import, then compile every module that came from site-packages."""
    for name in _LOADED_BY_A_RUN:
        importlib.import_module(name)
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file.startswith(sys.prefix) and Path(file).suffix == ".py"):
        py_compile.compile(file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
