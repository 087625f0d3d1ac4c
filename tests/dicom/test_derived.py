"""What holds for every object that is built with pydicom: PDF, Secondary Capture, structure set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from cspine.core.errors import DicomSourceNeededError, GeometryError, InputError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.clock import Clock
from cspine.dicom.derived import ObjectSettings
from cspine.dicom.encapsulated_pdf import write_encapsulated_pdf
from cspine.dicom.rtstruct import write_structure_set
from cspine.dicom.secondary_capture import write_secondary_capture
from tests.builders.ct_series import build
from tests.builders.judges import dciodvfy_errors
from tests.builders.source_volumes import MODEL, SETTINGS, STACK, rings, stored, stored_volume

Write = Callable[[LabelVolume, CtVolume, ObjectSettings, Path], str]
PICTURE = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)


def write_pdf(labels: LabelVolume, ct: CtVolume, settings: ObjectSettings, path: Path) -> str:
    return write_encapsulated_pdf(b"%PDF-1.4 odd", labels, ct, settings, path)


def write_sc(labels: LabelVolume, ct: CtVolume, settings: ObjectSettings, path: Path) -> str:
    return write_secondary_capture(PICTURE, labels, ct, settings, path)


WRITERS: list[Write] = [write_pdf, write_sc, write_structure_set]
every_writer = pytest.mark.parametrize("write", WRITERS, ids=["pdf", "sc", "rtstruct"])


@every_writer
def test_the_object_is_valid_and_filed_with_its_source(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    uid = write(labels, ct, SETTINGS, tmp_path / "o.dcm")
    assert dciodvfy_errors(tmp_path / "o.dcm") == []
    made, source = dcmread(tmp_path / "o.dcm"), build(STACK)[0]
    assert made.SOPInstanceUID == uid
    for keyword in ("PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber"):
        assert made[keyword].value == source[keyword].value, keyword
    assert made.SeriesInstanceUID != source.SeriesInstanceUID
    assert made.SeriesDescription.endswith("(cspine) DEMONSTRATION")


@every_writer
def test_every_source_instance_is_referenced(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write(labels, ct, SETTINGS, tmp_path / "o.dcm")
    made = dcmread(tmp_path / "o.dcm")
    named = {str(e.value) for e in made.iterall() if e.keyword == "ReferencedSOPInstanceUID"}
    assert named >= {str(dataset.SOPInstanceUID) for dataset in build(STACK)}


@every_writer
def test_a_rerun_under_one_clock_gives_the_same_bytes(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    for name in ("a.dcm", "b.dcm"):
        write(labels, ct, SETTINGS, tmp_path / name)
    assert (tmp_path / "a.dcm").read_bytes() == (tmp_path / "b.dcm").read_bytes()


@every_writer
def test_what_differs_has_other_uids(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    later = Clock(datetime(2024, 5, 6, 7, 8, 10, tzinfo=UTC))
    uids = {
        write(labels, ct, SETTINGS, tmp_path / "0.dcm"),
        write(labels, ct, replace(SETTINGS, clock=later), tmp_path / "1.dcm"),
        write(labels, ct, replace(SETTINGS, parameters=(("folds", "0"),)), tmp_path / "2.dcm"),
        write(labels, ct, replace(SETTINGS, remark="CHECK"), tmp_path / "3.dcm"),
        write(replace(labels, model=replace(MODEL, checksum="ee" * 32)), ct, SETTINGS, tmp_path / "4.dcm"),
    }
    datasets = build(STACK)
    for dataset in datasets:
        dataset.PatientName = "CORRECTED^NAME"
    uids.add(write(labels, stored(datasets, STACK.grid, tmp_path / "b"), SETTINGS, tmp_path / "5.dcm"))
    assert len(uids) == 6


def test_content_enters_the_uids(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    moved = replace(labels, labels_zyx=np.roll(rings(STACK.shape_zyx), 1, axis=2))
    path = tmp_path / "o.dcm"
    for one, other in (
        (write_encapsulated_pdf(text, labels, ct, SETTINGS, path) for text in (b"1", b"2")),
        (write_secondary_capture(rgb, labels, ct, SETTINGS, path) for rgb in (PICTURE, 255 - PICTURE)),
        (write_structure_set(each, ct, SETTINGS, path) for each in (labels, moved)),
    ):
        assert one != other


@every_writer
def test_dates_come_from_the_clock_in_the_zone_of_the_source(write: Write, tmp_path: Path) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.TimezoneOffsetFromUTC = "-0800"
    ct = stored(datasets, STACK.grid, tmp_path / "ct")
    write(LabelVolume(rings(STACK.shape_zyx), ct.affine_lps, MODEL), ct, SETTINGS, tmp_path / "o.dcm")
    made = dcmread(tmp_path / "o.dcm")
    assert (made.TimezoneOffsetFromUTC, made.SeriesDate, made.InstanceCreationTime) == ("-0800", "20240505", "230809")
    assert dciodvfy_errors(tmp_path / "o.dcm") == []


def _trial(dataset: Dataset) -> None:
    dataset.ClinicalTrialSponsorName, dataset.ClinicalTrialProtocolID = "Sponsor", "P1"
    dataset.ClinicalTrialSubjectID = "S1"


def _bare(dataset: Dataset) -> None:
    for keyword in ("PatientName", "PatientSex", "StudyID", "AccessionNumber", "FrameOfReferenceUID"):
        del dataset[keyword]


@every_writer
@pytest.mark.parametrize("change", [_trial, _bare])
def test_other_headers_make_valid_objects(write: Write, change: Callable[[Dataset], None], tmp_path: Path) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        change(dataset)
    ct = stored(datasets, STACK.grid, tmp_path / "ct")
    write(LabelVolume(rings(STACK.shape_zyx), ct.affine_lps, MODEL), ct, SETTINGS, tmp_path / "o.dcm")
    assert dciodvfy_errors(tmp_path / "o.dcm") == []


@every_writer
def test_a_remark_stands_first_in_the_series_description(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write(labels, ct, replace(SETTINGS, remark="CHECK"), tmp_path / "o.dcm")
    assert str(dcmread(tmp_path / "o.dcm").SeriesDescription).startswith("CHECK: ")


@every_writer
def test_a_volume_without_a_source_or_with_another_one_is_refused(write: Write, tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    path = tmp_path / "o.dcm"
    with pytest.raises(DicomSourceNeededError):
        write(labels, replace(ct, source=None), SETTINGS, path)
    assert ct.source is not None
    backwards = replace(ct.source, slices=ct.source.slices[::-1])
    with pytest.raises(GeometryError):
        write(labels, replace(ct, source=backwards), SETTINGS, path)
    ct.source.slices[3].path.unlink()
    with pytest.raises(InputError):
        write(labels, ct, SETTINGS, path)
    assert not path.exists()


@every_writer
def test_nothing_of_the_patient_is_logged(write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.PatientName = "Secretname Without Caret"
    ct = stored(datasets, STACK.grid, tmp_path / "ct")
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        write(LabelVolume(rings(STACK.shape_zyx), ct.affine_lps, MODEL), ct, SETTINGS, tmp_path / "o.dcm")
    assert "Secretname" not in caplog.text


def test_the_document_is_stored_as_it_is(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write_encapsulated_pdf(b"%PDF-1.4 odd!", labels, ct, SETTINGS, tmp_path / "o.dcm")
    made = dcmread(tmp_path / "o.dcm")
    assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == b"%PDF-1.4 odd!"
    assert (made.ConversionType, made.BurnedInAnnotation, made.MIMETypeOfEncapsulatedDocument) == (
        "WSD",
        "NO",
        "application/pdf",
    )


def test_the_picture_is_stored_as_it_is_and_states_what_is_burned_in(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "ct")
    write_secondary_capture(PICTURE, labels, ct, SETTINGS, tmp_path / "o.dcm")
    made = dcmread(tmp_path / "o.dcm")
    assert np.array_equal(made.pixel_array, PICTURE)
    assert (made.BurnedInAnnotation, made.BodyPartExamined, list(made.ImageType)) == (
        "YES",
        "CSPINE",
        ["DERIVED", "SECONDARY"],
    )
