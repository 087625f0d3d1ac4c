"""What the tests of the service share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip fsync, which only matters for a power cut; tests/cli/test_serve_pacs.py includes it."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
