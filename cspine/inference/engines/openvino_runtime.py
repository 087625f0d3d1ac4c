"""OpenVINO's runtime, loaded without its tools and without telemetry.

`import openvino` imports its conversion tools, which report their use over the network unless the user has declined.
cspine needs none of them, so they are withheld while openvino is imported.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

_WITHHELD = ("openvino.tools.ovc", "openvino_telemetry")
#: A module is listed before it is complete, so that threads that need it first at once have to wait for each other.
_LOCK = threading.RLock()


@cache
def has_openvino() -> bool:
    """Return whether OpenVINO is installed; it is not loaded."""
    return find_spec("openvino") is not None


def load_openvino() -> Any:
    """Return the module `openvino`, loaded without anything that uses the network."""
    with _LOCK, _withheld():
        import openvino
    return openvino


def core() -> Any:
    """Return the one `openvino.Core` of this process, which keeps compiled plugins."""
    with _LOCK:
        return _core()


@cache
def _core() -> Any:
    return load_openvino().Core()


@contextmanager
def _withheld() -> Iterator[None]:
    """Make the import of the tools and of telemetry fail, as if they were not installed; openvino allows for that.

    Once openvino is loaded, nothing is withheld.
    """
    if "openvino" in sys.modules:
        yield
        return
    absent = [name for name in _WITHHELD if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
