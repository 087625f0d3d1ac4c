import logging
import warnings
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import DataElement, Dataset, dcmread

from cspine.core.anatomy import vertebra
from cspine.core.errors import (
    CSpineError,
    DicomSourceNeededError,
    GeometryError,
    InputError,
    NoVertebraError,
    OutputError,
)
from cspine.core.geometry import Grid, orthogonal_grid, resample_labels, to_index
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, ModelIdentity, SourceSlice
from cspine.dicom import source_header
from cspine.dicom.clock import Clock
from cspine.dicom.seg import SegRecord, SegSettings, write_segmentation
from cspine.dicom.seg_type import SegType
from cspine.dicom.source_header import read_source_headers
from tests.builders.ct_series import Stack, build, empty_type_2, enhanced, save_all
from tests.builders.judges import dciodvfy_errors, dcmqi_labels
from tests.builders.raises import raises_code

SETTINGS = SegSettings(clock=Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)), parameters=(("folds", "all"),))
MODEL = ModelIdentity("neck-net", "1.0", "cd" * 32, demonstration=True)
STACK = Stack(shape_zyx=(12, 16, 24), spacing_xyz=(0.5, 0.75, 2.0))
ORIENTATIONS = ["LPS", "RPI", "LSA", "PSL", "AIR"]


def blocks(shape_zyx: tuple[int, int, int]) -> np.ndarray:
    """Asymmetric blocks of C2, C3 and T1; the first and last slices are empty."""
    labels = np.zeros(shape_zyx, dtype=np.uint8)
    labels[2:5, 3:9, 4:11] = 2
    labels[4:8, 2:6, 12:20] = 3
    labels[9:11, 7:12, 3:15] = 8
    return labels


def volume(datasets: list[Dataset], grid: Grid, folder: Path) -> CtVolume:
    """The CT volume that a reader makes of single-frame datasets in slice order."""
    paths = save_all(datasets, folder)
    slices = tuple(SourceSlice(p, str(d.SOPInstanceUID)) for p, d in zip(paths, datasets, strict=True))
    return CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid.affine_lps, CtSource(slices, grid))


def written(ct: CtVolume, path: Path, settings: SegSettings = SETTINGS, labels: np.ndarray | None = None) -> SegRecord:
    predicted = blocks(ct.grid.shape_zyx) if labels is None else labels
    return write_segmentation(LabelVolume(predicted, ct.affine_lps, MODEL), ct, settings, path)


