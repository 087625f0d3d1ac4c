"""Encapsulated STL objects: read back, and judged by dciodvfy."""

from __future__ import annotations

import io
from pathlib import Path

import pydicom
import pytest
import trimesh

from cspine.core.anatomy import vertebra
from cspine.core.errors import OutputError
from cspine.core.volumes import CtVolume
from cspine.dicom.clock import Clock
from cspine.dicom.encapsulated_stl import ENCAPSULATED_STL, StlDocument, StlSettings, write_surface_objects
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
    paths = write_surface_objects(documents, ct, None, StlSettings(_CLOCK), tmp_path)
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
    def written(name: str, chosen: list[StlDocument], settings: StlSettings) -> pydicom.Dataset:
        return pydicom.dcmread(write_surface_objects(chosen, ct, None, settings, tmp_path / name)[0])

    first = written("a", documents, StlSettings(_CLOCK))
    assert (tmp_path / "a" / "surface-C3.dcm").read_bytes() == (
        write_surface_objects(documents, ct, None, StlSettings(_CLOCK), tmp_path / "b")[0].read_bytes()
    )
    others = [
        written("c", documents[:1], StlSettings(_CLOCK)),
        written("d", documents, StlSettings(_CLOCK, (("gap_mm", "1"),))),
        written("e", documents, StlSettings(Clock.from_iso("2024-05-06T07:08:10+00:00"))),
    ]
    assert len({each.SOPInstanceUID for each in (first, *others)}) == 4


def test_an_image_without_a_series_is_refused(ct: CtVolume, documents: list[StlDocument], tmp_path: Path) -> None:
    with pytest.raises(OutputError):
        write_surface_objects(documents, CtVolume(ct.hu_zyx, ct.affine_lps), None, StlSettings(_CLOCK), tmp_path)
