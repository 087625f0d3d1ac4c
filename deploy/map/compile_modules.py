"""Compile the modules that a run loads, so that the image starts as fast as an installation.

The byte code has unchecked hashes: the image contains no dates, and its files never change.
"""

from __future__ import annotations

import importlib
import py_compile
import sys
from pathlib import Path

_RUN_MODULES = (
    "cspine.app.start",
    "cspine.app.app",
    "cspine.cli.run",
    "cspine.pipeline.study",
    "cspine.doctor.diagnose",
    "pydicom.pixels",
)


def main() -> None:
    """Import the modules, then compile every loaded module of site-packages."""
    for name in _RUN_MODULES:
        importlib.import_module(name)
    files = {str(getattr(module, "__file__", None) or "") for module in list(sys.modules.values())}
    for file in sorted(file for file in files if file.startswith(sys.prefix) and Path(file).suffix == ".py"):
        py_compile.compile(file, doraise=True, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main()
