"""A bright study, its task, and the results of its run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cspine.report.summary import Summary
from tests.builders.cohorts import bright_task, single_run


@pytest.fixture(scope="session")
def single(bright_model: Path, bright_study: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Summary]:
    """Results of `run_study` on the bright study."""
    out = tmp_path_factory.mktemp("single") / "a"
    return out, single_run(bright_task(bright_model, out), bright_study, out)
