"""The structured report: written, judged by dciodvfy and dcmqi, and read back."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import highdicom as hd
import pytest
from pydicom import Dataset, dcmread

from cspine.core.errors import DicomSourceNeededError
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.seg import SegRecord
from cspine.dicom.seg_type import SegType
from cspine.dicom.sr import SrRecord
from cspine.measurements.change import Change
from cspine.measurements.confidence import Confidence
from cspine.measurements.spine import SpineMeasurements
from cspine.report.earlier_measurements import earlier_values
from cspine.report.sr_codes import SCHEME, concept_of
from cspine.report.structured_report import ReportContent, report_settings, write_structured_report
from tests.builders.judges import dciodvfy_errors, tool
from tests.builders.measured_study import CLOCK, MODEL, ct_series, labelled, measured, segmentation


@dataclass(frozen=True)
class Study:
    folder: Path
    labels: LabelVolume
    ct: CtVolume
    seg: SegRecord
    spine: SpineMeasurements

    def content(self, **changes: object) -> ReportContent:
        return replace(ReportContent(self.spine, MODEL, ("C3",)), **changes)

    def write(self, name: str, content: ReportContent | None = None, seg: SegRecord | None = None) -> SrRecord:
        content = content or self.content()
        settings = report_settings(content, CLOCK, (("folds", "all"),), "CHECK")
        return write_structured_report(content, self.ct, seg or self.seg, settings, self.folder / name)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """C4 and C5 complete, C6 cut by the lower edge."""
    folder = tmp_path_factory.mktemp("study")
    labels = labelled(cut_mm=6.0)
    ct = ct_series(folder / "ct", labels)
    return Study(folder, labels, ct, segmentation(labels, ct, folder / "seg.dcm"), measured(labels, ct))


@pytest.fixture(scope="module")
def report(study: Study) -> Dataset:
    return dcmread(study.write("sr.dcm").path)


def dcmqi_groups(path: Path, folder: Path) -> dict[str, dict]:
    command = [tool("tid1500reader"), "--inputDICOM", str(path), "--outputMetadata", str(folder / "sr.json")]
    subprocess.run(command, check=True, capture_output=True)
    groups = json.loads((folder / "sr.json").read_text())["Measurements"]
    return {group["TrackingIdentifier"]: group for group in groups}


def test_dciodvfy_finds_no_error(study: Study) -> None:
    assert dciodvfy_errors(study.write("judged.dcm").path) == []


def test_dcmqi_reads_every_group_with_its_segment_units_and_uncertainty(study: Study, tmp_path: Path) -> None:
    groups = dcmqi_groups(study.write("read.dcm").path, tmp_path)
    assert list(groups) == ["C4", "C5", "C6", "C4/C5", "C3"]
    for number, level in enumerate(("C4", "C5", "C6"), start=1):
        assert groups[level]["ReferencedSegment"] == number
        assert groups[level]["segmentationSOPInstanceUID"] == study.seg.sop_instance_uid
        assert groups[level]["TrackingUniqueIdentifier"] == study.seg.tracking[level]
    for site in ("C4", "C4/C5"):
        read = {(i["quantity"]["CodeValue"], i.get("derivationModifier", {}).get("CodeValue")): i
                for i in groups[site]["measurementItems"]}  # fmt: skip
        for each in study.spine.at(site):
            concept = concept_of(each.quantity)
            item = read[concept.code.value, concept.derivation.value if concept.derivation else None]
            assert float(item["value"]) == each.value and item["units"]["CodeValue"] == each.quantity.unit
            properties = {p["numProperty"]["CodeValue"]: p for p in item.get("measurementNumProperties", [])}
            if each.uncertainty is not None:
                assert float(properties["371884006"]["numPropertyValue"]) == each.uncertainty
            if each.z_score is not None:
                assert float(properties["121416"]["numPropertyValue"]) == each.z_score


def test_completeness_and_levels_that_were_not_found_are_said(study: Study, tmp_path: Path) -> None:
    groups = dcmqi_groups(study.write("said.dcm").path, tmp_path)

    def said(site: str) -> dict[str, str]:
        evaluations = groups[site]["qualitativeEvaluations"]
        return {e["conceptCode"]["CodeValue"]: e["conceptValue"]["CodeValue"] for e in evaluations}

    assert said("C4")["130576"] == "373067005" and said("C6")["130576"] == "373066001"
    assert said("C3")["LEVEL_SEARCH"] == "260415000"
    # The incomplete vertebra has a place and no size.
    assert [i["quantity"]["CodeValue"] for i in groups["C6"]["measurementItems"]] == [
        "CENTROID_L", "CENTROID_P", "CENTROID_S",
    ]  # fmt: skip


def test_segmentation_and_report_belong_together(study: Study, report: Dataset) -> None:
    seg = dcmread(study.seg.path)
    assert (report.StudyInstanceUID, report.PatientID) == (seg.StudyInstanceUID, seg.PatientID)
    assert (seg.SeriesNumber, report.SeriesNumber) == (900, 901)
    assert seg.SeriesDescription == "Vertebrae C4-C6 (cspine) DEMONSTRATION"
    assert report.SeriesDescription == "CHECK: Vertebrae C4-C6 measurements (cspine) DEMONSTRATION"
    assert report.CodingSchemeIdentificationSequence[0].CodingSchemeDesignator == SCHEME
    assert report.Manufacturer == "cspine" and report.VerificationFlag == "UNVERIFIED"


def test_highdicom_reads_the_report(study: Study) -> None:
    report = hd.sr.srread(study.write("again.dcm").path)
    groups = report.content.get_volumetric_roi_measurement_groups()
    assert [group.tracking_identifier for group in groups] == ["C4", "C5", "C6"]
    assert len(report.content.get_image_measurement_groups()) == 2


def test_a_rerun_gives_the_same_bytes_and_other_values_other_uids(study: Study) -> None:
    one, two = study.write("one.dcm"), study.write("two.dcm")
    assert one.path.read_bytes() == two.path.read_bytes()
    other = study.write("other.dcm", study.content(not_found=()))
    assert other.sop_instance_uid != one.sop_instance_uid


def test_whatever_changes_the_report_changes_its_uid(study: Study) -> None:
    """The published values follow from the sex of the patient, who is the same object's patient otherwise."""
    value = next(each for each in study.spine.values if each.published is not None)
    change = Change("C4", value.quantity, 1.0, 2.0, 0.3, "20230101")
    contents = [
        study.content(),
        study.content(measurements=measured(study.labels, study.ct, "M")),
        study.content(measurements=measured(study.labels, study.ct, "")),
        study.content(model=replace(MODEL, name="other")),
        study.content(model=replace(MODEL, version="2.0")),
        study.content(changes=(change,)),
        study.content(changes=(replace(change, uncertainty=0.4),)),
        study.content(changes=(replace(change, before_date=""),)),
        study.content(confidence={"C4": Confidence(0.97, 0.91)}),
    ]
    uids = [study.write("changed.dcm", content).sop_instance_uid for content in contents]
    assert len(set(uids)) == len(contents)


