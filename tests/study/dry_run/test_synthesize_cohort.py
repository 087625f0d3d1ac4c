"""`cspine.study.synthesize_cohort`: from a number of patients to folders that a conversion takes."""

from __future__ import annotations

from pathlib import Path

import pytest

import cspine
from cspine.core.errors import UsageError
from cspine.study.datasets.sources.collect import collect
from cspine.study.dry_run import synthetic_cohort
from cspine.study.dry_run.plan import plan_cohort
from tests.builders.public_sets import NECK, TRUNK, small_case


@pytest.fixture
def _small_scans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        synthetic_cohort, "_drawn", lambda cohort, scan: small_case(NECK if scan.first == "C1" else TRUNK)
    )


@pytest.mark.usefixtures("_small_scans")
def test_a_cohort_can_be_converted_and_a_second_call_keeps_it(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    cohort = cspine.study.synthesize_cohort(str(tmp_path), 12, seed=3, jobs=1, progress=lambda *step: told.append(step))
    assert (cohort.made, cohort.kept) == (12, 0) and told[-1] == (12, 12)
    assert cohort.scans == plan_cohort(12, 3)
    counts = cohort.scans_by_folder()
    assert sum(counts.values()) == 12 and all(folder.parent == tmp_path for folder in counts)
    assert counts[tmp_path / "totalsegmentator"] == 3
    found = collect(cohort.folders)
    assert len(found.cases) == 12 and not found.broken and not found.skipped

    again = cspine.study.synthesize_cohort(tmp_path, 12, seed=3, jobs=1)
    assert (again.made, again.kept) == (0, 12)


def test_too_few_patients_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        cspine.study.synthesize_cohort(tmp_path / "out", 5)
    assert not (tmp_path / "out").exists()
