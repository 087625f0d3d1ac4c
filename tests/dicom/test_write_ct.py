"""Written CT series: valid, the same each time, and read back as they were."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless, RLELossless

from cspine.core.errors import UsageError
from cspine.core.volumes import CtVolume
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.write_ct import CtSeriesDescription, derive_uid, write_ct_series
from tests.builders.ct_series import Stack, build, empty_type_2, phantom_on, save_all
from tests.builders.raises import raises_code

_VALIDATOR = shutil.which("dciodvfy") or shutil.which("dciodvfy", path=str(Path(sys.executable).parent))


def _volume(**changes: object) -> CtVolume:
    grid = replace(Stack(shape_zyx=(4, 40, 36)), **changes).grid  # type: ignore[arg-type]
    return CtVolume(np.rint(phantom_on(grid)).astype(np.int16), grid.affine_lps)


def _errors(path: Path) -> list[str]:
    if _VALIDATOR is None:
        pytest.skip("dciodvfy is not installed")
    done = subprocess.run([_VALIDATOR, str(path)], capture_output=True, text=True, check=False)
    return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("syntax", [JPEGLSLossless, RLELossless, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_series_is_valid_and_read_back_as_it_was(tmp_path: Path, syntax: str) -> None:
    volume = _volume(rotation_deg=(3.0, 0.0, 8.0))
    paths = write_ct_series(volume, tmp_path / "ct", CtSeriesDescription(uid_seed="a", transfer_syntax=syntax))
    assert len(paths) == 4
    assert _errors(paths[1]) == []
    (series,) = scan_folder(tmp_path / "ct").series
    again = read_volume(series)
    assert np.array_equal(again.hu_zyx, volume.hu_zyx)
    assert again.grid.is_close(volume.grid, 1e-4)


def test_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    description = CtSeriesDescription(uid_seed="a")
    first = write_ct_series(_volume(), tmp_path / "1", description)
    second = write_ct_series(_volume(), tmp_path / "2", description)
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_what_the_series_says_of_itself(tmp_path: Path) -> None:
    description = CtSeriesDescription(
        uid_seed="a",
        study_seed="s",
        patient_name="Иванов^Иван",
        character_set="ISO_IR 144",
        kernel="B70f",
        clock=datetime(2021, 5, 6, 7, 8, 9, tzinfo=UTC),
    )
    header = dcmread(write_ct_series(_volume(), tmp_path, description)[0])
    assert str(header.PatientName) == "Иванов^Иван"
    assert (header.StudyDate, header.ContentTime, header.ConvolutionKernel) == ("20210506", "070809", "B70f")
    assert header.SeriesInstanceUID == derive_uid("a", "series")
    assert header.StudyInstanceUID == derive_uid("s", "study")


def test_uids_follow_from_their_parts_and_are_valid() -> None:
    assert derive_uid("a", 1) == derive_uid("a", 1) != derive_uid("a", 2)
    assert derive_uid("a").startswith("2.25.")
    assert len(derive_uid("a")) <= 64


def test_float_values_are_rounded_and_below_air_is_air(tmp_path: Path) -> None:
    hu = np.full((3, 8, 8), 10.4, dtype=np.float32)
    hu[0, 0, 0] = -3000
    write_ct_series(CtVolume(hu, np.eye(4)), tmp_path, CtSeriesDescription(uid_seed="a"))
    again = read_volume(scan_folder(tmp_path).series[0]).hu_zyx
    assert (again[0, 0, 0], again[1, 1, 1]) == (-1024, 10)


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    description = CtSeriesDescription(uid_seed="a")
    with raises_code(UsageError):
        write_ct_series(_volume(tilt_deg=10.0), tmp_path, description)
    with raises_code(UsageError):
        write_ct_series(CtVolume(np.zeros((3, 4, 4), np.int16), np.diag([1.0, 1, -1, 1])), tmp_path, description)
    with raises_code(UsageError, 100000, 16):
        write_ct_series(CtVolume(np.full((3, 4, 4), 1e5, np.float32), np.eye(4)), tmp_path, description)
    with raises_code(UsageError, JPEGBaseline8Bit):
        write_ct_series(_volume(), tmp_path, replace(description, transfer_syntax=JPEGBaseline8Bit))


@pytest.mark.parametrize(
    "stack", [Stack(), Stack(orientation="PSL", signed=True), Stack(tilt_deg=15), Stack(rotation_deg=(9, 8, 7))]
)
def test_what_the_builder_makes_is_valid(tmp_path: Path, stack: Stack) -> None:
    assert _errors(save_all(build(stack), tmp_path)[0]) == []


def test_empty_type_2_attributes_are_valid(tmp_path: Path) -> None:
    datasets = empty_type_2(build(Stack()))
    for dataset in datasets:
        dataset.BodyPartExamined = "CSPINE"  # type 3; without it the validator wants a laterality
    assert _errors(save_all(datasets, tmp_path)[0]) == []
