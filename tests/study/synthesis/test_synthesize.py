"""`cspine.study.synthesize`: every content, written into one kind of folder."""

from __future__ import annotations

from pathlib import Path

import pytest

import cspine
from cspine.io import nifti
from cspine.study.synthesis import evaluation_sets, write_necks, write_spines
from cspine.study.synthesis.spine import forms
from cspine.study.synthesis.synthesize import Content
from tests.builders.blank_volumes import blank_volumes
from tests.builders.spine_phantom import Phantom, volumes


@pytest.fixture
def contents(
    tmp_path: Path, atlas_folder: Path, atlas_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Content]:
    """Each content by the name of its first case; what is generated is blank."""
    monkeypatch.setattr(forms, "parametric_forms", lambda: forms.SpineForms("solids", {}))
    for module, name in (
        (write_necks, "synthesize_case"),
        (write_spines, "synthesize_spine"),
        (evaluation_sets, "synthesize_set_case"),
    ):
        monkeypatch.setattr(module, name, lambda *_: blank_volumes())
    labels, ct = volumes(Phantom(labels=(1, 2, 3), shape_zyx=(30, 24, 20), spacing_xyz=(4.0, 4.0, 4.0)))
    nifti.write(tmp_path / "cts" / "a_0000.nii.gz", ct.hu_zyx, ct.affine_lps)
    nifti.write(tmp_path / "known" / "a.nii.gz", labels.labels_zyx, labels.affine_lps)
    study = cspine.study
    return {
        "neck_00000": study.Necks(atlas_folder, cache=atlas_cache),
        "spine_00000": study.Spines(),
        "ordinary_10000": study.EvaluationSet("ordinary", atlas_folder, cache=atlas_cache, count=1),
        "a-above-C3": study.BlankedCopies(tmp_path / "cts", tmp_path / "known"),
    }


def test_every_content_is_written_as_cases(tmp_path: Path, contents: dict[str, Content]) -> None:
    for name, content in contents.items():
        told: list[tuple[int, int]] = []
        out = str(tmp_path / name)
        (case,) = cspine.study.synthesize(content, out, progress=lambda *step, told=told: told.append(step))
        assert case == cspine.study.WrittenCase(
            name,
            tmp_path / name / "images" / f"{name}_0000.nii.gz",
            tmp_path / name / "labels" / f"{name}.nii.gz",
            subject="a" if "above" in name else name,
        )
        assert case.is_there() and told == [(1, 1)]
