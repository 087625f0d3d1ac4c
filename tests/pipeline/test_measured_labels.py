"""Measurements of labels that exist, and against an earlier result."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

import cspine
from cspine.core.anatomy import vertebra
from cspine.core.errors import InputError, NoVertebraError, OtherImageError, PriorResultError, UsageError, hashed
from cspine.core.findings import MOTION
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.io import nifti
from cspine.pipeline.labelled import read_labelled
from cspine.pipeline.measured_labels import expected_levels
from cspine.report.earlier_measurements import earlier_values
from cspine.report.summary import MeasuredLabelsSummary
from cspine.study.synthesis.known_spine import known_spine
from tests.builders.judges import dciodvfy_errors
from tests.builders.measured_study import CLOCK, ct_series, labelled, segmentation


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CT, its segmentation, and both as NIfTI."""
    folder = tmp_path_factory.mktemp("study")
    labels = labelled(("C4", "C5"))
    ct = ct_series(folder / "ct", labels)
    segmentation(labels, ct, folder / "seg.dcm")
    nifti.write(folder / "labels.nii.gz", labels.labels_zyx, labels.affine_lps)
    nifti.write(folder / "ct.nii.gz", ct.hu_zyx - 30, ct.affine_lps)
    return folder


@pytest.fixture(scope="module")
def from_seg(study: Path) -> Path:
    """The measurements of the segmentation, saved."""
    cspine.measure(study / "seg.dcm", study / "ct", sex="F").save(study / "measured", clock=CLOCK)
    return study / "measured"


def rows(folder: Path) -> dict[tuple[str, str], dict[str, str]]:
    with (folder / "report" / "measurements.csv").open(encoding="utf-8") as file:
        return {(row["site"], row["name"]): row for row in csv.DictReader(file)}


def of_labels(summary: MeasuredLabelsSummary) -> list[tuple[str, str | None]]:
    """Findings about the vertebrae: outlines without a body around them look like motion."""
    return [(finding.code, finding.level) for finding in summary.findings if finding.code != MOTION.code]


def test_table_and_report_have_the_same_numbers(study: Path, from_seg: Path) -> None:
    report = dcmread(from_seg / "dicom" / "measurements.dcm")
    assert dciodvfy_errors(from_seg / "dicom" / "measurements.dcm") == []
    in_report, in_table = earlier_values(report), rows(from_seg)
    assert in_report.values.keys() == in_table.keys() and len(in_table) > 50
    for key, (value, uncertainty) in in_report.values.items():
        assert float(in_table[key]["value"]) == value
        assert float(in_table[key]["uncertainty"]) == pytest.approx(uncertainty)
    tracking = {str(s.SegmentLabel): str(s.TrackingUID) for s in dcmread(study / "seg.dcm").SegmentSequence}
    assert {level: in_report.tracking[level] for level in tracking} == tracking


def test_a_nifti_file_gives_the_numbers_of_the_segmentation(study: Path, from_seg: Path) -> None:
    found = cspine.measure(study / "labels.nii.gz", study / "ct.nii.gz", sex="F")
    assert [path.name for path in found.save(study / "plain")] == [
        "measurements.csv",
        "measurements.json",
    ]
    plain, dicom = rows(study / "plain"), rows(from_seg)
    same = [key for key in dicom if not key[1].endswith("_hu")]
    assert plain.keys() == dicom.keys()
    for key in same:
        assert float(plain[key]["value"]) == pytest.approx(float(dicom[key]["value"]), abs=0.02), key


def test_the_report_of_a_demonstration_result_bears_its_mark(study: Path, from_seg: Path) -> None:
    report, seg = dcmread(from_seg / "dicom" / "measurements.dcm"), dcmread(study / "seg.dcm")
    for each in (report, seg):
        assert each.SeriesDescription.endswith("DEMONSTRATION")
    names = {str(item.value) for item in report.iterall() if item.VR != "SQ" and "(DEMONSTRATION)" in str(item.value)}
    assert names == {"neck-net (DEMONSTRATION)"}


