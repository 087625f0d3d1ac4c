"""Scanning: what is found, what is skipped, what is reported."""

from __future__ import annotations

import errno
import itertools
import os
import random
import shutil
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.tag import Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
)

from cspine.core.errors import (
    InputError,
    NoDicomError,
    SeveralPatientsError,
    SystemLimitError,
    UnreadableArchiveError,
    as_defect,
    hashed,
)
from cspine.dicom import scan as scan_module
from cspine.dicom.archive import open_input
from cspine.dicom.scan import Scan, one_study, scan_folder
from cspine.dicom.usable import refusal
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.io.files import sha256_of
from cspine.pipeline.source import kind_of_source
from tests.builders.closed_folders import close
from tests.builders.ct_series import Stack, build, empty_type_2, enhanced, save_all, scout, strip_preamble
from tests.builders.raises import raises_code


def _series(seed: str, study: str = "", patient: str = "P1") -> Stack:
    return Stack(description=CtSeriesDescription(uid_seed=seed, study_seed=study, patient_id=patient))


def _keys(scan: Scan) -> list[tuple[str, str, int]]:
    return [(s.study_uid, s.series_uid, s.slices) for s in scan.series]


def test_a_folder_tree_gives_its_series_with_their_properties(tmp_path: Path) -> None:
    save_all(build(_series("a", "one")), tmp_path / "x" / "deep")
    save_all(build(_series("b", "one")), tmp_path / "y", prefix="noext")
    scan = scan_folder(tmp_path)
    assert len(scan.series) == 2
    series = scan.series[0]
    assert (series.modality, series.orientation, series.slices, series.kernel) == ("CT", "axial", 6, "SYNTHETIC")
    assert series.step_mm == pytest.approx(2.0)
    assert series.coverage_mm == pytest.approx(12.0)
    assert series.slice_thickness_mm == 2.0
    assert series.patient_age_years == 45
    assert series.date_time == "20200101120000"


def test_no_header_keeps_what_names_the_patient(tmp_path: Path) -> None:
    description = CtSeriesDescription(uid_seed="a", patient_id="ID-4711", patient_name="Secret^Name")
    datasets = build(Stack(description=description))
    for dataset in datasets:
        dataset.PatientBirthDate = "19500203"
        dataset.PatientAge = ""
    save_all(datasets, tmp_path)
    scan = scan_folder(tmp_path)
    assert not any(secret in repr(scan) for secret in ("ID-4711", "Secret", "19500203"))
    assert scan.series[0].patient_age_years == pytest.approx(69.9, abs=0.1)


