"""What the tests of the service share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what only a power cut could tell; the processes of tests/cli/test_serve_pacs.py do it all."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
