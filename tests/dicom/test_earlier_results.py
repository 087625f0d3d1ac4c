"""Which segmentations count as earlier results of a series, and which of them a new one supersedes."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import SurfaceSegmentationStorage

from cspine.core.errors import hashed
from cspine.dicom.earlier_results import (
    EarlierResult,
    algorithm_name,
    find_earlier_results,
    name_superseded,
    superseded,
    with_other_slices,
)
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg_type import SegType
from tests.builders.ct_series import build
from tests.dicom.test_seg import MODEL, SETTINGS, STACK, volume, written

A, B, C = "2.25.1", "2.25.2", "2.25.3"


def result(*sources: str, algorithm: str = "net", uid: str = "2.25.9", series: str = "2.25.8") -> EarlierResult:
    return EarlierResult("2.25.7", series, uid, algorithm, frozenset(sources), frozenset(("C2", "C3")))


@pytest.fixture
def segmented(tmp_path: Path) -> Path:
    """A study folder with a series and its segmentation, ``seg.dcm``."""
    written(volume(build(STACK), STACK.grid, tmp_path / "ct"), tmp_path / "seg.dcm")
    return tmp_path


def found(folder: Path) -> tuple[EarlierResult, ...]:
    study = scan_folder(folder)
    (ct,) = [series for series in study.series if series.modality == "CT"]
    return find_earlier_results(study, ct)


def changed(path: Path, **attributes: object) -> None:
    dataset = dcmread(path)
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.save_as(path)


@pytest.mark.parametrize("seg_type", list(SegType))
def test_a_result_states_its_model_and_every_slice_that_it_was_made_of(tmp_path: Path, seg_type: SegType) -> None:
    datasets = build(STACK)
    record = written(
        volume(datasets, STACK.grid, tmp_path / "ct"), tmp_path / "seg.dcm", replace(SETTINGS, seg_type=seg_type)
    )
    (earlier,) = found(tmp_path)
    assert (earlier.sop_instance_uid, earlier.series_uid) == (record.sop_instance_uid, record.series_instance_uid)
    assert earlier.study_uid == datasets[0].StudyInstanceUID
    assert earlier.algorithm == algorithm_name(MODEL) == "neck-net (DEMONSTRATION)"
    assert earlier.levels == {name for _, name in record.segments}
    assert record.frames < len(datasets)  # slices without a vertebra have no frame, and count
    assert earlier.sources == {str(dataset.SOPInstanceUID) for dataset in datasets}


def test_one_result_in_two_files_is_one(segmented: Path) -> None:
    dcmread(segmented / "seg.dcm").save_as(segmented / "again.dcm")
    assert len(found(segmented)) == 1


def test_segmentations_of_other_makers_do_not_count(segmented: Path) -> None:
    changed(segmented / "seg.dcm", Manufacturer="Another")
    assert found(segmented) == ()
    changed(segmented / "seg.dcm", Manufacturer="cspine", ManufacturerModelName="another")
    assert found(segmented) == ()


def test_objects_of_other_classes_do_not_count(segmented: Path) -> None:
    changed(segmented / "seg.dcm", SOPClassUID=SurfaceSegmentationStorage)
    assert found(segmented) == ()


def test_segmentations_of_other_series_do_not_count(segmented: Path) -> None:
    dataset = dcmread(segmented / "seg.dcm")
    dataset.ReferencedSeriesSequence[0].SeriesInstanceUID = "2.25.5"
    dataset.save_as(segmented / "seg.dcm")
    assert found(segmented) == ()


def test_a_segmentation_that_states_nothing_is_logged_by_its_hash(
    segmented: Path, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = dcmread(segmented / "seg.dcm")
    del dataset.ReferencedSeriesSequence
    dataset.save_as(segmented / "seg.dcm")
    with caplog.at_level(logging.WARNING):
        assert found(segmented) == ()
    assert hashed(dataset.SOPInstanceUID) in caplog.text and dataset.SOPInstanceUID not in caplog.text


def test_only_part_of_the_slices_is_superseded() -> None:
    slices = frozenset((A, B))
    part, same, more, others = result(A), result(A, B), result(A, B, C), result(C)
    assert superseded((part, same, more, others), slices, "net") == (part,)
    assert with_other_slices((part, same, more, others), slices) == (more, others)


def test_another_model_supersedes_nothing_but_its_slices_count() -> None:
    assert superseded((result(A, algorithm="other"),), frozenset((A, B)), "net") == ()
    assert len(with_other_slices((result(C, algorithm="other"),), frozenset((A, B)))) == 1


def test_a_result_with_levels_that_are_not_requested_now_stays() -> None:
    earlier, slices = (result(A),), frozenset((A, B))
    assert superseded(earlier, slices, "net", frozenset(("C2", "C3", "C4"))) == earlier
    assert superseded(earlier, slices, "net", frozenset(("C3", "C4"))) == ()


def test_each_superseded_series_is_named_once() -> None:
    segmentation = Dataset()
    name_superseded(segmentation, [])
    assert "RelatedSeriesSequence" not in segmentation
    name_superseded(segmentation, [result(A), result(B, uid="2.25.10"), result(C, uid="2.25.11", series="2.25.12")])
    assert [item.SeriesInstanceUID for item in segmentation.RelatedSeriesSequence] == ["2.25.8", "2.25.12"]