def test_levels_without_a_label_are_in_the_summary_and_in_the_report(study: Path, from_seg: Path) -> None:
    text = (from_seg / "report" / "measurements.json").read_text(encoding="utf-8")
    summary = MeasuredLabelsSummary.model_validate_json(text)
    assert summary.levels_not_found == ["C1", "C2", "C3", "C6", "C7", "T1"]
    assert [(v.level, v.segment) for v in summary.vertebrae] == [("C4", 1), ("C5", 2)]
    assert {(m.site, m.name): m.value for m in summary.measurements}.items() <= {
        key: float(row["value"]) for key, row in rows(from_seg).items()
    }.items()
    assert all(v.tracking_uid for v in summary.vertebrae) and of_labels(summary) == []
    report = str(dcmread(from_seg / "dicom" / "measurements.dcm"))
    assert report.count("LEVEL_SEARCH") == len(summary.levels_not_found)


def test_the_summary_says_what_was_measured_and_compared_with(study: Path, from_seg: Path, tmp_path: Path) -> None:
    def summary(folder: Path) -> MeasuredLabelsSummary:
        return MeasuredLabelsSummary.model_validate_json((folder / "report" / "measurements.json").read_text())

    seg, report = dcmread(study / "seg.dcm"), dcmread(from_seg / "dicom" / "measurements.dcm")
    dicom = summary(from_seg)
    assert dicom.labels is not None and dicom.labels.segmentation == hashed(seg.SOPInstanceUID)
    assert dicom.input is not None and dicom.input.image is None
    assert dicom.input.series == hashed(seg.ReferencedSeriesSequence[0].SeriesInstanceUID)
    assert dicom.input.study == hashed(seg.StudyInstanceUID)
    assert dicom.model is not None and (dicom.model.name, dicom.model.demonstration) == ("neck-net", True)
    assert (dicom.sex, dicom.prior) == ("F", None)

    plain = cspine.measure(study / "labels.nii.gz", study / "ct.nii.gz", prior=from_seg)
    plain.save(tmp_path, clock=CLOCK)
    file = summary(tmp_path)
    assert file.labels is not None and file.labels.segmentation is None
    assert file.labels.voxels == dicom.labels.voxels
    assert file.input is not None and (file.input.series, file.input.slices) == (None, dicom.input.slices)
    assert file.input.image is not None and file.model is None
    assert (file.sex, file.prior) == (None, hashed(report.SOPInstanceUID))


def test_the_values_of_one_sex_say_so(study: Path) -> None:
    labels, ct = study / "labels.nii.gz", study / "ct.nii.gz"
    for sex, people in (("F", " women;"), ("M", " men;")):
        cited = [each.published for each in cspine.measure(labels, ct, sex=sex).values if each.published is not None]
        assert {people in each.citation for each in cited if each.sex} == {True}
        assert not any(" women;" in each.citation or " men;" in each.citation for each in cited if not each.sex)


def test_with_labels_below_t1_the_levels_above_the_lowest_are_expected() -> None:
    labels = labelled(("C4", "C5"))
    lower = np.where(labels.labels_zyx == 5, np.uint8(vertebra("T3").label), labels.labels_zyx)
    expected = [level.name for level in expected_levels(replace(labels, labels_zyx=lower))]
    assert expected == ["C1", "C2", "C3", "C4", "C5", "C6", "C7", "T1", "T2", "T3"]
    assert [level.name for level in expected_levels(labels)][-1] == "T1"


def test_the_table_of_vertebrae_has_a_column_for_each_quantity(study: Path) -> None:
    table = cspine.measure(study / "labels.nii.gz", study / "ct.nii.gz").table
    columns = table.to_dict()
    assert columns["level"] == ["C4", "C5"]
    assert all(value is not None and value > 5 for value in columns["body_height_middle_mm"])


def test_changes_since_an_earlier_result_are_reported_and_tracking_is_kept(
    study: Path, from_seg: Path, tmp_path: Path
) -> None:
    labels = labelled(("C4", "C5"))
    ct = ct_series(tmp_path / "later", labels, shift=40)
    found = cspine.measure(labels, ct, prior=from_seg)
    changed = {(c.site, c.quantity.name): c for c in found.changes}
    assert changed["C5", "mean_hu"].difference != 0 and changed["C5", "volume_ml"].difference == 0
    found.save(tmp_path / "out", clock=CLOCK)
    later = earlier_values(dcmread(tmp_path / "out" / "dicom" / "measurements.dcm"))
    assert later.tracking["C5"] == earlier_values(dcmread(from_seg / "dicom" / "measurements.dcm")).tracking["C5"]
    assert dciodvfy_errors(tmp_path / "out" / "dicom" / "measurements.dcm") == []
    row = rows(tmp_path / "out")["C5", "mean_hu"]
    assert float(row["change"]) == pytest.approx(changed["C5", "mean_hu"].difference) and row["earlier_value"]