def test_dicomdir_side_cars_and_other_files_are_skipped_and_counted(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(b"anything")
    index = dcmread(paths[0])
    index.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    index.save_as(tmp_path / "INDEX")
    paths[0].with_suffix(".dcm.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("not DICOM")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "zeros.bin").write_bytes(bytes(4096))
    shutil.copy(paths[1], tmp_path / "again.dcm")
    scan = scan_folder(tmp_path)
    assert (scan.skipped.directories, scan.skipped.sidecars, scan.skipped.not_dicom) == (2, 1, 3)
    assert scan.skipped.copies == 1
    assert scan.series[0].slices == 6
    assert not scan.damaged


def test_dicom_without_a_preamble_is_read(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    for path in paths:
        strip_preamble(path)
    assert paths[0].read_bytes()[128:132] != b"DICM"
    assert scan_folder(tmp_path).series[0].slices == 6


@pytest.mark.parametrize("cut", [150, 700, -40])
def test_a_damaged_instance_is_reported_and_not_silently_absent(tmp_path: Path, cut: int) -> None:
    paths = save_all(build(Stack()), tmp_path)
    complete = paths[2].read_bytes()
    paths[2].write_bytes(complete[:cut])
    scan = scan_folder(tmp_path)
    assert scan.series[0].slices == 5
    assert len(scan.damaged) == 1
    assert scan.damaged[0].path == paths[2]
    if cut == -40:
        assert scan.series[0].damaged == 1
        assert scan.damaged[0].series_uid == scan.series[0].series_uid


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, JPEGLSLossless])
def test_compressed_files_do_not_count_as_damaged(tmp_path: Path, syntax: str) -> None:
    save_all(build(Stack()), tmp_path, syntax)
    scan = scan_folder(tmp_path)
    assert scan.series[0].slices == 6
    assert not scan.damaged


def test_one_series_uid_in_two_studies_stays_two_series(tmp_path: Path) -> None:
    save_all(build(_series("same", "one")), tmp_path / "a")
    save_all(build(_series("same", "two")), tmp_path / "b")
    scan = scan_folder(tmp_path)
    assert len({s.series_uid for s in scan.series}) == 1
    assert [s.slices for s in scan.series] == [6, 6]


def test_two_patients_with_the_same_uids_stay_apart(tmp_path: Path) -> None:
    save_all(build(_series("same", "one", "P1")), tmp_path / "a")
    save_all(build(_series("same", "one", "P2")), tmp_path / "b")
    assert [s.slices for s in scan_folder(tmp_path).series] == [6, 6]


def test_several_patients_are_an_error_that_gives_counts_and_no_names(tmp_path: Path) -> None:
    save_all(build(_series("a", "one", "P1")), tmp_path / "a")
    save_all(build(_series("b", "two", "P2")), tmp_path / "b")
    save_all(build(_series("c", "three", "P2")), tmp_path / "c")
    scan = scan_folder(tmp_path)
    with raises_code(SeveralPatientsError, 2, 3, 3) as raised:
        one_study(scan)
    assert "P1" not in str(raised.value)
    assert len(scan.studies()) == 3
    expected = scan.series[1]
    assert one_study(scan, expected.series_uid).series == (expected,)


def test_the_order_and_names_of_files_change_nothing(tmp_path: Path) -> None:
    datasets = build(_series("a", "one")) + build(_series("b", "one"))
    save_all(datasets, tmp_path / "a")
    random.Random(1).shuffle(datasets)
    save_all(datasets, tmp_path / "b")
    first, second = scan_folder(tmp_path / "a"), scan_folder(tmp_path / "b")
    assert _keys(first) == _keys(second)
    order = [[i.sop_instance_uid for s in scan.series for i in s.instances] for scan in (first, second)]
    assert order[0] == order[1]


def test_empty_type_2_attributes_are_legal(tmp_path: Path) -> None:
    save_all(empty_type_2(build(Stack())), tmp_path)
    series = scan_folder(tmp_path).series[0]
    assert (series.slices, series.series_number, series.kernel, series.body_part) == (6, None, "", "")


@pytest.mark.parametrize(
    ("charset", "name"),
    [
        (("", "ISO 2022 IR 87"), "Yamada^Tarou=山田^太郎=やまだ^たろう"),
        ("ISO_IR 144", "Люкceмбypг"),
        ("ISO_IR 192", "Łukasz^Żółć"),
    ],
)
def test_any_character_set_is_read(tmp_path: Path, charset: str | tuple[str, ...], name: str) -> None:
    description = CtSeriesDescription(
        uid_seed="a", patient_id="", patient_name=name, character_set=charset, series_description="Neck"
    )
    paths = save_all(build(Stack(description=description)), tmp_path)
    assert str(dcmread(paths[0]).PatientName) == name
    assert scan_folder(tmp_path).series[0].description == "Neck"


def test_enhanced_multi_frame_has_a_plane_a_frame(tmp_path: Path) -> None:
    save_all([enhanced(build(Stack()), scramble=True)], tmp_path)
    series = scan_folder(tmp_path).series[0]
    assert series.slices == 6
    assert series.kernel == "SYNTHETIC"
    assert [p.source.frame for p in series.planes] == list(range(6))
    assert series.coverage_mm == pytest.approx(12.0)


def test_most_instances_decide_a_property(tmp_path: Path) -> None:
    datasets = build(Stack())
    save_all([*datasets, scout(datasets[0], 7)], tmp_path)
    series = scan_folder(tmp_path).series[0]
    assert (series.image_type[2], series.orientation) == ("AXIAL", "axial")


def test_a_folder_without_dicom_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "readme.txt").write_text("nothing")
    with raises_code(NoDicomError, 1, 0):
        scan_folder(tmp_path)