def read_back(path: Path, grid: Grid) -> np.ndarray:
    """Labels on the grid as highdicom reads them, bound by the position of each frame."""
    segmentation = hd.seg.segread(path)
    result = np.zeros(grid.shape_zyx, dtype=np.uint8)
    names = {int(s.SegmentNumber): str(s.SegmentLabel) for s in segmentation.SegmentSequence}
    frames = segmentation.pixel_array.reshape(-1, *grid.shape_zyx[1:])
    inverse = np.linalg.inv(grid.affine_lps)
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        position = np.array([*groups.PlanePositionSequence[0].ImagePositionPatient, 1.0], dtype=float)
        z = round(float((inverse @ position)[2]))
        if segmentation.SegmentationType == "LABELMAP":
            for number in np.unique(frame[frame > 0]):
                result[z][frame == number] = vertebra(names[int(number)]).label
        else:
            groups = (
                groups if "SegmentIdentificationSequence" in groups else segmentation.SharedFunctionalGroupsSequence[0]
            )
            number = int(groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            result[z][frame > 0] = vertebra(names[number]).label
    return result


@pytest.mark.parametrize("seg_type", list(SegType))
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_the_file_equals_the_mask_voxel_for_voxel(tmp_path: Path, orientation: str, seg_type: SegType) -> None:
    stack = replace(STACK, orientation=orientation, rotation_deg=(5.0, -8.0, 12.0))
    ct = volume(build(stack), stack.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm", replace(SETTINGS, seg_type=seg_type))
    mask = blocks(STACK.shape_zyx)
    assert np.array_equal(read_back(record.path, stack.grid), mask)
    found = dcmqi_labels(record.path, tmp_path / "dcmqi", stack.grid)
    assert sorted(found) == ["C2", "C3", "T1"]
    for name, part in found.items():
        assert np.array_equal(part, mask == vertebra(name).label), name
    assert dciodvfy_errors(record.path) == []


def test_segments_say_what_they_are(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    segmentation = hd.seg.segread(record.path)
    assert record.segments == ((1, "C2"), (2, "C3"), (3, "T1"))
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == ["C2", "C3", "T1"]
    third = segmentation.SegmentSequence[1]
    assert third.segmented_property_type.value == "113205007"
    assert third.segmented_property_category.value == "123037004"
    assert list(third.RecommendedDisplayCIELabValue) == [37842, 21141, 36174]
    algorithm = third.SegmentationAlgorithmIdentificationSequence[0]
    assert algorithm.AlgorithmName == "neck-net (DEMONSTRATION)"
    assert algorithm.AlgorithmVersion == "1.0"
    assert algorithm.AlgorithmFamilyCodeSequence[0].CodeMeaning == "Artificial Intelligence"
    assert algorithm.AlgorithmParameters == "folds=all"
    assert "DEMONSTRATION" in segmentation.SeriesDescription
    assert segmentation.ContentCreatorName == "cspine^"


def test_a_level_without_a_code_of_its_own_names_its_region(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    labels = np.where(blocks(STACK.shape_zyx) == 8, np.uint8(28), np.uint8(0))
    record = written(ct, tmp_path / "seg.dcm", labels=labels)
    segment = dcmread(record.path).SegmentSequence[0]
    assert segment.SegmentedPropertyTypeCodeSequence[0].CodeValue == "51282000"
    assert segment.AnatomicRegionSequence[0].CodeValue == "122495006"
    assert dciodvfy_errors(record.path) == []


def test_empty_frames_are_omitted_and_frames_are_full(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    segmentation = dcmread(record.path)
    assert (segmentation.Rows, segmentation.Columns) == (16, 24)
    assert record.frames == segmentation.NumberOfFrames == 3 + 4 + 2


def test_each_frame_refers_to_the_slice_at_its_position(tmp_path: Path) -> None:
    datasets = build(STACK)
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    segmentation = dcmread(written(ct, tmp_path / "seg.dcm").path)
    where = {str(d.SOPInstanceUID): [float(v) for v in d.ImagePositionPatient] for d in datasets}
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        position = [float(v) for v in groups.PlanePositionSequence[0].ImagePositionPatient]
        assert position == pytest.approx(where[source])


@pytest.mark.parametrize("seg_type", list(SegType))
def test_a_rerun_under_one_clock_gives_the_same_bytes(tmp_path: Path, seg_type: SegType) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    settings = replace(SETTINGS, seg_type=seg_type)
    one, two = (written(ct, tmp_path / name, settings) for name in ("a.dcm", "b.dcm"))
    assert one.path.read_bytes() == two.path.read_bytes()
    assert one.sha256 == two.sha256


def test_complete_headers_of_every_slice_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    assert ct.source is not None
    first, second, *_ = read_source_headers(ct.source)
    assert first.PatientName and "PatientName" not in second
    sha256 = written(ct, tmp_path / "seg.dcm").sha256
    monkeypatch.setattr(source_header, "_OF_EVERY_SLICE", None)
    assert "PatientName" in read_source_headers(ct.source)[1]
    assert written(ct, tmp_path / "again.dcm").sha256 == sha256


def test_what_differs_has_other_uids(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    other_labels = blocks(STACK.shape_zyx)
    other_labels[5, 5, 5] = 2
    records = [
        written(ct, tmp_path / "0.dcm"),
        written(ct, tmp_path / "1.dcm", replace(SETTINGS, clock=Clock(datetime(2024, 5, 6, 7, 8, 10, tzinfo=UTC)))),
        written(ct, tmp_path / "2.dcm", replace(SETTINGS, seg_type=SegType.LABELMAP)),
        written(ct, tmp_path / "3.dcm", replace(SETTINGS, parameters=(("folds", "0"),))),
        written(ct, tmp_path / "4.dcm", labels=other_labels),
        write_segmentation(
            LabelVolume(blocks(STACK.shape_zyx), ct.affine_lps, replace(MODEL, checksum="ee" * 32)),
            ct,
            SETTINGS,
            tmp_path / "5.dcm",
        ),
    ]
    assert len({r.sop_instance_uid for r in records}) == len({r.series_instance_uid for r in records}) == len(records)


def test_dates_come_from_the_clock_alone(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    segmentation = dcmread(written(ct, tmp_path / "seg.dcm").path)
    assert {segmentation.InstanceCreationDate, segmentation.ContentDate, segmentation.SeriesDate} == {"20240506"}
    assert {segmentation.InstanceCreationTime, segmentation.ContentTime, segmentation.SeriesTime} == {"070809"}
    assert segmentation.StudyDate == "20200101"


def test_the_time_zone_of_the_source_holds_for_the_result(tmp_path: Path) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.TimezoneOffsetFromUTC = "-0800"
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    segmentation = dcmread(record.path)
    assert (segmentation.TimezoneOffsetFromUTC, segmentation.ContentDate) == ("-0800", "20240505")
    assert dciodvfy_errors(record.path) == []


def test_an_enhanced_ct_is_bound_frame_by_frame(tmp_path: Path) -> None:
    for shared in (True, False):
        image = enhanced(build(STACK), shared_orientation=shared, scramble=True)
        (path,) = save_all([image], tmp_path / f"ct{shared}")
        order = [*range(1, 12, 2), *range(0, 12, 2)]
        slices = tuple(SourceSlice(path, str(image.SOPInstanceUID), order.index(k)) for k in range(12))
        grid = STACK.grid
        ct = CtVolume(np.zeros(grid.shape_zyx, dtype=np.int16), grid.affine_lps, CtSource(slices, grid))
        record = written(ct, tmp_path / f"seg{shared}.dcm")
        assert np.array_equal(read_back(record.path, grid), blocks(grid.shape_zyx))
        frame = dcmread(record.path).PerFrameFunctionalGroupsSequence[0]
        reference = frame.DerivationImageSequence[0].SourceImageSequence[0]
        position = np.array([frame.PlanePositionSequence[0].ImagePositionPatient], dtype=float)
        assert reference.ReferencedFrameNumber == order.index(round(to_index(grid.affine_lps, position)[0][2])) + 1
        assert dciodvfy_errors(record.path) == []


def test_cosines_equal_to_nine_decimals_make_a_valid_object(tmp_path: Path) -> None:
    datasets = build(STACK)
    for number, dataset in enumerate(datasets):
        cosines = [float(v) for v in dataset.ImageOrientationPatient]
        cosines[5] += 4e-10 * (number % 3)
        dataset.ImageOrientationPatient = [f"{v:.12f}" for v in cosines]
    record = written(volume(datasets, STACK.grid, tmp_path / "ct"), tmp_path / "seg.dcm")
    assert np.array_equal(read_back(record.path, STACK.grid), blocks(STACK.grid.shape_zyx))
    assert dciodvfy_errors(record.path) == []


def test_frames_of_an_enhanced_ct_may_differ_by_rounding(tmp_path: Path) -> None:
    image = enhanced(build(STACK), shared_orientation=False)
    for number, groups in enumerate(image.PerFrameFunctionalGroupsSequence):
        cosines = [float(v) for v in groups.PlaneOrientationSequence[0].ImageOrientationPatient]
        cosines[5] = round(5e-10 * (number % 2), 10)
        groups.PlaneOrientationSequence[0].ImageOrientationPatient = cosines
    (path,) = save_all([image], tmp_path / "ct")
    slices = tuple(SourceSlice(path, str(image.SOPInstanceUID), k) for k in range(12))
    ct = CtVolume(np.zeros(STACK.grid.shape_zyx, dtype=np.int16), STACK.grid.affine_lps, CtSource(slices, STACK.grid))
    record = written(ct, tmp_path / "seg.dcm")
    assert np.array_equal(read_back(record.path, STACK.grid), blocks(STACK.grid.shape_zyx))


def test_part_of_an_enhanced_ct_may_be_used(tmp_path: Path) -> None:
    image = enhanced(build(STACK))
    (path,) = save_all([image], tmp_path / "ct")
    grid = STACK.grid
    affine = grid.affine_lps.copy()
    affine[:3, 3] += affine[:3, 2]
    part = Grid((11, 16, 24), affine)
    slices = tuple(SourceSlice(path, str(image.SOPInstanceUID), k) for k in range(1, 12))
    ct = CtVolume(np.zeros(part.shape_zyx, dtype=np.int16), affine, CtSource(slices, part))
    record = written(ct, tmp_path / "seg.dcm", labels=blocks(grid.shape_zyx)[1:])
    assert np.array_equal(read_back(record.path, grid), blocks(grid.shape_zyx))


def test_a_tilted_series_gets_its_labels_on_the_stored_slices(tmp_path: Path) -> None:
    stack = replace(STACK, tilt_deg=15.0)
    orthogonal = orthogonal_grid(stack.grid)
    source = volume(build(stack), stack.grid, tmp_path / "ct").source
    ct = CtVolume(np.zeros(orthogonal.shape_zyx, dtype=np.int16), orthogonal.affine_lps, source)
    labels = resample_labels(blocks(STACK.shape_zyx), STACK.grid, orthogonal)
    record = written(ct, tmp_path / "seg.dcm", labels=labels)
    expected = resample_labels(labels, orthogonal, stack.grid)
    assert np.array_equal(read_back(record.path, stack.grid), expected)
    assert expected.any()
    assert dciodvfy_errors(record.path) == []


@pytest.mark.parametrize(
    ("character_set", "name"),
    [
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Wáng^Xiǎo Dōng=王^小东"),
        (("", "ISO 2022 IR 149"), "Hong^Gildong=洪^吉洞=홍^길동"),
        ("ISO_IR 100", "Buc^Jérôme"),
    ],
)
def test_the_patients_name_survives(tmp_path: Path, character_set: str | tuple[str, ...], name: str) -> None:
    stack = replace(STACK, description=replace(STACK.description, character_set=character_set, patient_name=name))
    ct = volume(build(stack), stack.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    source, result = dcmread(ct.source.slices[0].path), dcmread(record.path)
    assert result.get_item("PatientName").value == source.get_item("PatientName").value  # the very bytes
    assert str(result.PatientName) == name
    assert result.SpecificCharacterSet == source.SpecificCharacterSet
    assert dciodvfy_errors(record.path) == []


def test_empty_type_2_attributes_make_a_valid_object(tmp_path: Path) -> None:
    ct = volume(empty_type_2(build(STACK)), STACK.grid, tmp_path / "ct")
    assert dciodvfy_errors(written(ct, tmp_path / "seg.dcm").path) == []


ABSENT = ["PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"]
ABSENT += ["AccessionNumber", "ReferringPhysicianName", "SliceThickness", "FrameOfReferenceUID", "Manufacturer"]


@pytest.mark.parametrize("value", [None, ""])
def test_absent_or_empty_attributes_are_made_valid(tmp_path: Path, value: str | None) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        for keyword in ABSENT:
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    assert np.array_equal(read_back(record.path, STACK.grid), blocks(STACK.shape_zyx))
    assert any("Frame of Reference" in warning for warning in record.warnings)
    assert float(dcmread(record.path).SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0].SliceThickness) == 2.0
    assert dciodvfy_errors(record.path) == []


def test_malformed_values_are_omitted(tmp_path: Path) -> None:
    datasets = build(STACK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in datasets:
            dataset.PatientSex = "W"
            dataset.PatientAge = "47"
            dataset.StudyDate = "2003.05.20"
            dataset.PatientBirthDate = "00000000"
            dataset.ClinicalTrialSponsorName = ""
            dataset.ClinicalTrialSiteID = "7"
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    result = dcmread(record.path)
    assert result.StudyDate == "20030520"
    assert not result.PatientSex and not result.PatientBirthDate
    assert not [e for e in result if e.keyword.startswith("ClinicalTrial")]
    assert dciodvfy_errors(record.path) == []


@pytest.mark.parametrize("character_set", ["ISO_IR 999", "ISO 2022 IR 87", "NONSENSE", ""])
def test_a_character_set_that_dicom_does_not_define_is_replaced(tmp_path: Path, character_set: str) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.SpecificCharacterSet, dataset.PatientName = character_set, "Doe^Jane"
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    result = dcmread(record.path)
    assert (str(result.PatientName), result.SpecificCharacterSet) == ("Doe^Jane", "ISO_IR 192")
    assert dciodvfy_errors(record.path) == []


@pytest.mark.parametrize(
    ("keyword", "vr", "value", "expected"),
    [
        ("StudyDate", "LO", "20200102", "20200102"),
        ("StudyDate", "LO", "not a date", ""),
        ("PatientBirthDate", "US", 7, ""),
        ("PatientName", "LO", "Doe^Jane", "Doe^Jane"),
        ("PatientID", "UT", "X1", "X1"),
        ("PatientName", "PN", ["Doe^Jane", "19370219"], "Doe^Jane"),
        ("StudyDate", "DA", ["20200102", "20200103"], "20200102"),
        ("ProcedureCodeSequence", "LO", "text", None),
    ],
)
def test_an_element_of_another_form_is_read_as_dicom_defines_it(
    tmp_path: Path, keyword: str, vr: str, value: object, expected: str | None
) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset[keyword] = DataElement(keyword, vr, value)
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm")
    result = dcmread(record.path).get(keyword)
    assert expected == (None if result is None else str(result))
    assert dciodvfy_errors(record.path) == []


def test_sequences_too_deep_to_be_copied_are_omitted(tmp_path: Path) -> None:
    datasets = build(STACK)
    item = Dataset()
    item.CodeMeaning = "x"
    for _ in range(60):
        outer = Dataset()
        outer.ContentSequence = [item]
        item = outer
    for dataset in datasets:
        dataset.ReasonForPerformedProcedureCodeSequence = [item]
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    assert written(ct, tmp_path / "seg.dcm").frames


def test_identifiers_are_kept_whatever_they_are(tmp_path: Path) -> None:
    datasets = build(STACK)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in datasets:
            dataset.PatientID, dataset.AccessionNumber = "X" * 80, "A" * 20
    ct = volume(datasets, STACK.grid, tmp_path / "ct")
    result = dcmread(written(ct, tmp_path / "seg.dcm").path)
    assert (result.PatientID, result.AccessionNumber) == ("X" * 80, "A" * 20)


def test_a_complete_clinical_trial_stays(tmp_path: Path) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.ClinicalTrialSponsorName, dataset.ClinicalTrialProtocolID = "Sponsor", "P1"
        dataset.ClinicalTrialSubjectID = "S1"
    record = written(volume(datasets, STACK.grid, tmp_path / "ct"), tmp_path / "seg.dcm")
    assert dcmread(record.path).ClinicalTrialSubjectID == "S1"
    assert dciodvfy_errors(record.path) == []


def test_nothing_of_the_patient_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    description = replace(STACK.description, patient_name="Secretname Without Caret")
    datasets = build(replace(STACK, description=description))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for dataset in datasets:
            dataset.PatientBirthDate = "1931-02-03"
        ct = volume(datasets, STACK.grid, tmp_path / "ct")
    caplog.clear()
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        written(ct, tmp_path / "seg.dcm")
    said = caplog.text + " ".join(str(w.message) for w in caught)
    assert "Secretname" not in said
    assert "1931" not in said
    assert str(datasets[0].SOPInstanceUID) not in said


@pytest.mark.parametrize(
    ("columns", "seg_type", "reported"), [(24, "binary", False), (23, "binary", True), (23, "labelmap", False)]
)
def test_frames_that_ohif_shows_wrongly_are_reported(
    tmp_path: Path, columns: int, seg_type: str, reported: bool
) -> None:
    stack = replace(STACK, shape_zyx=(12, 15, columns))
    ct = volume(build(stack), stack.grid, tmp_path / "ct")
    record = written(ct, tmp_path / "seg.dcm", replace(SETTINGS, seg_type=SegType(seg_type)))
    assert any("OHIF" in w and "labelmap" in w for w in record.warnings) is (
        reported or (15 * columns % 8 > 0 and seg_type == "binary")
    )
    assert np.array_equal(read_back(record.path, stack.grid), blocks(stack.shape_zyx))


def test_a_reference_without_a_model_is_manual(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    record = write_segmentation(LabelVolume(blocks(STACK.shape_zyx), ct.affine_lps), ct, SETTINGS, tmp_path / "s.dcm")
    assert dcmread(record.path).SegmentSequence[0].SegmentAlgorithmType == "MANUAL"
    assert dciodvfy_errors(record.path) == []


# --- refusals ---------------------------------------------------------------------------------------------------------


def test_a_volume_without_a_source_is_refused(tmp_path: Path) -> None:
    ct = CtVolume(np.zeros((4, 4, 4), dtype=np.int16), np.eye(4))
    with pytest.raises(DicomSourceNeededError):
        written(ct, tmp_path / "seg.dcm", labels=np.ones((4, 4, 4), dtype=np.uint8))


def test_labels_beyond_eight_bits_are_refused_and_not_wrapped(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    with raises_code(CSpineError, "uint8"):
        written(ct, tmp_path / "seg.dcm", labels=np.full(STACK.shape_zyx, 258, dtype=np.int16))  # type: ignore[arg-type]


def test_nothing_is_written_without_labels(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    with pytest.raises(NoVertebraError):
        written(ct, tmp_path / "out" / "seg.dcm", labels=np.zeros(STACK.shape_zyx, dtype=np.uint8))
    assert not (tmp_path / "out").exists()


def test_slices_in_another_order_than_the_grid_are_refused(tmp_path: Path) -> None:
    ct = volume(build(STACK)[::-1], STACK.grid, tmp_path / "ct")
    with raises_code(GeometryError, 1, "11.00"):
        written(ct, tmp_path / "seg.dcm")


def test_a_source_file_that_changed_is_refused(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    assert ct.source is not None
    ct.source.slices[3].path.write_bytes(ct.source.slices[4].path.read_bytes())
    with pytest.raises(InputError):
        written(ct, tmp_path / "seg.dcm")
    ct.source.slices[3].path.unlink()
    with pytest.raises(InputError):
        written(ct, tmp_path / "seg.dcm")


def test_a_folder_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "ct")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError):
        written(ct, tmp_path / "file" / "seg.dcm")
    (tmp_path / "out" / "seg.dcm").mkdir(parents=True)
    with pytest.raises(OutputError):
        written(ct, tmp_path / "out" / "seg.dcm")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["seg.dcm"]


@pytest.mark.parametrize("zone", ["0100", "UTC", "+2500", "+01:00"])
def test_a_malformed_time_zone_is_omitted(zone: str, tmp_path: Path) -> None:
    datasets = build(STACK)
    for dataset in datasets:
        dataset.add_new("TimezoneOffsetFromUTC", "SH", zone)
    written(volume(datasets, STACK.grid, tmp_path), tmp_path / "seg.dcm")
    assert "TimezoneOffsetFromUTC" not in dcmread(tmp_path / "seg.dcm")


def test_a_corrected_name_gives_another_object(tmp_path: Path) -> None:
    uids = set()
    for name in ("WRONG^NAME", "RIGHT^NAME"):
        datasets = build(STACK)
        for dataset in datasets:
            dataset.PatientName = name
        folder = tmp_path / name[:5]
        uids.add(written(volume(datasets, STACK.grid, folder), folder / "seg.dcm").sop_instance_uid)
    assert len(uids) == 2


def test_a_remark_stands_first_in_the_series_description(tmp_path: Path) -> None:
    ct = volume(build(STACK), STACK.grid, tmp_path / "in")
    plain = written(ct, tmp_path / "plain.dcm")
    warned = written(ct, tmp_path / "warned.dcm", replace(SETTINGS, remark="CHECK"))
    assert dcmread(warned.path).SeriesDescription == f"CHECK: {dcmread(plain.path).SeriesDescription}"
    assert warned.sop_instance_uid != plain.sop_instance_uid
