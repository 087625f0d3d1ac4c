"""The synthetic cohort in the layouts of the public data sets."""

from pathlib import Path

import numpy as np
import pytest

from cspine.core.anatomy import SACRUM, levels_between
from cspine.core.errors import AtlasError
from cspine.core.geometry import orientation_of
from cspine.study.datasets.read_case import read_case
from cspine.study.datasets.sources import ctspine1k, totalsegmentator, verse
from cspine.study.datasets.sources.found import Found
from cspine.study.dry_run import synthetic_cohort as dry_run
from cspine.study.dry_run.plan import PlannedScan, Source
from cspine.study.dry_run.synthetic_cohort import STORED, SyntheticCohort, draw, make_cohort
from cspine.study.synthesis.spine.forms import SpineForms


def _scan(source: Source, number: int = 1, **other: object) -> PlannedScan:
    about = {"seed": 9_100_000 + number, "first": "C1", "last": "C4", "age_years": 50, "sex": "F"} | other
    return PlannedScan(source, number, **about)  # type: ignore[arg-type]


_SCANS = (
    _scan(Source.VERSE_2019, 2),
    _scan(Source.VERSE_2019, 4),
    _scan(Source.VERSE_2020, 1),
    _scan(Source.HNSCC, 1),
    _scan(Source.CTSPINE1K, 1),
    _scan(Source.MSD_COLON, 1, first="L4", last="L5"),
    _scan(Source.TOTALSEGMENTATOR, 1),
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, solid_forms: SpineForms) -> None:
    monkeypatch.setattr(dry_run, "_forms", lambda *_: solid_forms)


def _found(root: Path) -> Found:
    found = Found()
    found.add(verse.find(root / "verse2019", 2019))
    found.add(verse.find(root / "verse2020", 2020))
    found.add(ctspine1k.find(root / "ctspine1k", root / "hnscc", root / "msd-colon"))
    found.add(totalsegmentator.find(root / "totalsegmentator"))
    return found


def test_every_scan_is_found_again_in_its_data_set(here: None, tmp_path: Path) -> None:
    assert make_cohort(SyntheticCohort(tmp_path), _SCANS, 1, lambda *_: None) == (7, 0)
    found = _found(tmp_path)
    assert not found.broken
    assert not found.skipped
    assert sorted(case.source for case in found.cases) == [
        "COVID-19", "HNSCC-3DCT-RT", "MSD colon", "TotalSegmentator", "VerSe 2019", "VerSe 2019", "VerSe 2020",
    ]  # fmt: skip
    for case in found.cases:
        read = read_case(case)
        assert read.labels.labels_zyx.any()
        assert (case.age_years or read.age_years) in (50, None)


def test_complete_scans_are_kept_and_those_without_a_record_are_made_again(here: None, tmp_path: Path) -> None:
    cohort = SyntheticCohort(tmp_path)
    make_cohort(cohort, _SCANS[:3], 1, lambda *_: None)
    (tmp_path / ".dry-run" / "verse2019-002.json").unlink()
    reported: list[tuple[int, int]] = []
    assert make_cohort(cohort, _SCANS[:3], 1, lambda *pair: reported.append(pair)) == (1, 2)
    assert reported == [(2, 3), (3, 3)]
    participants = (tmp_path / "verse2019" / "participants.tsv").read_text(encoding="utf-8").splitlines()
    assert len(participants) == 2


@pytest.mark.parametrize("source", Source)
def test_a_scan_is_stored_as_its_source_stores_images(solid_forms: SpineForms, source: Source) -> None:
    ct, labels = draw(solid_forms, _scan(source))
    spacing, axes = STORED[source]
    assert orientation_of(ct.affine_lps) == axes
    assert sorted(ct.grid.spacing_xyz) == pytest.approx(sorted(spacing))
    assert labels.grid.is_close(ct.grid, 1e-6)
    bone = ct.hu_zyx[(labels.labels_zyx > 0) & (labels.labels_zyx < SACRUM)].mean()
    assert bone > ct.hu_zyx[labels.labels_zyx == 0].mean() + 100


def test_the_labels_of_the_wrong_case_are_two_neighbours_exchanged(solid_forms: SpineForms) -> None:
    right = draw(solid_forms, _scan(Source.CTSPINE1K))[1].labels_zyx
    wrong = draw(solid_forms, _scan(Source.CTSPINE1K, swapped=True))[1].labels_zyx
    assert np.array_equal(right > 0, wrong > 0)
    changed = {int(v) for v in np.unique(right[right != wrong])}
    assert len(changed) == 2
    assert changed <= {level.label for level in levels_between("C1", "C6")}


def test_absent_meshes_are_reported_before_anything_is_synthesized(tmp_path: Path) -> None:
    with pytest.raises(AtlasError):
        make_cohort(SyntheticCohort(tmp_path / "out", tmp_path), _SCANS, 1, lambda *_: None)
    assert not (tmp_path / "out").exists()
