"""Defects of the DICOM operators that come with the MONAI Deploy App SDK 4.0.0, and cspine right in the same case.

Each test runs the SDK's function first, so that a release which fixes it shows itself here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset

from cspine.core.errors import ExcessiveTiltError, MissingSliceError, MixedAcquisitionsError, ScoutAmongSlicesError
from cspine.dicom import scan as scan_module
from cspine.dicom.read import read_volume
from cspine.dicom.rules import NumberCondition, TextCondition, ValuesCondition, load_rules
from cspine.dicom.scan import scan_folder
from cspine.dicom.select import evaluate_series, select_series
from cspine.dicom.write_ct import CtSeriesDescription
from tests.builders.ct_series import (
    Stack,
    build,
    duplicated,
    enhanced,
    phantom_on,
    save_all,
    scout,
    two_phases,
)

pytest.importorskip("monai.deploy.core", reason="the MONAI Deploy App SDK is not installed (extra 'app')")

from monai.deploy.core import Fragment
from monai.deploy.core.domain.dicom_series_selection import SelectedSeries, StudySelectedSeries
from monai.deploy.operators.dicom_data_loader_operator import DICOMDataLoaderOperator
from monai.deploy.operators.dicom_series_selector_operator import DICOMSeriesSelectorOperator
from monai.deploy.operators.dicom_series_to_volume_operator import DICOMSeriesToVolumeOperator

pytestmark = pytest.mark.filterwarnings("ignore")


def _sdk_load(paths: list[Path]) -> list[Any]:
    """The SDK's studies, with files in this order (it takes that of the directory)."""
    loader = DICOMDataLoaderOperator(Fragment(), name="loader")
    return list(loader._load_data([str(path) for path in paths]))


def _sdk_series(paths: list[Path]) -> list[Any]:
    return [series for study in _sdk_load(paths) for series in study.get_all_series()]


def _sdk_select(paths: list[Path], **conditions: object) -> list[str]:
    """UIDs of the series that the SDK selects."""
    selector = DICOMSeriesSelectorOperator(Fragment(), name="selector")
    rules = {"selections": [{"name": "ct", "conditions": conditions}]}
    return [
        s.series.SeriesInstanceUID for study in selector.filter(rules, _sdk_load(paths)) for s in study.selected_series
    ]


