"""`cspine dataset dry-run`: a cohort, and what the command prints of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from cspine.cli.dataset_dry_run import command
from cspine.study.dry_run import synthetic_cohort
from tests.builders.public_sets import small_case


def test_a_cohort_is_counted_by_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic_cohort, "_drawn", lambda cohort, scan: small_case())
    arguments = ["--out", str(tmp_path), "--patients", "12", "--jobs", "1"]
    for made, kept in ((12, 0), (0, 12)):
        result = CliRunner().invoke(command, arguments, catch_exceptions=False)
        assert result.exit_code == 0 and f"{made} scans made, {kept} kept" in result.output
    folders = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert folders == {"verse2019", "verse2020", "hnscc", "ctspine1k", "msd-colon", "totalsegmentator"}
