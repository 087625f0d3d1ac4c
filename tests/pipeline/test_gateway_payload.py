"""Payloads of the MONAI Informatics Gateway: complete, late, interrupted, and sent again with an earlier result."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLSLossless

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import NoSuitableSeriesError
from cspine.dicom.clock import Clock
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg_type import SegType
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.study import run_study
from cspine.report.summary import Summary
from tests.builders.gateway_payload import (
    BONE,
    SLICES,
    fingerprint,
    phantom_model,
    predict_with,
    read_only,
    receive,
    write_bone_series,
    write_other_series,
)
from tests.builders.judges import dciodvfy_errors
from tests.builders.spine_phantom import MODEL

__all__ = ["phantom_model"]
pytestmark = pytest.mark.usefixtures("phantom_model")

CLOCK = Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
#: Slices that come before the time-out of the Gateway; the others, towards the head, come late.
IN_TIME = 70
UNCOMPRESSED = 1


@pytest.fixture(scope="module")
def bone(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_bone_series(tmp_path_factory.mktemp("bone"))


def run(source: Path, out: Path, **settings: object) -> tuple[Summary, Dataset]:
    """Run a payload; return the summary and the segmentation."""
    chosen = replace(RunSettings(CLOCK), **settings)  # type: ignore[arg-type]
    package = cast("ModelPackage", SimpleNamespace(levels=CERVICAL_LEVELS))
    with StudyOutput(out) as output:
        summary = run_study(scan_folder(source), package, chosen, output)
    return summary, dcmread(out / "dicom" / "segmentation.dcm")


def codes(summary: Summary) -> set[str]:
    """Codes of the findings about the completeness of the series."""
    return {finding.code for finding in summary.findings if "CS-FND-015" <= finding.code <= "CS-FND-019"}


def with_attribute(files: Iterable[Path], folder: Path, keyword: str, value: object) -> list[Path]:
    """Copies of the files with one attribute more."""
    folder.mkdir()
    copies = []
    for file in files:
        dataset = dcmread(file)
        setattr(dataset, keyword, value)
        copies.append(folder / f"{len(copies):04d}.dcm")
        dataset.save_as(copies[-1])
    return copies


def test_a_complete_study_gives_the_same_bytes_as_a_plain_folder(bone: list[Path], tmp_path: Path) -> None:
    payload = receive(tmp_path / "payload", [*bone, *write_other_series(tmp_path / "other", bone[UNCOMPRESSED])])
    before = fingerprint(payload)
    with read_only(payload):
        summary, segmentation = run(payload, tmp_path / "out")
    assert fingerprint(payload) == before
    assert summary.input.slices == SLICES and summary.input.skipped_files == SLICES + 3
    assert {v.modality: v.chosen for v in summary.input.decisions if v.instances == 1} == {
        "CT": False,
        "MR": False,
        "SR": False,
    }
    assert codes(summary) == set() and summary.supersedes == []
    assert "RelatedSeriesSequence" not in segmentation
    (tmp_path / "plain").mkdir()
    for number, file in enumerate(bone):
        shutil.copy(file, tmp_path / "plain" / str(number))
    run(tmp_path / "plain", tmp_path / "again")
    name = "dicom/segmentation.dcm"
    assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_the_transfer_syntax_of_each_instance_is_its_own(bone: list[Path], tmp_path: Path) -> None:
    payload = receive(tmp_path / "payload", bone)
    syntaxes = {dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID for path in payload.rglob("*.dcm")}
    assert len(syntaxes) == 4 and JPEGLSLossless in syntaxes
    mixed, _ = run(payload, tmp_path / "out")
    plain, _ = run(bone[0].parent, tmp_path / "plain")
    assert mixed.vertebrae == plain.vertebrae


def test_late_instances_alone_say_that_slices_may_have_come_before(bone: list[Path], tmp_path: Path) -> None:
    summary, _ = run(receive(tmp_path / "payload", bone[IN_TIME - 30 :]), tmp_path / "out")
    assert codes(summary) == {"CS-FND-019"}
    (finding,) = [f for f in summary.findings if f.code == "CS-FND-019"]
    assert (finding.severity, str(IN_TIME - 29) in finding.sentence) == ("info", True)


def test_late_instances_without_a_series_that_fits_are_refused(bone: list[Path], tmp_path: Path) -> None:
    payload = receive(tmp_path / "payload", write_other_series(tmp_path / "other", bone[UNCOMPRESSED]))
    with pytest.raises(NoSuitableSeriesError):
        run(payload, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_payload_smaller_than_its_headers_say_is_reported(bone: list[Path], tmp_path: Path) -> None:
    stated = with_attribute(bone[:IN_TIME], tmp_path / "stated", "ImagesInAcquisition", SLICES)
    summary, segmentation = run(receive(tmp_path / "payload", stated), tmp_path / "out")
    assert codes(summary) == {"CS-FND-018"}
    assert not str(segmentation.SeriesDescription).startswith("CHECK")


def test_a_damaged_slice_at_the_end_is_reported(bone: list[Path], tmp_path: Path) -> None:
    uncompressed = UNCOMPRESSED + 80
    payload = receive(tmp_path / "payload", bone[: uncompressed + 1])
    (last,) = payload.rglob(f"{dcmread(bone[uncompressed], stop_before_pixels=True).SOPInstanceUID}.dcm")
    last.write_bytes(last.read_bytes()[:-400])
    summary, _ = run(payload, tmp_path / "out")
    assert codes(summary) == {"CS-FND-018"}
    assert summary.input.slices == uncompressed


def test_an_incomplete_transfer_is_seen_in_the_viewer(bone: list[Path], tmp_path: Path) -> None:
    payload = receive(tmp_path / "payload", bone[:IN_TIME])
    summary, segmentation = run(payload, tmp_path / "out", incomplete=True)
    assert codes(summary) == {"CS-FND-017"} and summary.settings["incomplete"] == "yes"
    assert str(segmentation.SeriesDescription).startswith("CHECK: ")


@pytest.mark.parametrize("seg_type", list(SegType))
def test_a_fuller_payload_names_the_result_that_it_supersedes(
    bone: list[Path], tmp_path: Path, seg_type: SegType
) -> None:
    _, first = run(receive(tmp_path / "first", bone[:IN_TIME]), tmp_path / "early", seg_type=seg_type)
    sent_again = [*bone, tmp_path / "early" / "dicom" / "segmentation.dcm"]
    summary, second = run(receive(tmp_path / "second", sent_again), tmp_path / "late", seg_type=seg_type)
    (named,) = summary.supersedes
    assert (named.sop_instance_uid, named.series_instance_uid, named.slices) == (
        first.SOPInstanceUID,
        first.SeriesInstanceUID,
        IN_TIME,
    )
    assert codes(summary) == {"CS-FND-015"}
    (related,) = second.RelatedSeriesSequence
    assert (related.StudyInstanceUID, related.SeriesInstanceUID) == (first.StudyInstanceUID, first.SeriesInstanceUID)
    assert related.PurposeOfReferenceCodeSequence[0].CodeValue == "122401"
    assert len(second.ReferencedSeriesSequence) == 1
    assert len(str(second.SeriesDescription)) <= 64
    assert dciodvfy_errors(tmp_path / "late" / "dicom" / "segmentation.dcm") == []
    _, alone = run(receive(tmp_path / "alone", bone), tmp_path / "plain", seg_type=seg_type)
    assert len({alone.SOPInstanceUID, first.SOPInstanceUID, second.SOPInstanceUID}) == 3


def test_a_payload_with_less_than_an_earlier_result_is_seen_in_the_viewer(bone: list[Path], tmp_path: Path) -> None:
    run(receive(tmp_path / "first", bone), tmp_path / "early")
    less = [*bone[:IN_TIME], tmp_path / "early" / "dicom" / "segmentation.dcm"]
    summary, segmentation = run(receive(tmp_path / "second", less), tmp_path / "late")
    assert codes(summary) == {"CS-FND-016"} and summary.supersedes == []
    assert "RelatedSeriesSequence" not in segmentation
    assert str(segmentation.SeriesDescription).startswith("CHECK: ")
    assert any(f"{SLICES - IN_TIME} of the {SLICES} slices" in finding.sentence for finding in summary.findings)


def test_the_same_slices_again_are_a_repetition(bone: list[Path], tmp_path: Path) -> None:
    run(receive(tmp_path / "first", bone), tmp_path / "early")
    written = tmp_path / "early" / "dicom" / "segmentation.dcm"
    summary, _ = run(receive(tmp_path / "second", [*bone, written]), tmp_path / "late")
    assert codes(summary) == set() and summary.supersedes == []
    assert (tmp_path / "late" / "dicom" / "segmentation.dcm").read_bytes() == written.read_bytes()


def test_the_result_of_another_model_is_not_superseded(
    bone: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(receive(tmp_path / "first", bone[:IN_TIME]), tmp_path / "early")
    sent_again = [*bone, tmp_path / "early" / "dicom" / "segmentation.dcm"]
    predict_with(monkeypatch, replace(MODEL, version="2.0.0", checksum="cd" * 32))
    newer, _ = run(receive(tmp_path / "second", sent_again), tmp_path / "newer")
    assert len(newer.supersedes) == 1
    predict_with(monkeypatch, replace(MODEL, name="another-net"))
    other, _ = run(receive(tmp_path / "third", sent_again), tmp_path / "other")
    assert other.supersedes == [] and codes(other) == set()


def test_no_finding_names_the_patient_or_a_source(bone: list[Path], tmp_path: Path) -> None:
    run(receive(tmp_path / "first", bone), tmp_path / "early")
    less = [*bone[20:IN_TIME], tmp_path / "early" / "dicom" / "segmentation.dcm"]
    run(receive(tmp_path / "second", less), tmp_path / "late", incomplete=True)
    text = (tmp_path / "late" / "report" / "summary.json").read_text()
    secrets = ["SECRET", "PRIVATE-77", BONE.study_uid, BONE.series_uid]
    assert not [secret for secret in secrets if secret in text]