# --- archives ---------------------------------------------------------------------------------------------------------


def _zipped(tmp_path: Path) -> Path:
    paths = save_all(build(Stack()), tmp_path / "in")
    archive = tmp_path / "study.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for path in paths:
            target.write(path, f"a/b/{path.name}")
    return archive


def test_a_zip_is_scanned_and_its_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with open_input(_zipped(tmp_path)) as folder:
        assert scan_folder(folder).series[0].slices == 6
    assert not folder.exists()


def test_an_archive_that_unpacks_elsewhere_is_refused(tmp_path: Path) -> None:
    for name in ("../evil.dcm", "/tmp/evil.dcm", "..\\evil.dcm"):
        archive = tmp_path / "evil.zip"
        with zipfile.ZipFile(archive, "w") as target:
            target.writestr(name, b"x")
        with raises_code(UnreadableArchiveError, hashed(name.replace("\\", "/"))), open_input(archive):
            pass
    assert not (tmp_path / "evil.dcm").exists()


def test_a_link_in_an_archive_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "link.zip"
    member = zipfile.ZipInfo("link")
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr(member, "/etc/hostname")
    with raises_code(UnreadableArchiveError, hashed("link")), open_input(archive):
        pass


def test_an_encrypted_archive_is_refused(tmp_path: Path) -> None:
    archive = _zipped(tmp_path)
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            content[start + offset] |= 1
            start = content.find(signature, start + 4)
    archive.write_bytes(bytes(content))
    with raises_code(UnreadableArchiveError), open_input(archive):
        pass


