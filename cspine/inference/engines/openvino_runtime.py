"""OpenVINO's runtime, loaded without its tools and without telemetry.

`import openvino` imports its conversion tools, which report their use over the network unless the user has declined.
cspine needs none of them, so they are withheld while openvino is imported.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from typing import Any

_WITHHELD = ("openvino.tools.ovc", "openvino_telemetry")


@cache
def has_openvino() -> bool:
    """Return whether OpenVINO is installed; it is not loaded."""
    return find_spec("openvino") is not None


def load_openvino() -> Any:
    """Return the module `openvino`, loaded without anything that uses the network."""
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with _withheld():
        import openvino
    return openvino


@cache
def core() -> Any:
    """Return the one `openvino.Core` of this process, which keeps compiled plugins."""
    return load_openvino().Core()


@contextmanager
def _withheld() -> Iterator[None]:
    """Make the import of the tools and of telemetry fail, as if they were not installed; openvino allows for that."""
    absent = [name for name in _WITHHELD if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
