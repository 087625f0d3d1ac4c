"""The application, with every message of Holoscan and the SDK, prints and writes nothing of a header."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.builders.bright_studies import BrightModel
from tests.builders.marked_studies import leaking_files, leaks, write_marked_studies

pytest.importorskip("holoscan")
pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Marked studies in ``in``, and a model."""
    path = tmp_path_factory.mktemp("marked")
    write_marked_studies(path / "in")
    BrightModel().package(path / "model")
    return path


@pytest.mark.parametrize(("study", "code"), [("needless", 0), ("needed", 6)])
def test_the_application_prints_and_writes_nothing_of_a_header(study: str, code: int, folder: Path) -> None:
    options = ["--device", "cpu", "--step-size", "1", "--log-level", "DEBUG"]
    out = folder / f"out-{study}"
    ended = subprocess.run(
        [sys.executable, "-m", "app", "-i", folder / "in" / study, "-o", out, "-m", folder / "model", *options],
        cwd=ROOT, env=os.environ | {"HOLOSCAN_LOG_LEVEL": "DEBUG"}, capture_output=True, timeout=240, check=False,
    )  # fmt: skip
    assert ended.returncode == code, ended.stderr[-2000:]
    assert leaks(ended.stdout + ended.stderr) == set()
    assert (out / "dicom" / "segmentation.dcm").exists() == (code == 0)
    assert leaking_files(out) == {}
