"""Copies that are blank below a level, as cases with their table."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cspine.core.errors import InputError, UsageError, hashed
from cspine.core.volumes import labels_present
from cspine.io import nifti
from cspine.study.evaluation import write_blanked
from cspine.study.evaluation.write_blanked import BlankedCopies
from tests.builders.spine_phantom import Phantom, volumes

_NAMES = ["a-above-C3", "a-above-C4"]


def _silent(done: int, whole: int) -> None:
    return None


@pytest.fixture
def copies(tmp_path: Path) -> BlankedCopies:
    """Two images of C1..C4, one of them without labels."""
    labels, ct = volumes(Phantom(labels=(1, 2, 3, 4), shape_zyx=(36, 24, 20), spacing_xyz=(4.0, 4.0, 4.0)))
    for name in "ab":
        nifti.write(tmp_path / "cts" / f"{name}_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(tmp_path / "known" / "a.nii.gz", labels.labels_zyx, labels.affine_lps)
    return BlankedCopies(tmp_path / "cts", tmp_path / "known")


def test_copies_are_written_with_their_table_and_kept_by_the_next_call(copies: BlankedCopies, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    written = copies.write(tmp_path / "out", lambda *step: told.append(step))
    assert told == [(1, 2), (2, 2)]
    assert [(case.name, case.subject, case.kept) for case in written] == [(name, "a", False) for name in _NAMES]
    assert 4 not in nifti.read_labels(written[0].labels).labels_zyx
    with (tmp_path / "out" / "cases.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [(row["case"], row["blank_below"]) for row in rows] == list(zip(_NAMES, ("C3", "C4"), strict=True))

    written[1].image.unlink()
    table = (tmp_path / "out" / "cases.csv").read_bytes()
    again = copies.write(tmp_path / "out", _silent)
    assert [case.kept for case in again] == [True, False] and again[1].image.is_file()
    assert (tmp_path / "out" / "cases.csv").read_bytes() == table


def test_images_without_labels_are_logged(
    copies: BlankedCopies, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copies.write(tmp_path / "out", _silent)
    (record,) = (record for record in caplog.records if record.name == write_blanked.__name__)
    assert record.args == (1, 2, hashed("b"))


def test_labels_of_a_dataset_go_by_its_names(copies: BlankedCopies, tmp_path: Path) -> None:
    known = nifti.read_labels(tmp_path / "known" / "a.nii.gz")
    numbers = {"background": 0, "C4": 1, "C3": 2, "C2": 3, "C1": 4}
    nifti.write(tmp_path / "known" / "a.nii.gz", (5 - known.labels_zyx) * (known.labels_zyx > 0), known.affine_lps)
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": numbers}))
    written = copies.write(tmp_path / "out", _silent)
    assert [case.name for case in written] == _NAMES
    assert set(labels_present(nifti.read_labels(written[0].labels).labels_zyx)) == {1, 2, 3}


def test_images_without_labels_and_folders_that_are_read_are_refused(copies: BlankedCopies, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        BlankedCopies(tmp_path / "cts", tmp_path / "cts").write(tmp_path / "out", _silent)
    assert not (tmp_path / "out").exists()
    for place in ("cts", "known"):
        with pytest.raises(UsageError):
            copies.write(tmp_path / place, _silent)
    with pytest.raises(UsageError):
        replace(copies, labels=tmp_path / "out" / "labels").write(tmp_path / "out", _silent)