def test_a_label_map_is_not_referenced_and_tracked_all_the_same(study: Study, tmp_path: Path) -> None:
    seg = segmentation(study.labels, study.ct, tmp_path / "labelmap.dcm", SegType.LABELMAP)
    path = study.write("labelmap.dcm", seg=seg).path
    assert dciodvfy_errors(path) == []
    groups = dcmqi_groups(path, tmp_path)
    assert list(groups) == ["C4", "C5", "C6", "C4/C5", "C3"]
    assert groups["C4"]["TrackingUniqueIdentifier"] == seg.tracking["C4"]
    assert seg.sop_instance_uid not in str(dcmread(path))


def test_what_was_written_is_read_as_an_earlier_result(study: Study, report: Dataset) -> None:
    found = earlier_values(report)
    assert found.images >= {part.sop_instance_uid for part in study.ct.source.slices}
    assert found.tracking["C5"] == study.seg.tracking["C5"]
    expected = {(v.site, v.quantity.name): (v.value, v.uncertainty) for v in study.spine.values}
    assert found.values == expected


def test_a_repetition_with_the_tracking_of_the_first_is_the_same_object(study: Study, report: Dataset) -> None:
    first = study.write("first.dcm")
    tracking = earlier_values(dcmread(first.path)).tracking
    assert "C4/C5" in tracking
    assert study.write("repeated.dcm", study.content(tracking=tracking)).sop_instance_uid == first.sop_instance_uid
    kept = study.write("kept.dcm", study.content(tracking={"C4/C5": "1.2.3"}))
    assert kept.sop_instance_uid != first.sop_instance_uid
    assert earlier_values(dcmread(kept.path)).tracking["C4/C5"] == "1.2.3"


def test_without_dicom_there_is_no_report(study: Study, tmp_path: Path) -> None:
    content = study.content()
    bare = CtVolume(study.ct.hu_zyx, study.ct.affine_lps)
    with pytest.raises(DicomSourceNeededError):
        write_structured_report(content, bare, None, report_settings(content, CLOCK, (), ""), tmp_path / "sr.dcm")


def test_a_report_states_the_confidence_in_each_vertebra(study: Study, tmp_path: Path) -> None:
    content = study.content(confidence={"C4": Confidence(0.97, 0.91), "C6": Confidence(0.5, 0.7)})
    path = study.write("confidence.dcm", content).path
    assert dciodvfy_errors(path) == []
    found = {
        level: {
            item["quantity"]["CodeValue"]: float(item["value"])
            for item in group["measurementItems"]
            if item["quantity"]["CodeValue"] in ("LEVEL_PROB", "EXPECTED_DICE")
        }
        for level, group in dcmqi_groups(path, tmp_path).items()
        if "measurementItems" in group
    }
    assert found["C4"] == {"LEVEL_PROB": 0.97, "EXPECTED_DICE": 0.91}
    assert found["C6"] == {"LEVEL_PROB": 0.5, "EXPECTED_DICE": 0.7}
    assert found["C5"] == {}
    other = study.write("other.dcm", study.content())
    assert dcmread(path).SOPInstanceUID != other.sop_instance_uid


def test_a_corrected_patient_gets_a_report_of_its_own(study: Study, tmp_path: Path) -> None:
    uids = set()
    for name in ("Wrong^Name", "Right^Name"):
        ct = ct_series(tmp_path / name, study.labels)
        assert ct.source is not None
        first = dcmread(ct.source.slices[0].path)
        first.PatientName = name
        first.save_as(ct.source.slices[0].path)
        settings = report_settings(study.content(), CLOCK, (), "")
        uids.add(write_structured_report(study.content(), ct, None, settings, tmp_path / "sr.dcm").sop_instance_uid)
    assert len(uids) == 2
