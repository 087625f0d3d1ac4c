"""The Key Object Selection refers to one slice for each vertebra with a finding, and to what shows it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from cspine.core.findings import COARSE_VOXELS, FRAGMENTED, METAL, OFF_COLUMN_REMOVED, OUT_OF_ORDER, Finding
from cspine.core.volumes import CtSource, CtVolume, LabelVolume, SourceSlice
from cspine.dicom.key_objects import write_key_objects
from cspine.dicom.secondary_capture import write_secondary_capture
from tests.builders.ct_series import build, enhanced, save_all
from tests.builders.judges import dciodvfy_errors
from tests.builders.source_volumes import MODEL, SETTINGS, STACK, rings, stored_volume
from tests.dicom.test_derived import PICTURE

ABOUT = (FRAGMENTED.about("C2 consists of 2 fragments.", "C2"), OUT_OF_ORDER.about("C3 lies above C2.", "C3"))
QUIET = (METAL.about("Metal."), COARSE_VOXELS.about("Large voxels."), OFF_COLUMN_REMOVED.about("Removed.", "C3"))


def written(findings: tuple[Finding, ...], folder: Path, *pictures: Path) -> Dataset | None:
    ct, labels = stored_volume(folder / "ct")
    uid = write_key_objects(findings, labels, ct, SETTINGS, folder / "ko.dcm", pictures)
    assert (folder / "ko.dcm").is_file() is (uid is not None)
    return dcmread(folder / "ko.dcm") if uid is not None else None


def items(made: Dataset, kind: str) -> list[Dataset]:
    return [item for item in made.ContentSequence if item.ValueType == kind]


def images(made: Dataset) -> list[str]:
    return [str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID) for item in items(made, "IMAGE")]


def evidence(made: Dataset) -> dict[str, list[str]]:
    (study,) = made.CurrentRequestedProcedureEvidenceSequence
    return {
        str(series.SeriesInstanceUID): [str(one.ReferencedSOPInstanceUID) for one in series.ReferencedSOPSequence]
        for series in study.ReferencedSeriesSequence
    }


def test_the_slice_that_shows_most_of_each_vertebra_is_selected(tmp_path: Path) -> None:
    made, source = written((*ABOUT, *ABOUT), tmp_path), build(STACK)
    assert made is not None and dciodvfy_errors(tmp_path / "ko.dcm") == []
    # C2 is largest in slice 3, C3 in 5.
    assert images(made) == [str(source[3].SOPInstanceUID), str(source[5].SOPInstanceUID)]
    assert evidence(made) == {str(source[0].SeriesInstanceUID): images(made)}
    assert (made.Modality, made.ConceptNameCodeSequence[0].CodeValue) == ("KO", "113000")
    assert made.ContentTemplateSequence[0].TemplateIdentifier == "2010"
    assert (made.StudyInstanceUID, made.PatientID) == (source[0].StudyInstanceUID, source[0].PatientID)


def test_frames_of_an_enhanced_ct_are_selected(tmp_path: Path) -> None:
    image = enhanced(build(STACK))
    (path,) = save_all([image], tmp_path / "ct")
    slices = tuple(SourceSlice(path, str(image.SOPInstanceUID), k) for k in range(12))
    ct = CtVolume(np.zeros(STACK.shape_zyx, dtype=np.int16), STACK.grid.affine_lps, CtSource(slices, STACK.grid))
    labels = LabelVolume(rings(STACK.shape_zyx), ct.affine_lps, MODEL)
    write_key_objects(ABOUT, labels, ct, SETTINGS, tmp_path / "ko.dcm")
    made = dcmread(tmp_path / "ko.dcm")
    assert [i.ReferencedSOPSequence[0].ReferencedFrameNumber for i in items(made, "IMAGE")] == [4, 6]
    assert evidence(made) == {str(image.SeriesInstanceUID): [str(image.SOPInstanceUID)]}
    assert dciodvfy_errors(tmp_path / "ko.dcm") == []


def test_the_description_has_the_findings_and_the_observer_is_a_device(tmp_path: Path) -> None:
    made = written((*QUIET, *ABOUT), tmp_path)
    assert made is not None
    (text,) = (item.TextValue for item in items(made, "TEXT") if item.ConceptNameCodeSequence[0].CodeValue == "113012")
    assert [line.split(":")[0] for line in text.splitlines()] == ["CS-FND-005", "CS-FND-003"]
    (observer,) = (i for i in items(made, "CODE") if i.ConceptNameCodeSequence[0].CodeValue == "121005")
    assert observer.ConceptCodeSequence[0].CodeValue == "121007"


def test_the_picture_of_the_same_run_is_selected_too(tmp_path: Path) -> None:
    ct, labels = stored_volume(tmp_path / "source")
    picture = tmp_path / "sc.dcm"
    uid = write_secondary_capture(PICTURE, labels, ct, SETTINGS, picture)
    made = written(ABOUT[:1], tmp_path, picture)
    assert made is not None and dciodvfy_errors(tmp_path / "ko.dcm") == []
    assert images(made)[1:] == [uid]
    assert evidence(made)[str(dcmread(picture).SeriesInstanceUID)] == [uid]


@pytest.mark.parametrize("findings", [(), QUIET, (OUT_OF_ORDER.about("C5 is missing.", "C5"),)])
def test_without_a_slice_to_refer_to_nothing_is_written(findings: tuple[Finding, ...], tmp_path: Path) -> None:
    assert written(findings, tmp_path) is None


def test_a_rerun_gives_the_same_bytes_and_other_findings_other_uids(tmp_path: Path) -> None:
    for name in ("a", "b"):
        written(ABOUT, tmp_path / name)
    assert (tmp_path / "a" / "ko.dcm").read_bytes() == (tmp_path / "b" / "ko.dcm").read_bytes()
    other = written(ABOUT[:1], tmp_path / "c")
    assert other is not None and other.SOPInstanceUID != dcmread(tmp_path / "a" / "ko.dcm").SOPInstanceUID
