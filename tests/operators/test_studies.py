"""Between the SDK's studies and cspine's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

pytest.importorskip("holoscan")

from cspine.core.errors import InputError
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.operators.domain import Provenance
from cspine.operators.sdk import DICOMSeries, DICOMStudy, SelectedSeries, StudySelectedSeries
from cspine.operators.studies import chosen_series, ct_study, sort_instances
from cspine.pipeline.steps import series_of_caller
from tests.builders.small_neck import write_neck


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A series whose files are named in no order."""
    folder = tmp_path_factory.mktemp("series")
    written = write_neck(folder, CtSeriesDescription(uid_seed="studies"))
    return [path.rename(path.with_name(f"{(n * 37) % len(written):03d}.dcm")) for n, path in enumerate(written)]


def of_the_sdk(datasets: list[Dataset]) -> StudySelectedSeries:
    """The series as the SDK's loader and selector give it: in the order of the folder."""
    series = DICOMSeries(str(datasets[0].SeriesInstanceUID))
    for dataset in datasets:
        series.add_sop_instance(dataset)
    study = DICOMStudy(str(datasets[0].StudyInstanceUID))
    study.add_series(series)
    selected = StudySelectedSeries(study)
    selected.add_selected_series(SelectedSeries("CT", series))
    return selected


def positions(study: StudySelectedSeries) -> list[float]:
    instances = study.selected_series[0].series.get_sop_instances()
    return [float(each.get_native_sop_instance().ImagePositionPatient[2]) for each in instances]


def test_a_series_of_the_sdk_is_read_as_cspines_own(files: list[Path]) -> None:
    study = of_the_sdk([dcmread(path) for path in sorted(files)])
    scan = scan_folder(files[0].parent)
    theirs, ours = chosen_series([study]), series_of_caller(scan, scan.series[0])
    assert theirs.selection.chosen == ours.selection.chosen
    assert [decision.chosen for decision in theirs.selection.decisions] == [True]
    ct = read_volume(theirs.selection.chosen)
    assert ct.source is not None
    assert positions(study) != sorted(positions(study))
    sort_instances([study], ct.source)
    assert np.allclose(positions(study), [ct.affine_lps[2, 3] + 1.5 * k for k in range(len(files))])


def test_cspines_series_reads_a_file_when_it_is_asked_for(files: list[Path]) -> None:
    scan = scan_folder(files[0].parent)
    study = ct_study(series_of_caller(scan, scan.series[0]), Provenance())
    series = study.selected_series[0].series
    instance = series.get_sop_instances()[0]
    assert instance._sop is None and (series.Modality, series.row_pixel_spacing) == ("CT", 2)
    assert instance.get_pixel_array().shape == (64, 60) and instance["Modality"].value == "CT"
    assert positions(study) == sorted(positions(study))
    assert study.study.StudyInstanceUID == scan.series[0].study_uid


def test_what_cannot_be_read_again_is_refused(files: list[Path]) -> None:
    with pytest.raises(InputError):
        chosen_series([])
    with pytest.raises(InputError):
        chosen_series([StudySelectedSeries(DICOMStudy("1.2"))])
    dataset = dcmread(files[0])
    dataset.filename = None
    with pytest.raises(InputError):
        chosen_series(of_the_sdk([dataset]))