def test_a_result_of_the_same_images_is_no_change(study: Path, from_seg: Path) -> None:
    assert cspine.measure(study / "seg.dcm", study / "ct", prior=from_seg).changes == ()


def test_of_several_earlier_results_that_of_the_same_images_is_the_last_choice(
    study: Path, from_seg: Path, tmp_path: Path
) -> None:
    ct = ct_series(tmp_path / "later", labelled(("C4", "C5")), shift=40)
    results = tmp_path / "results"
    shutil.copytree(from_seg, results / "first")
    cspine.measure(labelled(("C4", "C5")), ct).save(results / "own")
    assert cspine.measure(labelled(("C4", "C5")), ct, prior=results).changes
    assert cspine.measure(labelled(("C4", "C5")), ct, prior=results / "own").changes == ()


def test_an_earlier_result_is_not_replaced_by_what_is_compared_with_it(
    study: Path, from_seg: Path, tmp_path: Path
) -> None:
    shutil.copytree(from_seg, tmp_path / "first")
    measured = cspine.measure(study / "seg.dcm", study / "ct", prior=tmp_path / "first")
    with pytest.raises(UsageError):
        measured.save(tmp_path / "first", overwrite=True)
    assert (tmp_path / "first" / "dicom" / "measurements.dcm").is_file()


def test_an_earlier_result_of_another_patient_is_refused(study: Path, from_seg: Path, tmp_path: Path) -> None:
    report = dcmread(from_seg / "dicom" / "measurements.dcm")
    report.PatientID = "somebody else"
    report.save_as(tmp_path / "other.dcm")
    for prior in (tmp_path / "other.dcm", study / "ct", tmp_path / "nothing"):
        with pytest.raises(PriorResultError):
            cspine.measure(study / "seg.dcm", study / "ct", prior=prior)


def test_a_segmentation_of_another_patient_or_frame_of_reference_is_refused(study: Path, tmp_path: Path) -> None:
    for keyword, value in (("PatientID", "another"), ("FrameOfReferenceUID", "1.2.3.4")):
        folder = tmp_path / keyword
        folder.mkdir()
        for path in (study / "ct").iterdir():
            header = dcmread(path)
            setattr(header, keyword, value)
            header.save_as(folder / path.name)
        volume = read_volume(scan_folder(folder).series[0])
        for ct in (folder, volume):
            with pytest.raises(OtherImageError) as refused:
                cspine.measure(study / "seg.dcm", ct)
            assert refused.value.code == "CS-IN-008"
        cspine.measure(study / "labels.nii.gz", volume)  # says nothing about its image


def test_a_segmentation_without_a_patient_is_that_of_any(study: Path, tmp_path: Path) -> None:
    header = dcmread(study / "seg.dcm")
    header.PatientID = header.PatientName = ""
    header.save_as(tmp_path / "seg.dcm")
    assert cspine.measure(tmp_path / "seg.dcm", study / "ct").values


def test_labels_that_end_within_the_bone_are_truncated(study: Path) -> None:
    labels, ct = labelled(("C4", "C5")), read_volume(scan_folder(study / "ct").series[0])
    first = int(np.flatnonzero((labels.labels_zyx == 5).any(axis=(1, 2)))[0]) + 4
    affine = labels.affine_lps.copy()
    affine[:3, 3] += affine[:3, 2] * first
    complete = cspine.measure(labels, ct).spine
    cropped = cspine.measure(LabelVolume(labels.labels_zyx[first:], affine), ct)
    assert [(v.level, v.touches_edge) for v in cropped.spine.vertebrae] == [("C4", False), ("C5", True)]
    assert cropped.spine.at("C5") == () and cropped.spine.at("C4/C5") == () and complete.at("C4/C5")
    assert [v.value for v in cropped.spine.at("C4")] == [v.value for v in complete.at("C4")]


