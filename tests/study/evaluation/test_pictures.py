"""The rows of the picture sheet: worst first, with what was wrong in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cspine.core.geometry import reorientation
from cspine.core.volumes import LabelVolume
from cspine.io import nifti
from cspine.study.evaluation.evaluation import CaseResult, compare
from cspine.study.evaluation.pairing import EvaluationCase
from cspine.study.evaluation.pictures import headline, sheet_rows, words
from tests.builders.evaluation_cases import case_of, false_level, score_of
from tests.builders.spine_phantom import Phantom, draw

AFFINE, TRUTH = Phantom().grid().affine_lps, draw(Phantom())


def result(**to: int) -> CaseResult:
    found = TRUTH.copy()
    for name, label in to.items():
        found[int(name[1:]) == TRUTH] = label
    return compare("a", LabelVolume(TRUTH, AFFINE), LabelVolume(found, AFFINE), ())


def test_verdicts_and_words() -> None:
    assert headline(result(C3=4)) == "wrong level, no finding" and words(result(C3=4))[0] == "- C3 labelled C4"
    assert headline(result(C3=0)) == "missed a vertebra" and words(result(C3=0))[0] == "- C3 missed"
    assert headline(result()) == "levels right" and words(result())[-1] == "no findings"
    false = case_of("a", score_of("C1", 0.5, 2.0), false_level("C7"))
    assert words(false)[0] == "- C7 not in the reference"
    failed = CaseResult("a", (), (), None, error="why")
    assert (headline(failed), words(failed)) == ("failed", ("why",))


@pytest.fixture
def cases(tmp_path: Path) -> list[EvaluationCase]:
    """Two cases in RAS with an image in LPS."""
    change = reorientation(AFFINE, "RAS")
    for name in ("a", "b"):
        affine = change.grid(Phantom().grid()).affine_lps
        nifti.write(tmp_path / "r" / f"{name}.nii.gz", np.ascontiguousarray(change.apply(TRUTH)), affine)
        nifti.write(tmp_path / "p" / f"{name}.nii.gz", TRUTH, AFFINE)
        nifti.write(tmp_path / "i" / f"{name}.nii.gz", (TRUTH * 100).astype(np.int16), AFFINE)
    files = [[tmp_path / kind / f"{name}.nii.gz" for kind in "rip"] for name in ("a", "b")]
    return [
        EvaluationCase(name, i, reference=r, prediction=p) for name, (r, i, p) in zip(("a", "b"), files, strict=True)
    ]


def test_worst_first_and_no_more_than_asked_for(cases: list[EvaluationCase]) -> None:
    results = [case_of("a", score_of("C1", 0.9, 1.0)), case_of("b", score_of("C1", 0.5, 1.0))]
    assert [row.name for row in sheet_rows(cases, results, 2)] == ["b", "a"]
    assert [row.name for row in sheet_rows(cases, results, 1)] == ["b"]
    failed = CaseResult("a", (), (), None, error="why")
    first, _ = sheet_rows(cases, [failed, results[1]], 2)
    assert first.name == "a" and first.labels is None and not first.good


def test_labels_lie_on_the_image(cases: list[EvaluationCase], tmp_path: Path) -> None:
    results = [case_of("a", score_of("C1", 0.9, 1.0))]
    (row,) = sheet_rows(cases[:1], results, 1)
    assert row.ct is not None and row.labels is not None and row.reference is not None
    assert np.array_equal(row.labels.labels_zyx, TRUTH) and np.array_equal(row.reference.labels_zyx, TRUTH)
    assert np.array_equal(row.ct.hu_zyx > 0, TRUTH > 0)
    (tmp_path / "i" / "a.nii.gz").write_bytes(b"no image")
    (row,) = sheet_rows(cases[:1], results, 1)
    assert row.ct is None and row.labels is not None
