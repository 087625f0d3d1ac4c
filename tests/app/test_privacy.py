"""The application, with every message of Holoscan and the SDK, prints and writes nothing of a header."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.builders.bright_studies import BrightModel
from tests.builders.marked_studies import leaking_files, leaks, write_marked_studies
from tests.builders.warm_python import WarmPython

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
def test_the_application_prints_and_writes_nothing_of_a_header(
    study: str, code: int, folder: Path, warm_app: WarmPython
) -> None:
    options = ["--device", "cpu", "--step-size", "1", "--log-level", "DEBUG"]
    out = folder / f"out-{study}"
    words = ["-m", "app", "-i", folder / "in" / study, "-o", out, "-m", folder / "model", *options]
    environment = os.environ | {"HOLOSCAN_LOG_LEVEL": "DEBUG"}
    ended = warm_app.run([str(word) for word in words], cwd=ROOT, environment=environment)
    assert ended.returncode == code, ended.stderr[-2000:]
    assert "[debug]" in ended.stdout + ended.stderr  # of Holoscan
    assert leaks(ended.stdout + ended.stderr) == set()
    assert (out / "dicom" / "segmentation.dcm").exists() == (code == 0)
    assert leaking_files(out) == {}
