"""Which report a named earlier result is, and what is read from it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid

from cspine.core.errors import PriorResultError
from cspine.dicom.headers import patient_key
from cspine.dicom.scan import scan_folder
from cspine.report.earlier_measurements import earlier_values, find_prior, read_prior
from cspine.report.structured_report import ReportContent, report_settings, write_structured_report
from tests.builders.measured_study import CLOCK, ct_series, labelled, measured


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of the study of 2024-05-06."""
    folder = tmp_path_factory.mktemp("study")
    labels = labelled(("C4", "C5"))
    ct = ct_series(folder / "ct", labels)
    content = ReportContent(measured(labels, ct))
    path = write_structured_report(content, ct, None, report_settings(content, CLOCK, (), ""), folder / "sr.dcm").path
    return _changed(path, path, StudyDate="20240506")


def _changed(source: Path, target: Path, **values: str) -> Path:
    dataset = dcmread(source)
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    target.parent.mkdir(exist_ok=True, parents=True)
    dataset.save_as(target)
    return target


def _other(report: Path, folder: Path, **values: str) -> str:
    uid = str(generate_uid())
    _changed(report, folder / f"{uid}.dcm", SOPInstanceUID=uid, **values)
    return uid


def _patient(report: Path) -> str:
    return patient_key(dcmread(report))


def test_of_several_patients_the_report_of_this_one_is_read(report: Path, tmp_path: Path) -> None:
    mine = _other(report, tmp_path)
    _other(report, tmp_path, PatientID="someone", ContentDate="20991231")
    assert read_prior(tmp_path, _patient(report)).result == mine
    with pytest.raises(PriorResultError):
        read_prior(tmp_path, "a third one")


def test_several_patients_are_refused_for_an_image_of_an_unknown_one(report: Path, tmp_path: Path) -> None:
    mine = _other(report, tmp_path)
    assert read_prior(tmp_path, None).result == mine
    _other(report, tmp_path, PatientID="someone")
    with pytest.raises(PriorResultError):
        read_prior(tmp_path, None)


def test_the_latest_study_before_the_image_is_read(report: Path, tmp_path: Path) -> None:
    _other(report, tmp_path, StudyDate="20200101", ContentDate="20260101")
    wanted = _other(report, tmp_path, StudyDate="20220101")
    _other(report, tmp_path, StudyDate="20250101")
    assert read_prior(tmp_path, _patient(report), "20240101").result == wanted
    assert read_prior(tmp_path, _patient(report), "20220101").result == wanted
    with pytest.raises(PriorResultError):
        read_prior(tmp_path, _patient(report), "20190101")


def test_in_a_study_a_report_on_other_images_comes_before_a_later_one_on_these(report: Path, tmp_path: Path) -> None:
    images = earlier_values(dcmread(report)).images
    own = _other(report, tmp_path, ContentDate="20991231")
    assert find_prior(scan_folder(tmp_path), images).result == own
    other = _other(report, tmp_path)
    path = tmp_path / f"{other}.dcm"
    dataset = dcmread(path)
    for item in dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0].ReferencedSOPSequence:
        item.ReferencedSOPInstanceUID = generate_uid()
    dataset.save_as(path)
    assert find_prior(scan_folder(tmp_path), images).result == other


def test_densities_have_the_acquisition_that_they_depend_on(report: Path) -> None:
    dataset: Dataset = dcmread(report)
    assert earlier_values(dataset).acquisition == "120 kV, kernel SYNTHETIC, without contrast medium"
