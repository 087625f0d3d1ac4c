"""What ships runs on a machine of 8 GiB: the longest scan with each model, under a limit of its memory."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.scans import scan_of, write_series
from cspine.api import read_ct
from tests.builders.small_neck import EXAMPLES
from tests.system.tools import ROOT

pytestmark = pytest.mark.system

#: What such a machine leaves to one program; a process that asks for more is refused, as by a full machine.
_LIMIT_BYTES = 7 * 2**30
_SLICES, _NECK, _PIXELS = 1500, 300, 512


@pytest.fixture(scope="module")
def long_scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The neck of the example, and a trunk without bones below it."""
    folder = tmp_path_factory.mktemp("long-scan")
    write_series(scan_of(read_ct(EXAMPLES / "neck-ct"), _SLICES, _NECK, _PIXELS), folder)
    return folder


@pytest.mark.parametrize("model", ["cervical-demo", "full-spine-demo"])
def test_the_longest_scan_fits_into_8_gib(long_scan: Path, model: str, tmp_path: Path) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (_LIMIT_BYTES, _LIMIT_BYTES))

    command = [sys.executable, "-m", "cspine", "run", str(long_scan), str(tmp_path / "out"), "--model", model]
    done = subprocess.run(command, cwd=ROOT, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    summary = json.loads((tmp_path / "out" / "report" / "summary.json").read_text("utf-8"))
    assert {"C2", "C3", "C4", "C5", "C6"} <= {each["level"] for each in summary["vertebrae"]}
