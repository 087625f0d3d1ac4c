"""Notes of what a process loads, which takes time for each study if it is not kept."""

from __future__ import annotations

import pytest

from cspine.inference.engines import base
from cspine.inference.engines.openvino_engine import OpenVinoEngine
from cspine.models import package as packages


def noted_loads(monkeypatch: pytest.MonkeyPatch, module: object = packages) -> list[str]:
    """Return a list that gets ``"package"`` and ``"network"`` whenever one is read or compiled; nothing is cached yet.

    Parameters
    ----------
    monkeypatch : MonkeyPatch
        Restores what is replaced.
    module : module
        The module whose ``load_package`` is called.
    """
    base.release_networks()
    loads: list[str] = []
    for holder, name, what in ((module, "load_package", "package"), (OpenVinoEngine, "compiled", "network")):
        real = getattr(holder, name)
        monkeypatch.setattr(holder, name, lambda *given, real=real, what=what: loads.append(what) or real(*given))
    return loads
