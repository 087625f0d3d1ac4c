"""`cspine synthesize`: the files of a case agree with each other and with the standard."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from cspine.cli.synthesize import command
from cspine.core.anatomy import SACRUM, VERTEBRAE, vertebra
from cspine.core.errors import AtlasError, InputError, UsageError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom import write_ct
from cspine.dicom.read import read_volume
from cspine.dicom.rules import load_rules
from cspine.dicom.scan import scan_folder
from cspine.dicom.select import select_series
from cspine.io import nifti
from cspine.study.synthesis import evaluation_sets
from cspine.study.synthesis.neck.people import People
from cspine.study.synthesis.spine import forms
from tests.builders.judges import dciodvfy_errors
from tests.builders.raises import raises_code
from tests.builders.small_set import small_case


def _atlas(folder: Path) -> list[str]:
    """Options for an atlas, whose fields are computed once."""
    return ["--atlas", str(folder), "--cache", str(folder.with_name("fields-of-atlas"))]


def _synthesize(atlas_folder: Path, out: Path, *more: str) -> Result:
    arguments = [*_atlas(atlas_folder), "--out", str(out), "--spacing", "1.5", "1.5", "2.5"]
    return CliRunner().invoke(command, [*arguments, "--extent", "54", "60", "100", *more], catch_exceptions=False)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory, atlas_folder: Path) -> Path:
    """Two cases, as NIfTI and DICOM."""
    folder = tmp_path_factory.mktemp("cases")
    result = _synthesize(atlas_folder, folder, "--count", "2", "--seed", "7", "--dicom")
    assert result.exit_code == 0
    assert "2 cases" in result.output
    return folder


def test_each_case_has_an_image_labels_and_a_series(out: Path) -> None:
    found = sorted(str(p.relative_to(out)) for p in out.rglob("*") if p.suffix != ".dcm" and p.is_file())
    assert found == [f"{kind}/neck_0000{n}{end}" for kind, end in
                     (("images", "_0000.nii.gz"), ("labels", ".nii.gz")) for n in (7, 8)]  # fmt: skip
    assert sorted(p.name for p in (out / "dicom").iterdir()) == ["neck_00007", "neck_00008"]


def test_image_labels_and_series_are_one_grid(out: Path) -> None:
    ct = nifti.read_ct(out / "images" / "neck_00007_0000.nii.gz")
    labels = nifti.read_labels(out / "labels" / "neck_00007.nii.gz")
    assert ct.grid.shape_zyx == (40, 40, 36)
    assert ct.grid.spacing_xyz == pytest.approx((1.5, 1.5, 2.5))
    assert labels.grid.is_close(ct.grid)
    assert set(range(1, 8)) <= set(np.unique(labels.labels_zyx))
    (series,) = scan_folder(out / "dicom" / "neck_00007").series
    volume = read_volume(series)
    assert volume.grid.is_close(ct.grid)
    assert np.array_equal(volume.hu_zyx, ct.hu_zyx)


def test_the_series_is_valid_dicom_and_lossless(out: Path) -> None:
    paths = sorted((out / "dicom" / "neck_00007").iterdir())
    assert len(paths) == 40
    for path in (paths[0], paths[-1]):
        assert dciodvfy_errors(path) == []
    assert dcmread(paths[0], stop_before_pixels=True).file_meta.TransferSyntaxUID == JPEGLSLossless


def test_the_series_is_one_that_a_run_would_choose(out: Path) -> None:
    scan = scan_folder(out / "dicom" / "neck_00007")
    assert select_series(scan, load_rules()).chosen is scan.series[0]


def test_cases_differ_and_belong_to_different_studies(out: Path) -> None:
    first, second = (nifti.read_ct(out / "images" / f"neck_0000{n}_0000.nii.gz") for n in (7, 8))
    assert not np.array_equal(first.hu_zyx, second.hu_zyx)
    assert len({series.study_uid for series in scan_folder(out / "dicom").series}) == 2


def test_the_same_command_writes_the_same_files(out: Path, tmp_path: Path, atlas_folder: Path) -> None:
    _synthesize(atlas_folder, tmp_path, "--seed", "8", "--dicom")
    again = sorted((tmp_path / "dicom" / "neck_00008").iterdir())
    assert [p.read_bytes() for p in again] == [(out / "dicom" / "neck_00008" / p.name).read_bytes() for p in again]


def test_without_dicom_there_is_no_series(tmp_path: Path, atlas_folder: Path) -> None:
    assert _synthesize(atlas_folder, tmp_path, "--anywhere", "--seed", "2").exit_code == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["images", "labels"]


def test_an_absent_atlas_is_an_error_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(AtlasError):
        _synthesize(tmp_path / "absent", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong", [["--count", "0"], ["--seed", "-1"], ["--spacing", "1", "1"], ["--extent", "0", "1", "1"]]
)
def test_settings_that_make_no_sense_are_refused(tmp_path: Path, atlas_folder: Path, wrong: list[str]) -> None:
    arguments = ["--atlas", str(atlas_folder), "--out", str(tmp_path / "out"), *wrong]
    assert CliRunner().invoke(command, arguments).exit_code == 2


# --- sets -------------------------------------------------------------------------------------------------------------


def _write_set(atlas_folder: Path, out: Path, *more: str) -> Result:
    arguments = [*_atlas(atlas_folder), "--out", str(out), "--set", "hard", *more]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.fixture
def _small_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation_sets, "set_case", small_case)


@pytest.mark.usefixtures("_small_sets")
def test_a_set_is_written_with_its_table_and_a_second_call_adds_what_is_missing(
    tmp_path: Path, atlas_folder: Path
) -> None:
    assert _write_set(atlas_folder, tmp_path, "--count", "2").exit_code == 0
    names = ["hard_20000", "hard_20001"]
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [f"{name}_0000.nii.gz" for name in names]
    assert sorted(p.name for p in (tmp_path / "labels").iterdir()) == [f"{name}.nii.gz" for name in names]
    with (tmp_path / "cases.csv").open(newline="") as lines:
        assert [row["case"] for row in csv.DictReader(lines)] == names

    image, lost = (tmp_path / "images" / f"{name}_0000.nii.gz" for name in names)
    before, content = image.stat().st_mtime_ns, lost.read_bytes()
    lost.unlink()
    result = _write_set(atlas_folder, tmp_path, "--count", "2")
    assert "1 of them kept" in result.output
    assert image.stat().st_mtime_ns == before
    assert lost.read_bytes() == content


def test_a_set_has_fifty_cases_by_default(tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ct = CtVolume(np.zeros((3, 4, 5), dtype=np.int16), np.eye(4))
    labels = LabelVolume(np.ones((3, 4, 5), dtype=np.uint8), np.eye(4))
    monkeypatch.setattr(evaluation_sets, "synthesize_set_case", lambda atlas, case, people: (ct, labels))
    assert "50 cases of the hard set" in _write_set(atlas_folder, tmp_path).output
    assert len(list((tmp_path / "images").iterdir())) == 50


@pytest.mark.parametrize(
    "more", [["--seed", "3"], ["--spacing", "1", "1", "1"], ["--extent", "90", "90", "90"], ["--anywhere"]]
)
def test_a_set_accepts_no_settings_of_a_case(tmp_path: Path, atlas_folder: Path, more: list[str]) -> None:
    result = _write_set(atlas_folder, tmp_path / "out", *more)
    assert result.exit_code == 2
    assert "--set " in result.output
    assert more[0].replace("anywhere", "complete-neck") in result.output
    assert not (tmp_path / "out").exists()


def test_the_sets_of_the_help_are_those_that_exist() -> None:
    (option,) = (p for p in command.params if p.name == "set_name")
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == list(evaluation_sets.SETS)


def test_an_interrupted_series_does_not_count_as_complete(
    tmp_path: Path, atlas_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ct = CtVolume(np.zeros((6, 4, 5), dtype=np.int16), np.eye(4))
    labels = LabelVolume(np.ones((6, 4, 5), dtype=np.uint8), np.eye(4))
    monkeypatch.setattr(evaluation_sets, "synthesize_set_case", lambda atlas, case, people: (ct, labels))
    saved = write_ct.save_ct

    def interrupted(dataset: Dataset, path: Path, transfer_syntax: str) -> None:
        if path.name == "IMG_00003.dcm":
            raise KeyboardInterrupt
        saved(dataset, path, transfer_syntax)

    assert _write_set(atlas_folder, tmp_path, "--count", "1").exit_code == 0
    monkeypatch.setattr(write_ct, "save_ct", interrupted)
    with pytest.raises(click.Abort):
        CliRunner().invoke(
            command,
            [*_atlas(atlas_folder), "--out", str(tmp_path), "--set", "hard", "--count", "1", "--dicom"],
            catch_exceptions=False,
            standalone_mode=False,
        )
    monkeypatch.setattr(write_ct, "save_ct", saved)
    assert "kept" not in _write_set(atlas_folder, tmp_path, "--count", "1", "--dicom").output
    (series,) = (tmp_path / "dicom").iterdir()
    assert (
        len(list(series.iterdir()))
        == nifti.read_ct(tmp_path / "images" / f"{series.name}_0000.nii.gz").grid.shape_zyx[0]
    )


@pytest.fixture
def complete_atlas(tmp_path: Path, atlas_folder: Path, mesh_folder: Path) -> Path:
    """An atlas with its meshes."""
    folder = shutil.copytree(atlas_folder, tmp_path / "atlas")
    shutil.copytree(mesh_folder, folder / "meshes")
    return folder


def _articulated(atlas: Path, people: Path, cache: Path, out: Path, *more: str) -> Result:
    options = ["--atlas", str(atlas), "--anatomies", str(people), "--cache", str(cache), "--out", str(out)]
    return CliRunner().invoke(command, [*options, *more], catch_exceptions=False)


@pytest.mark.usefixtures("_small_sets")
def test_articulated_necks_are_written_alone_and_as_a_set(
    tmp_path: Path, complete_atlas: Path, people_folder: Path, atlas_cache: Path, solid_people: People
) -> None:
    given = (complete_atlas, people_folder, atlas_cache)
    single = ("--anatomy", "articulated", "--spacing", "2", "2", "2.5", "--extent", "54", "60", "90", "--seed", "3")
    assert _articulated(*given, tmp_path / "a", *single).exit_code == 0
    assert [p.name for p in (tmp_path / "a" / "images").iterdir()] == ["articulated_00003_0000.nii.gz"]
    labels = nifti.read_labels(tmp_path / "a" / "labels" / "articulated_00003.nii.gz")
    assert set(range(1, 8)) <= set(np.unique(labels.labels_zyx))
    result = _articulated(*given, tmp_path / "b", "--set", "worn", "--count", "1")
    assert "1 case of the worn set" in result.output
    again = _articulated(*given, tmp_path / "b", "--set", "worn", "--count", "1")
    assert "1 of them kept" in again.output


@pytest.mark.parametrize("more", [["--anatomy", "articulated"], ["--set", "angio"]])
def test_articulated_necks_need_anatomies(tmp_path: Path, atlas_folder: Path, more: list[str]) -> None:
    result = CliRunner().invoke(command, ["--atlas", str(atlas_folder), "--out", str(tmp_path / "out"), *more])
    assert result.exit_code == 2 and "--anatomies" in result.output
    result = CliRunner().invoke(
        command, ["--atlas", str(atlas_folder), "--out", str(tmp_path / "out"), "--anatomies", str(tmp_path)]
    )
    assert result.exit_code == 2 and "--anatomies" in result.output
    assert not (tmp_path / "out").exists()


# --- copies that end --------------------------------------------------------------------------------------------------


def _blank(images: Path, labels: Path, out: Path, *more: str) -> Result:
    arguments = ["--truncate", str(images), "--labels", str(labels), "--out", str(out), *more]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def test_copies_are_blank_below_each_level_and_their_table_says_what_remains(out: Path, tmp_path: Path) -> None:
    result = _blank(out / "images", out / "labels", tmp_path / "blank")
    assert "of 2 images" in result.output
    with (tmp_path / "blank" / "cases.csv").open(newline="") as lines:
        rows = {row["case"]: row for row in csv.DictReader(lines)}
    assert {"neck_00007-above-C3", "neck_00007-above-C6", "neck_00008-above-C3"} <= set(rows)
    row = rows["neck_00007-above-C5"]
    assert row["subject"] == "neck_00007" and row["blank_below"] == "C5"
    assert {"C1", "C2", "C3", "C4", "C5"} <= set(row["complete"].split())
    ct = nifti.read_ct(tmp_path / "blank" / "images" / "neck_00007-above-C5_0000.nii.gz")
    labels = nifti.read_labels(tmp_path / "blank" / "labels" / "neck_00007-above-C5.nii.gz")
    assert labels.grid.is_close(ct.grid)
    assert {int(v) for v in np.unique(labels.labels_zyx)} >= {1, 2, 3, 4, 5}
    assert 7 not in labels.labels_zyx
    again = _blank(out / "images", out / "labels", tmp_path / "blank")
    assert f"{len(rows)} of them kept" in again.output


def test_copies_need_images_labels_and_a_folder_of_their_own(out: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        _blank(out / "images", tmp_path, tmp_path / "blank")
    assert "cspine predict" in caught.value.advice
    with pytest.raises(UsageError):
        _blank(out / "images", out / "labels", out / "images")
    assert _blank(out / "images", out / "labels", tmp_path / "b", "--seed", "3").exit_code == 2
    result = CliRunner().invoke(command, ["--truncate", str(out / "images"), "--out", str(tmp_path / "b")])
    assert result.exit_code == 2 and "--labels" in result.output


# --- spines -----------------------------------------------------------------------------------------------------------


def _spines(out: Path, *more: str) -> Result:
    arguments = ["--anatomy", "spine", "--out", str(out), "--spacing", "6", "6", "6", *more]
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


@pytest.fixture
def _few_forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """One solid instead of all: the images are tested with the synthesis."""
    form = forms.parametric_form(vertebra("T8"))
    all_alike = forms.SpineForms("alike", dict.fromkeys((*(v.label for v in VERTEBRAE), SACRUM), form))
    monkeypatch.setattr(forms, "parametric_forms", lambda: all_alike)


@pytest.mark.usefixtures("_few_forms")
def test_spines_are_written_with_the_numbers_of_their_levels(tmp_path: Path) -> None:
    result = _spines(tmp_path, "--view", "T11-L2", "--count", "2", "--seed", "3", "--dicom")
    assert "2 cases" in result.output
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [f"spine_0000{n}_0000.nii.gz" for n in (3, 4)]
    labels = nifti.read_labels(tmp_path / "labels" / "spine_00003.nii.gz")
    assert {vertebra(name).label for name in ("T11", "L1")} <= set(np.unique(labels.labels_zyx))
    assert labels.grid.spacing_xyz == pytest.approx((6, 6, 6))
    (series,) = scan_folder(tmp_path / "dicom" / "spine_00003").series
    assert read_volume(series).grid.is_close(labels.grid, 1e-3)


@pytest.mark.parametrize(
    ("more", "option"),
    [
        (["--set", "hard"], "--set"),
        (["--extent", "90", "90", "90"], "--extent"),
        (["--atlas", "A"], "--atlas"),
    ],
)
def test_spines_accept_no_settings_of_necks(tmp_path: Path, more: list[str], option: str) -> None:
    result = _spines(tmp_path / "out", *more)
    assert result.exit_code == 2 and option in result.output
    assert not (tmp_path / "out").exists()


def test_necks_accept_no_settings_of_spines_and_need_their_atlas(tmp_path: Path, atlas_folder: Path) -> None:
    result = _synthesize(atlas_folder, tmp_path / "out", "--view", "cervical")
    assert result.exit_code == 2 and "--view" in result.output
    result = CliRunner().invoke(command, ["--out", str(tmp_path / "out")])
    assert result.exit_code == 2 and "Missing option '--atlas'" in result.output


def test_a_view_or_meshes_that_are_none_are_refused(tmp_path: Path) -> None:
    with raises_code(UsageError, "'trunk'"):
        _spines(tmp_path / "out", "--view", "trunk")
    with raises_code(AtlasError, "INDEX.csv"):
        _spines(tmp_path / "out", "--meshes", str(tmp_path))
    assert not (tmp_path / "out").exists()
