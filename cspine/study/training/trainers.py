"""The trainers that nnunetv2 has, found in its source without importing them.

nnU-Net's own search imports module after module until it meets the name, and fails where one of them needs a library
that is absent or does not fit, whichever trainer was asked for.
"""

from __future__ import annotations

import importlib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from cspine.core.errors import UsageError

_PACKAGE = "nnunetv2.training.nnUNetTrainer"
_CLASS = re.compile(r"^class (nnUNetTrainer\w*)\(", re.MULTILINE)


@cache
def trainers() -> dict[str, str]:
    """Return the names of nnunetv2's trainers, each with the module that has it."""
    spec = find_spec(_PACKAGE)
    assert spec is not None and spec.submodule_search_locations
    root = Path(next(iter(spec.submodule_search_locations)))
    found: dict[str, str] = {}
    for path in sorted(root.rglob("*.py")):
        module = ".".join((_PACKAGE, *path.relative_to(root).with_suffix("").parts))
        for name in _CLASS.findall(path.read_text(encoding="utf-8")):
            found.setdefault(name, module)
    return found


def check_trainer(name: str) -> None:
    """Refuse a name that no trainer of nnunetv2 has.

    Raises
    ------
    UsageError
        With the names that there are.
    """
    if name not in trainers():
        raise UsageError(f"nnunetv2 has no trainer {name!r}", advice=f"It has: {', '.join(sorted(trainers()))}.")


def trainer_class(name: str) -> Any:
    """Return the class of a trainer; UsageError as `check_trainer`."""
    check_trainer(name)
    return getattr(importlib.import_module(trainers()[name]), name)
