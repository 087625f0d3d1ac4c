"""What `make map` refuses before it collects anything."""

from __future__ import annotations

import subprocess

import pytest

from tests.deploy.map.conftest import MAP


@pytest.mark.parametrize("base", ["python:3.11-slim-bookworm", "registry.example/python", "python@sha256"])
def test_a_base_without_a_digest_is_refused(base: str) -> None:
    # An engine that exists only by name, so that nothing is installed for the test.
    environment = {"PATH": "/usr/bin:/bin", "BASE": base, "ENGINE": "docker", "SOURCE_DATE_EPOCH": "0"}
    done = subprocess.run(["bash", str(MAP / "build.sh")], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "sha256" in done.stderr
