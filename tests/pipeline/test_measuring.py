"""Measurements of a run, against earlier results in the study or named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread

from cspine.core.anatomy import parse_levels
from cspine.core.errors import PriorResultError
from cspine.core.volumes import CtVolume
from cspine.dicom.scan import scan_folder
from cspine.pipeline import steps
from cspine.pipeline.measuring import measure, prior_result
from cspine.pipeline.segmentation import Vertebrae
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps import ChosenSeries
from cspine.report.earlier_measurements import earlier_values
from tests.builders.measured_study import CLOCK, ct_series, labelled

SETTINGS = RunSettings(CLOCK)
LABELS = labelled(("C4", "C5"))


def chosen_of(folder: Path, settings: RunSettings = SETTINGS) -> ChosenSeries:
    """The CT series of a study, with what earlier runs left in it."""
    scan = scan_folder(folder)
    ct = next(series for series in scan.series if series.modality == "CT")
    chosen = steps.series_of_caller(scan, ct)
    named = prior_result(settings.prior, None, ct.patient_key)
    return replace(chosen, prior=named) if named is not None else chosen


def written(folder: Path, out: Path, ct: CtVolume, settings: RunSettings = SETTINGS) -> Path:
    """Write segmentation and report of the known labels, as a run does."""
    chosen, vertebrae = chosen_of(folder, settings), Vertebrae(LABELS, ())
    (out / "dicom").mkdir(parents=True)
    measured = steps.measure(vertebrae, ct, chosen, settings, parse_levels("C3-C6"))
    record = steps.write_dicom(vertebrae, ct, chosen, settings, out)
    steps.write_sr(steps.MeasuredStudy(measured, vertebrae, ct, chosen, record), settings, out)
    return out / "dicom"


def tracking(dicom: Path) -> dict[str, str]:
    """The tracking UIDs of the segments, which the report must share."""
    segments = dcmread(dicom / "segmentation.dcm", stop_before_pixels=True).SegmentSequence
    found = {str(s.SegmentLabel): str(s.TrackingUID) for s in segments}
    reported = earlier_values(dcmread(dicom / "measurements.dcm")).tracking
    assert {level: reported[level] for level in found} == found
    return found


@pytest.fixture
def study(tmp_path: Path) -> tuple[Path, CtVolume, Path]:
    """A CT and its first result."""
    ct = ct_series(tmp_path / "study", LABELS)
    return tmp_path / "study", ct, written(tmp_path / "study", tmp_path / "first", ct)


def test_a_repetition_beside_its_first_result_gives_the_same_objects(
    study: tuple[Path, CtVolume, Path], tmp_path: Path
) -> None:
    folder, ct, first = study
    shutil.copytree(first, folder / "earlier")
    again = written(folder, tmp_path / "again", ct)
    for name in ("segmentation.dcm", "measurements.dcm"):
        assert (again / name).read_bytes() == (first / name).read_bytes()


@pytest.mark.parametrize("kept", ["segmentation.dcm", "measurements.dcm"])
def test_a_vertebra_keeps_its_tracking_uid_with_other_settings(
    study: tuple[Path, CtVolume, Path], tmp_path: Path, kept: str
) -> None:
    folder, ct, first = study
    shutil.copy(first / kept, folder / kept)
    other = replace(SETTINGS, repair_gaps=True)
    later = written(folder, tmp_path / "later", ct, other)
    assert tracking(later) == tracking(first)
    alone = written(tmp_path / "alone", tmp_path / "new", ct_series(tmp_path / "alone", LABELS), other)
    assert tracking(alone).keys() == tracking(first).keys() and tracking(alone) != tracking(first)


def test_a_named_result_of_other_images_gives_changes(study: tuple[Path, CtVolume, Path], tmp_path: Path) -> None:
    _, _, first = study
    ct = ct_series(tmp_path / "follow-up", LABELS, shift=50)
    settings = replace(SETTINGS, prior=first)
    measured = steps.measure(Vertebrae(LABELS, ()), ct, chosen_of(tmp_path / "follow-up", settings), settings)
    difference = {(c.site, c.quantity.name): c.difference for c in measured.changes}
    assert difference["C4", "trabecular_hu"] == 50.0 and difference["C4", "volume_ml"] == 0
    assert tracking(written(tmp_path / "follow-up", tmp_path / "out", ct, settings)) == tracking(first)


def test_what_was_looked_for_and_not_found_is_named_but_no_variant() -> None:
    ct = CtVolume((LABELS.labels_zyx > 0).astype("int16") * 300 + 1, LABELS.affine_lps)
    found = measure(LABELS, ct, looked_for=parse_levels("C3-C6,T12-L1,L6"))
    assert found.not_found == ("C3", "C6", "T12", "L1")


def test_a_bad_earlier_result_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PriorResultError):
        prior_result(tmp_path / "empty", None, None)


def test_the_summary_has_the_numbers_of_the_report(study: tuple[Path, CtVolume, Path]) -> None:
    from cspine.report.summary import measurement_summaries

    folder, ct, first = study
    measured = steps.measure(Vertebrae(LABELS, ()), ct, chosen_of(folder), SETTINGS)
    rows = json.loads(json.dumps([row.model_dump() for row in measurement_summaries(measured.spine.values)]))
    reported = earlier_values(dcmread(first / "measurements.dcm")).values
    assert {(r["site"], r["name"]): (r["value"], r["uncertainty"]) for r in rows} == reported