@pytest.mark.parametrize("how", ["cut", "garbled"])
def test_a_damaged_archive_is_refused(tmp_path: Path, how: str) -> None:
    archive = _zipped(tmp_path)
    content = bytearray(archive.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    else:
        content[60:90] = bytes(30)
    archive.write_bytes(bytes(content))
    with pytest.raises(UnreadableArchiveError), open_input(archive):
        pass


def test_a_path_that_is_neither_folder_nor_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    for path in (tmp_path / "a.txt", tmp_path / "absent"):
        with pytest.raises(InputError), open_input(path):
            pass


def test_folders_of_studies_are_named_by_hashed_uids_and_by_the_patient_where_two_share_one(tmp_path: Path) -> None:
    for folder, study, patient in (("a", "s", "P1"), ("b", "s", "P2"), ("c", "t", "P1")):
        save_all(build(_series(folder, study, patient)), tmp_path / folder)
    scan = scan_folder(tmp_path)
    named = scan.named_studies()
    assert list(named.values()) == list(scan.studies()) and len(named) == 3
    of_one = {hashed(scan_folder(tmp_path / folder).series[0].study_uid) for folder in "abc"}
    assert len(of_one) == 2 and len(of_one & named.keys()) == 1
    for name, study in named.items():
        first = study.series[0]
        assert name in (hashed(first.study_uid), hashed(first.patient_key + first.study_uid))


def test_the_name_of_a_study_never_becomes_that_of_another_patient(tmp_path: Path) -> None:
    patients = ("P1", "P2", "P3")
    for patient in patients:
        save_all(build(_series(patient, "s", patient)), tmp_path / patient)
    holders: dict[str, set[str]] = {}
    for pair in itertools.combinations(patients, 2):
        for patient in pair:
            (tmp_path / "in" / "-".join(pair)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "in" / "-".join(pair) / patient).symlink_to(tmp_path / patient)
        for name, study in scan_folder(tmp_path / "in" / "-".join(pair)).named_studies().items():
            holders.setdefault(name, set()).add(study.series[0].patient_key)
    assert len(holders) == 3 and all(len(keys) == 1 for keys in holders.values())


def test_a_study_of_one_patient_is_one_study(tmp_path: Path) -> None:
    save_all(build(_series("a", "one")), tmp_path / "a")
    scan = scan_folder(tmp_path)
    assert one_study(scan) == replace(scan)


def test_slices_behind_a_link_to_a_folder_count_and_a_link_in_a_circle_does_no_harm(tmp_path):
    save_all(build(Stack()), tmp_path / "elsewhere")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (inside / "circle").symlink_to(inside, target_is_directory=True)
    assert len(scan_folder(inside).series[0].instances) == len(build(Stack()))


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    save_all(build(Stack()), tmp_path / "in")
    (tmp_path / "in" / "closed").mkdir()
    close(tmp_path / "in" / "closed", monkeypatch)
    with raises_code(InputError, "Permission denied"):
        scan_folder(tmp_path / "in")


def test_a_slice_whose_header_is_gone_may_belong_to_any_series(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    paths[-1].write_bytes(b"\x00" * 4096)
    scan = scan_folder(tmp_path)
    assert [damaged.path for damaged in scan.damaged if damaged.is_unattributed] == [paths[-1]]
    assert scan.skipped.not_dicom == 0


@pytest.mark.parametrize("name", ["IM{:06d}", "{}", "1.2.826.0.1.3680043.9.{}", "CT.1.2.3.{}.img", "Slice {} (a).1"])
@pytest.mark.parametrize("content", [b"", bytes(4096), b"\x00" * 100])
def test_a_lost_slice_is_known_by_a_name_without_its_number(tmp_path: Path, name: str, content: bytes) -> None:
    for number, path in enumerate(save_all(build(Stack()), tmp_path), 8):
        path.rename(tmp_path / name.format(number))
    (tmp_path / name.format(14)).write_bytes(content)
    (tmp_path / "other" / "deep").mkdir(parents=True)
    for skipped in ("VERSION", "IM000003.jpg", f"other/deep/{name.format(3)}"):
        (tmp_path / skipped).write_bytes(content)
    scan = scan_folder(tmp_path)
    assert [damaged.path.name for damaged in scan.damaged if damaged.is_unattributed] == [name.format(14)]
    assert scan.skipped.not_dicom == 3


def test_dicom_is_known_by_its_content_whatever_its_name(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    paths[0].rename(tmp_path / "DICOMDIR")
    paths[1].rename(tmp_path / "slice.json")
    assert scan_folder(tmp_path).series[0].slices == 6


def test_a_damaged_object_that_is_no_ct_image_is_no_lost_slice(tmp_path: Path) -> None:
    paths = save_all(build(Stack()), tmp_path)
    report = dcmread(paths[0])
    report.SOPClassUID = "1.2.840.10008.5.1.4.1.1.88.33"
    report.SeriesInstanceUID = ""
    report.save_as(tmp_path / "report.dcm")
    scan = scan_folder(tmp_path)
    assert len(scan.damaged) == 1
    assert not scan.damaged[0].is_unattributed


def test_many_files_of_one_instance_are_compared_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = save_all(build(Stack()), tmp_path)
    for number in range(40):
        shutil.copy(paths[0], tmp_path / f"copy{number}.dcm")
    read: list[Path] = []
    monkeypatch.setattr(scan_module, "sha256_of", lambda path: read.append(path) or sha256_of(path))
    assert scan_folder(tmp_path).skipped.copies == 40
    assert len(read) == 41


@pytest.mark.parametrize("keyword", ["SeriesNumber", "InstanceNumber", "SliceThickness", "KVP", "SliceLocation"])
def test_a_malformed_number_costs_itself_alone(tmp_path: Path, keyword: str) -> None:
    datasets = build(Stack())
    tag = Tag(keyword)
    for dataset in datasets:
        dataset._dict[tag] = RawDataElement(tag, "DS", 6, b"1e9999", 0, False, True)
    save_all(datasets, tmp_path)
    scan = scan_folder(tmp_path)
    assert scan.series[0].slices == 6
    assert not scan.damaged


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(("keyword", "value"), [("Rows", 8), ("Columns", 7), ("Rows", 1)])
def test_more_pixels_than_rows_and_columns_are_damage(tmp_path: Path, syntax: str, keyword: str, value: int) -> None:
    datasets = build(Stack())
    setattr(datasets[0], keyword, value)
    save_all(datasets, tmp_path, syntax)
    (damaged,) = scan_folder(tmp_path).damaged
    assert damaged.series_uid == datasets[0].SeriesInstanceUID


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_few_bytes_after_the_pixels_are_padding(tmp_path: Path, syntax: str) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset.PixelData += b"\0\0"
    save_all(datasets, tmp_path, syntax)
    assert scan_folder(tmp_path).damaged == ()


def test_a_limit_of_the_system_is_no_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_all(build(Stack()), tmp_path)

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(scan_module, "dcmread", refuse)
    with pytest.raises(SystemLimitError):
        scan_folder(tmp_path)


def test_a_machine_without_further_threads_gives_a_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_all(build(Stack()), tmp_path)

    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("threading.Thread.start", refuse)
    with pytest.raises(RuntimeError) as caught:
        scan_folder(tmp_path)
    assert as_defect(caught.value).code == "CS-SYS-001"


def test_a_character_set_of_thousands_of_values_is_damage(tmp_path: Path) -> None:
    datasets = build(Stack())
    datasets[0].SpecificCharacterSet = ["1"] * 2000
    save_all(datasets, tmp_path)
    assert len(scan_folder(tmp_path).damaged) == 1


def test_special_files_never_hang(tmp_path: Path) -> None:
    save_all(build(Stack()), tmp_path)
    os.mkfifo(tmp_path / "a.dcm")
    (tmp_path / "zero.dcm").symlink_to("/dev/zero")
    (tmp_path / "gone.dcm").symlink_to(tmp_path / "absent")
    assert len(scan_folder(tmp_path).series[0].instances) == 6
    for path in (tmp_path / "a.dcm", Path("/dev/zero"), Path("/dev/null")):
        with pytest.raises(InputError), open_input(path):
            pass
        with pytest.raises(InputError):
            kind_of_source(path)


def test_a_number_that_an_unsigned_short_cannot_hold_is_not_quoted(tmp_path: Path) -> None:
    datasets = build(Stack())
    for dataset in datasets:
        dataset[Tag("PixelRepresentation")] = DataElement(Tag("PixelRepresentation"), "IS", "19370219")
    save_all(datasets, tmp_path)
    (series,) = scan_folder(tmp_path).series
    assert series.instances[0].pixel_representation is None
    error = refusal(series)
    assert error is not None and "19370219" not in error.message


def test_a_deflated_file_that_inflates_unreasonably_is_damaged_and_is_never_inflated_completely(tmp_path: Path) -> None:
    datasets = build(_series("deflated"))
    datasets[0].PixelData = bytes(100 * 2**20)
    save_all(datasets, tmp_path, DeflatedExplicitVRLittleEndian)
    tracemalloc.start()
    scan = scan_folder(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 20 * 2**20
    tracemalloc.stop()
    assert scan.series[0].slices == 5
    assert [damaged.is_unattributed for damaged in scan.damaged] == [True]


@pytest.mark.parametrize("where", ["cspine.dicom.headers._value", "pydicom.Dataset.get"])
def test_what_the_system_refuses_while_an_element_is_read_is_no_damage(
    where: str, bright_study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(where, exhausted)
    with pytest.raises(SystemLimitError):
        scan_folder(bright_study)