def test_uncertainties_are_those_of_coarser_labels() -> None:
    spine = known_spine()
    fine, coarse = (spine.draw(spine.grid((step,) * 3, (0.3, 0.6, 0.1))) for step in (1.0, 3.0))

    def of(labels: LabelVolume, image: LabelVolume) -> cspine.MeasuredLabels:
        hu = np.where(image.labels_zyx > 0, 300, 40).astype(np.int16)
        hu[:, :3] = -900
        return cspine.measure(labels, CtVolume(hu, image.affine_lps))

    def uncertainty(found: cspine.MeasuredLabels) -> float | None:
        return next(v.uncertainty for v in found.spine.at("C5") if v.quantity.name == "body_height_middle_mm")

    assert of(coarse, fine).labels.resolution_xyz == pytest.approx((3.0, 3.0, 3.0))
    assert uncertainty(of(coarse, fine)) == uncertainty(of(coarse, coarse))
    assert uncertainty(of(fine, fine)) != uncertainty(of(coarse, coarse))
    assert all(v.value >= 1.5 for v in of(coarse, fine).values if v.quantity.name.startswith("disc_height"))


@pytest.mark.parametrize("axis", [0, 1])
def test_a_column_upside_down_or_back_to_front_has_a_serious_finding(study: Path, axis: int) -> None:
    labels = known_spine().draw(known_spine().grid((1.5, 1.5, 1.5)))
    hu = np.where(labels.labels_zyx > 0, 300, 40).astype(np.int16)
    hu[:, :3] = -900
    flipped = replace(labels, labels_zyx=np.flip(labels.labels_zyx, axis))
    found = cspine.measure(flipped, CtVolume(np.ascontiguousarray(np.flip(hu, axis)), labels.affine_lps))
    assert {("CS-FND-003", "CS-FND-046")[axis]} <= {finding.code for finding in found.findings}


def test_a_serious_finding_is_in_the_summary_and_marks_the_report(study: Path, tmp_path: Path) -> None:
    labels = labelled(("C4", "C5", "C6"))
    ct = ct_series(tmp_path / "ct", labels)
    wrong = replace(labels, labels_zyx=np.where(labels.labels_zyx == 5, np.uint8(0), labels.labels_zyx))
    cspine.measure(wrong, ct).save(tmp_path / "out", clock=CLOCK)
    text = (tmp_path / "out" / "report" / "measurements.json").read_text(encoding="utf-8")
    assert of_labels(MeasuredLabelsSummary.model_validate_json(text)) == [("CS-FND-002", "C5")]
    assert dcmread(tmp_path / "out" / "dicom" / "measurements.dcm").SeriesDescription.startswith("CHECK")


def test_a_segmentation_of_a_part_of_the_series_cuts_a_vertebra(study: Path, tmp_path: Path) -> None:
    labels, ct = labelled(("C4", "C5")), read_volume(scan_folder(study / "ct").series[0])
    planes = np.flatnonzero((labels.labels_zyx == 5).any(axis=(1, 2)))
    part = labels.labels_zyx.copy()
    part[: int(planes.mean())] = 0
    segmentation(replace(labels, labels_zyx=part), ct, tmp_path / "part.dcm")
    found = cspine.measure(tmp_path / "part.dcm", ct)
    assert read_labelled(tmp_path / "part.dcm").labels.grid.shape_zyx[0] < part.shape[0]
    assert [(v.level, v.touches_edge) for v in found.spine.vertebrae] == [("C4", False), ("C5", True)]
    assert found.spine.at("C5") == ()


def test_labels_beside_the_image_and_missing_labels_are_refused(study: Path, tmp_path: Path) -> None:
    labels = labelled(("C4", "C5"))
    moved = labels.affine_lps.copy()
    moved[2, 3] += 1000
    nifti.write(tmp_path / "moved.nii.gz", labels.labels_zyx, moved)
    with pytest.raises(NoVertebraError):
        cspine.measure(tmp_path / "moved.nii.gz", study / "ct.nii.gz")
    with pytest.raises(InputError):
        cspine.measure(tmp_path / "none.nii.gz", study / "ct.nii.gz")