def _sdk_volume(paths: list[Path]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Voxels (z, y, x) and LPS affine that the SDK makes of one series."""
    (study,) = _sdk_load(paths)
    selected = StudySelectedSeries(study)
    selected.add_selected_series(SelectedSeries("ct", study.get_all_series()[0], None))
    operator = DICOMSeriesToVolumeOperator(Fragment(), name="volume", affine_lps_to_ras=False)
    image = operator.convert_to_image([selected])
    return image.asnumpy(), np.asarray(image.metadata()["affine"])


def _uids(series: Any) -> list[str]:
    return [str(s.get_native_sop_instance().SOPInstanceUID) for s in series.get_sop_instances()]


def _like(seed: str, study: str = "study", **changes: Any) -> list[Dataset]:
    description = CtSeriesDescription(uid_seed=seed, study_seed=study, body_part="NECK")
    return build(Stack(description=description, **{"shape_zyx": (40, 6, 6), **changes}))


# --- data loader ------------------------------------------------------------------------------------------------------


def test_pixels_are_not_read_before_selection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save_all(build(Stack()), tmp_path)
    (series,) = _sdk_series(paths)
    assert all("PixelData" in s.get_native_sop_instance() for s in series.get_sop_instances())

    read: list[Dataset] = []
    dcmread = scan_module.dcmread
    monkeypatch.setattr(scan_module, "dcmread", lambda *a, **k: read.append(dcmread(*a, **k)) or read[-1])
    scan_folder(tmp_path)
    assert len(read) == 6
    assert not any("PixelData" in dataset for dataset in read)


def test_two_phases_are_not_mixed(tmp_path: Path) -> None:
    datasets = two_phases(build(Stack()), TemporalPositionIdentifier=(1, 2))
    paths = save_all(datasets, tmp_path)
    order = [i + 6 * ((i + phase) % 2) for phase in (0, 1) for i in range(6)]
    (series,) = _sdk_series([paths[i] for i in order])
    phases = [s.get_native_sop_instance().TemporalPositionIdentifier for s in series.get_sop_instances()]
    assert sorted(phases) == [1, 1, 1, 2, 2, 2]

    with pytest.raises(MixedAcquisitionsError):
        read_volume(scan_folder(tmp_path).series[0])


def test_an_empty_acquisition_number_is_no_exception(tmp_path: Path) -> None:
    datasets = duplicated(build(Stack()), 2)
    for dataset in datasets:
        dataset.AcquisitionNumber = None
    paths = save_all(datasets, tmp_path)
    (series,) = _sdk_series(paths)
    assert datasets[-1].SOPInstanceUID not in _uids(series)  # int(None), swallowed

    assert scan_folder(tmp_path).series[0].slices == 7


def test_a_damaged_instance_is_no_silent_missing_slice(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:700])
    (series,) = _sdk_series(paths)
    assert len(series.get_sop_instances()) == 5

    scan = scan_folder(tmp_path)
    assert [damaged.path for damaged in scan.damaged] == [paths[2]]
    with pytest.raises(MissingSliceError):
        read_volume(scan.series[0])


def test_one_series_uid_in_two_studies_is_two_series(tmp_path: Path) -> None:
    first = save_all(_like("same", "one"), tmp_path / "1")
    second = save_all(_like("same", "two", origin_lps=(0.0, 0.0, 500.0)), tmp_path / "2")
    assert len(_sdk_series(first + second)) == 1

    assert [s.slices for s in scan_folder(tmp_path).series] == [40, 40]


def test_enhanced_multi_frame_is_not_lost(tmp_path: Path) -> None:
    stack = Stack()
    paths = save_all([enhanced(build(stack))], tmp_path)
    voxels, affine = _sdk_volume(paths)
    assert voxels.shape == (1, 6, 9, 8)
    assert affine == None  # noqa: E711 - an array that contains None: no position in the patient

    volume = read_volume(scan_folder(tmp_path).series[0])
    assert volume.grid.is_close(stack.grid, 1e-6)


# --- series selector --------------------------------------------------------------------------------------------------


def test_zero_is_a_number(tmp_path: Path) -> None:
    paths = save_all(build(Stack(signed=True, intercepts=(0.0,))), tmp_path)
    assert _sdk_select(paths, RescaleIntercept=[-1, 1]) == []

    assert NumberCondition(min=-1, max=1).rejection(0.0) is None


def test_expressions_are_anchored(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    assert len(_sdk_select(paths, Modality="T")) == 1

    assert TextCondition(matches="T").rejection("CT") is not None


def test_multiple_values_are_compared_complete(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    assert len(_sdk_select(paths, ImageType=["PRIM", "XIA"])) == 1

    assert ValuesCondition(all_of=("PRIM", "XIA")).rejection(("ORIGINAL", "PRIMARY", "AXIAL")) is not None


def test_the_best_series_is_chosen_and_not_the_first(tmp_path: Path) -> None:
    thick = save_all(_like("thick", spacing_xyz=(0.5, 0.5, 3.0)), tmp_path / "thick")
    thin = save_all(_like("thin", shape_zyx=(120, 6, 6), spacing_xyz=(0.5, 0.5, 1.0)), tmp_path / "thin")
    assert _sdk_select(thick + thin, Modality="CT") != _sdk_select(thin + thick, Modality="CT")

    chosen = select_series(scan_folder(tmp_path), load_rules()).chosen
    assert chosen.slice_thickness_mm == 1.0


@pytest.mark.parametrize("present", ["empty", "absent"])
def test_a_missing_patient_position_is_legal(tmp_path: Path, present: str) -> None:
    datasets = _like("a")
    for dataset in datasets:
        if present == "empty":
            dataset.PatientPosition = ""
        else:
            del dataset.PatientPosition
    paths = save_all(datasets, tmp_path)
    with pytest.raises(NotImplementedError):
        _sdk_select(paths, ImageOrientationPatient="Axial")

    assert [decision.chosen for decision in evaluate_series(scan_folder(tmp_path), load_rules())] == [True]


# --- series to volume -------------------------------------------------------------------------------------------------


def test_row_and_column_spacing_are_not_swapped(tmp_path: Path) -> None:
    stack = Stack()
    _, affine = _sdk_volume(save_all(build(stack), tmp_path))
    assert np.linalg.norm(affine[:3, 0]) == pytest.approx(0.75)  # along a row the pixels are 0.5 mm apart

    volume = read_volume(scan_folder(tmp_path).series[0])
    assert volume.grid.spacing_xyz == pytest.approx((0.5, 0.75, 2.0))
    assert np.abs(volume.hu_zyx - phantom_on(stack.grid)).max() <= 0.5


def test_the_type_is_not_that_of_the_first_slice(tmp_path: Path) -> None:
    datasets = build(Stack(shape_zyx=(3, 4, 4)))
    for dataset, hu in zip(datasets, (50, -100, -100), strict=True):
        dataset.PixelData = np.full((4, 4), hu + 1024, dtype=np.uint16).tobytes()
    voxels, _ = _sdk_volume(save_all(datasets, tmp_path))
    assert voxels[1].ravel()[0] == 65436

    assert read_volume(scan_folder(tmp_path).series[0]).hu_zyx[:, 0, 0].tolist() == [50, -100, -100]


def test_a_missing_slice_does_not_stretch_the_volume(tmp_path: Path) -> None:
    datasets = build(Stack())
    del datasets[3:5]
    _, affine = _sdk_volume(save_all(datasets, tmp_path))
    assert affine[2, 2] == pytest.approx(10 / 3)  # 2 mm is true

    with pytest.raises(MissingSliceError):
        read_volume(scan_folder(tmp_path).series[0])


def test_tilt_does_not_pass_unseen(tmp_path: Path) -> None:
    (tmp_path / "20").mkdir()
    voxels, _ = _sdk_volume(save_all(build(Stack(tilt_deg=20)), tmp_path / "20"))
    assert voxels.shape == (6, 9, 8)

    volume = read_volume(scan_folder(tmp_path / "20").series[0])
    assert volume.hu_zyx.shape[1] > 9
    assert "gantry tilt of 20.0 degrees" in volume.notes[0]
    save_all(build(Stack(tilt_deg=50)), tmp_path / "50")
    with pytest.raises(ExcessiveTiltError):
        read_volume(scan_folder(tmp_path / "50").series[0])


def test_a_scout_does_not_pass_unseen(tmp_path: Path) -> None:
    datasets = build(Stack(shape_zyx=(6, 8, 8)))
    localizer = scout(datasets[0], 7)
    localizer.ImagePositionPatient = [0, 60, 0]
    voxels, _ = _sdk_volume(save_all([*datasets, localizer], tmp_path))
    assert voxels.shape[0] == 7

    with pytest.raises(ScoutAmongSlicesError):
        read_volume(scan_folder(tmp_path).series[0])
