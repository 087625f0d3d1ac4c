"""The examples in docstrings give what they show."""

from __future__ import annotations

import doctest
import importlib

import pytest


@pytest.mark.parametrize(
    "module", ["cspine.core.anatomy", "cspine.core.geometry", "cspine.dicom.rules", "cspine.io.tables"]
)
def test_examples_of_docstrings_hold(module: str) -> None:
    results = doctest.testmod(importlib.import_module(module))
    assert results.attempted > 0
    assert results.failed == 0
