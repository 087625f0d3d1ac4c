"""The files of generated cases: their names, what is in them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import UsageError
from cspine.dicom.scan import scan_folder
from cspine.io import nifti
from cspine.study.synthesis.write_cases import (
    case_in,
    check_count,
    millimetres,
    seeded_cases,
    write_case,
    write_seeds,
)
from tests.builders.blank_volumes import blank_volumes


def test_a_case_is_there_when_all_its_files_are(tmp_path: Path) -> None:
    case, with_series = (case_in(tmp_path, "a", dicom=dicom) for dicom in (False, True))
    assert (case.image, case.labels) == (tmp_path / "images" / "a_0000.nii.gz", tmp_path / "labels" / "a.nii.gz")
    assert case.series is None and case.subject == "a"
    assert not case.is_there()
    write_case(case, *blank_volumes(7))
    assert case.is_there() and not with_series.is_there()
    assert (nifti.read_ct(case.image).hu_zyx == 7).all()
    assert np.unique(nifti.read_labels(case.labels).labels_zyx).tolist() == [1]
    write_case(with_series, *blank_volumes(7), "x")
    assert with_series.is_there()


def test_the_uids_of_a_series_follow_from_its_seed(tmp_path: Path) -> None:
    cases = {name: case_in(tmp_path / name, "a", dicom=True) for name in "xyz"}
    for (name, case), seed in zip(cases.items(), ("one", "one", "two"), strict=True):
        write_case(case, *blank_volumes(), seed)
        assert case.series == tmp_path / name / "dicom" / "a"
    x, y, z = (scan_folder(case.series).series[0].series_uid for case in cases.values() if case.series)
    assert x == y != z


def test_every_seed_is_a_case_and_progress_counts_them(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    planned = seeded_cases(tmp_path, "neck", 7, 2, dicom=False)
    written = write_seeds(planned, blank_volumes, str, lambda *step: told.append(step))
    assert [case.name for case in written] == ["neck_00007", "neck_00008"]
    assert [int(nifti.read_ct(case.image).hu_zyx[0, 0, 0]) for case in written] == [7, 8]
    assert told == [(1, 2), (2, 2)]


def test_numbers_and_lengths_that_make_no_sense_are_refused() -> None:
    check_count(1)
    for count, seed in ((0, 0), (1, -1)):
        with pytest.raises(UsageError):
            check_count(count, seed)
    assert repr(millimetres(np.array([1, 2, 3]), "spacing")) == "(1.0, 2.0, 3.0)"
    for lengths in ((1, 2), (1, 2, 0), (1, float("nan"), 1)):
        with pytest.raises(UsageError):
            millimetres(lengths, "spacing")
