"""The model package that an operator's parameter names."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cspine.core.volumes import ModelIdentity
from cspine.io.machine import home_folder
from cspine.models.package import ModelPackage, load_package
from cspine.models.registry import find_model, search_path


@cache
def load_model(model_path: Path | None) -> ModelPackage:
    """Load a model package, once for all operators that name it; errors as `find_model` and `load_package`.

    Parameters
    ----------
    model_path : Path or None
        Folder of a package, or one that holds a single package. None for the demonstration that comes with cspine.
    """
    return load_package(find_model(None, search_path({}, home_folder(), model_path), model_path))


def named_model(name: str, version: str) -> ModelIdentity | None:
    """Return the identity of a model that another operator ran; None if it has no name.

    Parameters
    ----------
    name, version : str
        Name and version, as a parameter of an operator states them; the checksum is unknown.
    """
    return ModelIdentity(name, version, checksum="") if name else None
