"""`cspine surfaces` and `cspine mesh` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

import cspine
from cspine.cli.mesh import command as mesh
from cspine.cli.surfaces import command as surfaces
from cspine.core.errors import (
    DicomSourceNeededError,
    InputError,
    MeshError,
    OtherImageError,
    OutputNotEmptyError,
    UsageError,
)
from cspine.core.volumes import LabelVolume
from cspine.dicom.clock import Clock
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg import SegSettings, write_segmentation
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.io import nifti
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.formats import surface_bytes
from tests.builders.solid_vertebrae import column, two_balls, uniform_ct


def invoke(command: object, *arguments: object) -> Result:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])  # type: ignore[arg-type]
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture
def labels(tmp_path: Path) -> Path:
    volume = two_balls(18.0)
    nifti.write(tmp_path / "labels.nii.gz", volume.labels_zyx, volume.affine_lps)
    return tmp_path / "labels.nii.gz"


def test_surfaces_of_a_label_map(labels: Path, tmp_path: Path) -> None:
    result = invoke(surfaces, labels, "--out", tmp_path / "out", "--surface-format", "stl,ply", "--ras", "--gap", "1")
    assert result.exit_code == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"C3.stl", "C4.stl", "C3.ply", "C4.ply", "surfaces.json"}
    content = json.loads((tmp_path / "out" / "surfaces.json").read_text())
    assert (content["frame"], content["gap_mm"]) == ("RAS", 1)


def test_another_label_scheme(tmp_path: Path) -> None:
    volume = two_balls(18.0)
    numbers = np.where(volume.labels_zyx > 0, volume.labels_zyx + 10, 0).astype(np.uint8)
    nifti.write(tmp_path / "others.nii.gz", numbers, volume.affine_lps)
    invoke(surfaces, tmp_path / "others.nii.gz", "--out", tmp_path / "out", "--scheme", "totalspineseg")
    written = json.loads((tmp_path / "out" / "surfaces.json").read_text())["vertebrae"]
    assert [row["level"] for row in written] == ["C3", "C4"]


def test_dicom_objects_are_refused_without_a_series(labels: Path, tmp_path: Path) -> None:
    with pytest.raises(DicomSourceNeededError):
        invoke(surfaces, labels, "--out", tmp_path / "out", "--surface-format", "dicom")
    with pytest.raises(DicomSourceNeededError):
        invoke(surfaces, labels, "--out", tmp_path / "out", "--surface-format", "dicom", "--ct", labels)
    assert not (tmp_path / "out").exists()


def test_a_mesh_of_a_label_map(labels: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = invoke(mesh, labels, "--out", out, "--edge", "3", "--order", "2", "--levels", "C4", "--fe-format", "inp")
    assert result.exit_code == 0
    assert {path.name for path in out.iterdir()} == {"vertebrae.inp", "elements.json"}
    assert "TYPE=C3D10" in (out / "vertebrae.inp").read_text()
    assert [row["name"] for row in json.loads((out / "elements.json").read_text())["parts"]] == ["C4"]


def test_a_level_without_a_mesh_ends_the_command_with_its_code_after_the_others_are_written(tmp_path: Path) -> None:
    volume = column(("C4",))
    numbers = volume.labels_zyx.copy()
    numbers[4, 4, 4] = 5
    small = LabelVolume(numbers, volume.affine_lps)
    nifti.write(tmp_path / "labels.nii.gz", small.labels_zyx, small.affine_lps)
    with pytest.raises(MeshError):
        invoke(mesh, tmp_path / "labels.nii.gz", "--out", tmp_path / "out", "--edge", "4")
    content = json.loads((tmp_path / "out" / "elements.json").read_text())
    assert list(content["rejected"]) == ["C5"]
    assert [row["name"] for row in content["parts"]] == ["C4"]


@pytest.fixture(scope="module")
def two_series(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, str]:
    """A segmentation, its study of two series with frames of reference of their own, and the one that it is of.

    The rules prefer the other series.
    """
    folder = tmp_path_factory.mktemp("study")
    volume = column()
    ct = uniform_ct(volume, 300)
    ct.hu_zyx[:, :3] = -900
    for name, kernel in (("bone", "B60s"), ("soft", "B20s")):
        description = CtSeriesDescription(uid_seed=name, study_seed="one", kernel=kernel)
        for path in write_ct_series(ct, folder / "ct" / name, description):
            header = dcmread(path)
            header.FrameOfReferenceUID = f"1.2.{ord(name[0])}"
            header.save_as(path)
    chosen = next(each.series_uid for each in cspine.list_series(folder / "ct") if each.chosen)
    other = next(series for series in scan_folder(folder / "ct").series if series.series_uid != chosen)
    settings = SegSettings(Clock.from_iso("2024-05-06T07:08:09+00:00"))
    write_segmentation(volume, read_volume(other), settings, folder / "seg.dcm")
    return folder / "seg.dcm", folder / "ct", other.series_uid


def test_of_a_study_the_series_that_the_segmentation_names_is_taken(
    two_series: tuple[Path, Path, str], tmp_path: Path
) -> None:
    seg, study, uid = two_series
    invoke(surfaces, seg, "--ct", study, "--out", tmp_path / "out", "--surface-format", "dicom")
    written = dcmread(tmp_path / "out" / "surface-C4.dcm")
    assert written.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
    assert written.FrameOfReferenceUID == dcmread(seg).FrameOfReferenceUID
    invoke(mesh, seg, "--ct", study, "--out", tmp_path / "fe", "--edge", "4")
    assert json.loads((tmp_path / "fe" / "elements.json").read_text())["material"]["from_hu"]


def test_the_functions_give_the_surfaces_and_elements_of_the_commands(
    two_series: tuple[Path, Path, str], tmp_path: Path
) -> None:
    seg, study, _ = two_series
    invoke(surfaces, seg, "--ct", study, "--out", tmp_path, "--surface-format", "stl", "--gap", "1")
    invoke(mesh, seg, "--ct", study, "--out", tmp_path, "--fe-format", "vtu", "--edge", "4")
    measured = cspine.measure(seg, study)
    found = measured.surfaces(gap_mm=1)
    assert len(found) > 1
    for each in found:
        written = (tmp_path / f"{each.surface.vertebra.name}.stl").read_bytes()
        assert surface_bytes(each.surface, "stl") == written
    model = measured.finite_elements(FeSettings(edge_mm=4))
    rows = json.loads((tmp_path / "elements.json").read_text())["parts"]
    assert [(part.name, part.quality.nodes, len(part.materials)) for part in model.parts] == [
        (row["name"], row["nodes"], row["materials"]) for row in rows
    ]


def test_a_later_call_leaves_no_object_of_an_earlier_one(two_series: tuple[Path, Path, str], tmp_path: Path) -> None:
    seg, study, _ = two_series
    out = tmp_path / "out"
    invoke(surfaces, seg, "--ct", study, "--out", out, "--surface-format", "stl,dicom")
    objects = {path.name for path in out.glob("*.dcm")}
    assert objects
    invoke(surfaces, seg, "--ct", study, "--out", out, "--surface-format", "dicom")
    assert {path.name for path in out.iterdir()} == {*objects, "surfaces.json"}
    invoke(surfaces, seg, "--out", out, "--surface-format", "glb")
    assert {path.name for path in out.iterdir()} == {"vertebrae.glb", "surfaces.json"}


@pytest.mark.parametrize(
    ("command", "name"), [(surfaces, "surface-T9.dcm"), (surfaces, "vertebrae.glb"), (mesh, "C5-compression.inp")]
)
def test_a_folder_with_a_file_of_another_origin_is_refused_before_anything_is_computed(
    command: object, name: str, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cspine.pipeline.geometry.vertebra_surfaces", None)
    monkeypatch.setattr("cspine.pipeline.geometry.build_model", None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(OutputNotEmptyError):
        invoke(command, labels, "--out", tmp_path / "out")


@pytest.mark.parametrize("command", [surfaces, mesh])
def test_a_series_of_another_frame_of_reference_is_refused(
    command: object, two_series: tuple[Path, Path, str], tmp_path: Path
) -> None:
    seg, study, uid = two_series
    wrong = next(each.series_uid for each in cspine.list_series(study) if each.series_uid != uid)
    words = ["--surface-format", "dicom"] if command is surfaces else []
    with pytest.raises(OtherImageError):
        invoke(command, seg, "--ct", study, "--series-uid", wrong, "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_the_output_folder_of_a_run_is_taken_as_measure_takes_it(labels: Path, tmp_path: Path) -> None:
    (tmp_path / "run" / "report").mkdir(parents=True)
    labels.rename(tmp_path / "run" / "report" / "labels.nii.gz")
    invoke(surfaces, tmp_path / "run", "--out", tmp_path / "s", "--surface-format", "stl")
    invoke(mesh, tmp_path / "run", "--out", tmp_path / "m", "--edge", "4", "--fe-format", "inp")
    assert {"C3.stl", "C4.stl"} <= {path.name for path in (tmp_path / "s").iterdir()}
    assert (tmp_path / "m" / "vertebrae.inp").is_file()


@pytest.mark.parametrize(
    "arguments",
    [("--fe-format", "msh"), ("--edge", "0.01"), ("--facet-gap", "-1"), ("--levels", "X9"), ("--compression", "50")],
)
def test_wrong_options_are_refused_before_anything_is_read(arguments: tuple[str, str], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        invoke(mesh, tmp_path / "absent.nii.gz", "--out", tmp_path / "out", *arguments)


def test_labels_that_do_not_exist(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        invoke(surfaces, tmp_path / "absent.nii.gz", "--out", tmp_path / "out")
