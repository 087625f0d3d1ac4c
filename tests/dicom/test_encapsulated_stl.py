"""Encapsulated STL objects: read back, and judged by dciodvfy."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
import trimesh

from cspine.core.anatomy import vertebra
from cspine.core.errors import DicomSourceNeededError
from cspine.core.volumes import CtVolume, ModelIdentity
from cspine.dicom.clock import Clock
from cspine.dicom.derived import ObjectSettings
from cspine.dicom.encapsulated_stl import ENCAPSULATED_STL, StlDocument, write_surface_objects
from cspine.dicom.read import read_volume
from cspine.dicom.scan import scan_folder
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.surfaces.formats import surface_bytes
from cspine.surfaces.implicit import smooth_surface
from cspine.surfaces.surface import extract
from tests.builders.judges import dciodvfy_errors
from tests.builders.small_neck import write_neck
from tests.builders.solid_vertebrae import sphere_mask

_CLOCK = Clock.from_iso("2024-05-06T07:08:09+00:00")


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> CtVolume:
    folder = tmp_path_factory.mktemp("neck")
    write_neck(folder, CtSeriesDescription(uid_seed="surfaces"))
    return read_volume(scan_folder(folder).series[0])


@pytest.fixture(scope="module")
def documents() -> list[StlDocument]:
    surfaces = [extract(smooth_surface(*sphere_mask(5.0, (1.0, 1.0, 1.0))), vertebra(level)) for level in ("C3", "T1")]
    return [StlDocument(each.vertebra, surface_bytes(each, "stl")) for each in surfaces]


def test_objects_are_valid_and_hold_the_surface(ct: CtVolume, documents: list[StlDocument], tmp_path: Path) -> None:
    paths = write_surface_objects(documents, ct, None, ObjectSettings(_CLOCK), tmp_path)
    assert [path.name for path in paths] == ["surface-C3.dcm", "surface-T1.dcm"]
    assert ct.source is not None
    source = pydicom.dcmread(ct.source.slices[0].path)
    for path, document in zip(paths, documents, strict=True):
        assert dciodvfy_errors(path) == []
        read = pydicom.dcmread(path)
        assert read.SOPClassUID == ENCAPSULATED_STL
        assert (read.StudyInstanceUID, read.FrameOfReferenceUID) == (
            source.StudyInstanceUID,
            source.FrameOfReferenceUID,
        )
        assert read.PatientID == source.PatientID
        assert len(read.SourceInstanceSequence) == len(ct.source.slices)
        stl = read.EncapsulatedDocument[: read.EncapsulatedDocumentLength]
        assert stl == document.stl
        assert trimesh.load_mesh(io.BytesIO(stl), file_type="stl").is_watertight


def test_uids_follow_from_content_clock_and_settings(
    ct: CtVolume, documents: list[StlDocument], tmp_path: Path
) -> None:
    def written(name: str, chosen: list[StlDocument], settings: ObjectSettings) -> pydicom.Dataset:
        return pydicom.dcmread(write_surface_objects(chosen, ct, None, settings, tmp_path / name)[0])

    first = written("a", documents, ObjectSettings(_CLOCK))
    assert (tmp_path / "a" / "surface-C3.dcm").read_bytes() == (
        write_surface_objects(documents, ct, None, ObjectSettings(_CLOCK), tmp_path / "b")[0].read_bytes()
    )
    others = [
        written("c", documents[:1], ObjectSettings(_CLOCK)),
        written("d", documents, ObjectSettings(_CLOCK, (("gap_mm", "1"),))),
        written("e", documents, ObjectSettings(Clock.from_iso("2024-05-06T07:08:10+00:00"))),
    ]
    assert len({each.SOPInstanceUID for each in (first, *others)}) == 4


def test_dates_and_times_are_those_of_the_zone_that_the_source_states(
    documents: list[StlDocument], tmp_path: Path
) -> None:
    write_neck(tmp_path / "ct", CtSeriesDescription(uid_seed="zone"))
    for path in (tmp_path / "ct").iterdir():
        header = pydicom.dcmread(path)
        header.TimezoneOffsetFromUTC = "-0800"
        header.save_as(path)
    zoned = read_volume(scan_folder(tmp_path / "ct").series[0])
    (path,) = write_surface_objects(documents[:1], zoned, None, ObjectSettings(_CLOCK), tmp_path)
    read = pydicom.dcmread(path)
    assert dciodvfy_errors(path) == []
    assert read.TimezoneOffsetFromUTC == "-0800"
    for kind in ("Series", "Content", "InstanceCreation"):
        assert (read[f"{kind}Date"].value, read[f"{kind}Time"].value[:6]) == ("20240505", "230809")


def test_marks_stand_in_the_description_of_the_series(
    ct: CtVolume, documents: list[StlDocument], tmp_path: Path
) -> None:
    model = ModelIdentity("neck-net", "1.0", "", demonstration=True)
    settings = ObjectSettings(_CLOCK, remark="CHECK")
    paths = write_surface_objects(documents, ct, model, settings, tmp_path)
    assert [dciodvfy_errors(path) for path in paths] == [[], []]
    first, second = (pydicom.dcmread(path) for path in paths)
    assert first.SeriesDescription.startswith("CHECK") and first.SeriesDescription.endswith("DEMONSTRATION")
    assert first.SeriesInstanceUID == second.SeriesInstanceUID and first.SOPInstanceUID != second.SOPInstanceUID


def test_a_corrected_patient_gets_objects_of_its_own(documents: list[StlDocument], tmp_path: Path) -> None:
    uids = set()
    for name in ("Wrong^Name", "Right^Name"):
        write_neck(tmp_path / name, CtSeriesDescription(uid_seed="corrected", patient_name=name))
        source = read_volume(scan_folder(tmp_path / name).series[0])
        paths = write_surface_objects(documents, source, None, ObjectSettings(_CLOCK), tmp_path / name / "out")
        read = [pydicom.dcmread(path) for path in paths]
        uids |= {uid for each in read for uid in (each.SOPInstanceUID, each.SeriesInstanceUID)}
    assert len(uids) == 6


def test_an_image_without_a_series_is_refused(ct: CtVolume, documents: list[StlDocument], tmp_path: Path) -> None:
    with pytest.raises(DicomSourceNeededError):
        write_surface_objects(documents, CtVolume(ct.hu_zyx, ct.affine_lps), None, ObjectSettings(_CLOCK), tmp_path)
