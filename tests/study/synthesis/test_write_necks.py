"""Necks as cases: those of the generators, with the settings that were asked for."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from cspine.core.errors import AtlasError, UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.io import nifti
from cspine.study.synthesis import write_necks
from cspine.study.synthesis.atlas import Atlas
from cspine.study.synthesis.case import CaseSettings, synthesize_case
from cspine.study.synthesis.neck.case import NeckSettings
from cspine.study.synthesis.neck.people import EVALUATION_PEOPLE, People
from cspine.study.synthesis.write_necks import Necks
from tests.builders.blank_volumes import blank_volumes

_SPACING, _EXTENT = (1.5, 1.5, 2.5), (54.0, 60.0, 100.0)


def _silent(done: int, whole: int) -> None:
    return None


def test_a_neck_is_that_of_its_seed(tmp_path: Path, atlas_folder: Path, atlas_cache: Path, atlas: Atlas) -> None:
    necks = Necks(atlas_folder, cache=atlas_cache, seed=7, spacing_mm=_SPACING, extent_mm=_EXTENT)
    (case,) = necks.write(tmp_path, _silent)
    ct, labels = synthesize_case(atlas, 7, CaseSettings(_SPACING, _EXTENT, complete_neck=True, internal_mm=1.0))
    assert (case.name, case.kept, case.series) == ("neck_00007", False, None)
    assert np.array_equal(nifti.read_ct(case.image).hu_zyx, ct.hu_zyx)
    assert np.array_equal(nifti.read_labels(case.labels).labels_zyx, labels.labels_zyx)


def test_articulated_necks_show_the_people_of_training(
    tmp_path: Path, atlas_folder: Path, mesh_folder: Path, people_folder: Path, atlas_cache: Path,
    solid_people: People, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    asked: list[tuple[list[str], int, NeckSettings]] = []

    def fake(atlas: Atlas, people: People, seed: int, settings: NeckSettings) -> tuple[CtVolume, LabelVolume]:
        asked.append(([person.name for person in people.others], seed, settings))
        return blank_volumes()

    monkeypatch.setattr(write_necks, "synthesize_neck", fake)
    whole = shutil.copytree(atlas_folder, tmp_path / "atlas")
    shutil.copytree(mesh_folder, whole / "meshes")
    necks = Necks(whole, people_folder, atlas_cache, 2, 3, (0.5, 0.5, 1), complete_neck=False, dicom=True)
    cases = necks.write(tmp_path / "out", _silent)
    assert [case.name for case in cases] == ["articulated_00003", "articulated_00004"]
    assert all(case.is_there() and case.series is not None for case in cases)
    settings = NeckSettings((0.5, 0.5, 1.0), 0.6, "anywhere", None)
    trained = [person.name for person in solid_people.others if person.name not in EVALUATION_PEOPLE]
    assert asked == [(trained, 3, settings), (trained, 4, settings)]


def test_what_cannot_be_generated_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for wrong in ({"count": 0}, {"seed": -1}, {"spacing_mm": (1, 1, 0)}, {"extent_mm": (90, 90)}):
        with pytest.raises(UsageError):
            Necks(tmp_path, **wrong)  # type: ignore[arg-type]
    with pytest.raises(AtlasError):
        Necks(tmp_path / "absent").write(tmp_path / "out", _silent)
    assert not (tmp_path / "out").exists()
