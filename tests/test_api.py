"""`import cspine`: what a notebook does with a CT, and that it is what the command does."""

from __future__ import annotations

import copy
import gc
import pickle
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pandas
import pytest
import SimpleITK
from click.testing import CliRunner
from pydicom import dcmread
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    EncapsulatedSTLStorage,
    ExplicitVRLittleEndian,
    KeyObjectSelectionDocumentStorage,
    RLELossless,
    RTStructureSetStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

import cspine
from cspine.cli.run import command
from cspine.core.errors import (
    AmbiguousPositionError,
    DicomSourceNeededError,
    GeometryError,
    InputError,
    LabelSchemeError,
    NoVertebraError,
    OutputNotEmptyError,
    PriorResultError,
    UnknownSeriesError,
    UsageError,
)
from cspine.core.findings import FRAGMENTED
from cspine.core.geometry import is_orthogonal, ras_to_lps
from cspine.core.volumes import CtVolume
from cspine.io import nifti
from cspine.report.earlier_measurements import earlier_values
from tests.builders.judges import dciodvfy_errors
from tests.builders.nnunet_results import TinyModel

EPOCH = "1700000000"
COARSE = cspine.RunSettings(inference=cspine.InferenceSettings(step_size=1.0))


@pytest.fixture(autouse=True)
def _clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", EPOCH)


@pytest.fixture(scope="module")
def package(bright_model: Path) -> object:
    return cspine.load_model(bright_model)


@pytest.fixture(scope="module")
def seg(bright_study: Path, package: object) -> cspine.Segmentation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", EPOCH)
        return cspine.segment(bright_study, package, device="cpu")


def test_importing_cspine_loads_no_library() -> None:
    code = (
        "import sys, cspine; dir(cspine)\n"
        "print(sorted({'numpy', 'torch', 'pydicom', 'click'} & {m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(cspine, name) is not None for name in cspine.__all__)
    assert set(cspine.__all__) <= set(dir(cspine))
    with pytest.raises(AttributeError):
        cspine.nothing_of_the_kind  # noqa: B018


def test_the_settings_of_a_run_are_made_of_public_classes() -> None:
    settings = cspine.RunSettings(
        clock=cspine.Clock.from_environment({"SOURCE_DATE_EPOCH": EPOCH}),
        surfaces=cspine.SurfaceSettings(formats=("ply",)),
        elements=cspine.FeSettings(),
    )
    assert settings.surfaces.formats == ("ply",) and settings.clock.moment.timestamp() == int(EPOCH)


def test_labels_are_arrays_with_their_affine(seg: cspine.Segmentation, bright_study: Path) -> None:
    ct = cspine.read_ct(bright_study)
    assert seg.labels.array.dtype == np.uint8
    assert seg.labels.array.shape == ct.array.shape == seg.ct.array.shape == (64, 40, 40)
    assert np.array_equal(seg.labels.affine, ct.affine)
    assert set(np.unique(seg.labels.array).tolist()) == {0, 2}


def test_vertebrae_findings_and_measurements_agree(seg: cspine.Segmentation) -> None:
    assert list(seg.vertebrae) == ["C2"]
    voxels = int((seg.labels.array == 2).sum())
    assert seg.vertebrae["C2"].volume_ml == pytest.approx(voxels * 8 / 1000)
    table = pandas.DataFrame(seg.measurements)
    assert tuple(table.columns) == seg.measurements.columns
    assert table.set_index("level").loc["C2", "volume_ml"] == seg.vertebrae["C2"].volume_ml
    assert pandas.DataFrame(seg.measurements.to_dict()).equals(table)
    assert "C2" in repr(seg.measurements) and "<td>C2</td>" in seg.measurements._repr_html_()
    assert seg.findings == (), "the study is sound; findings of others are compared below"
    assert seg.model.name in repr(seg) and "C2" in repr(seg)


def test_saving_gives_the_bytes_of_the_command(
    seg: cspine.Segmentation, bright_study: Path, bright_model: Path, tmp_path: Path
) -> None:
    words = [str(bright_study), str(tmp_path / "command"), "--model", str(bright_model), "--device", "cpu"]
    assert CliRunner().invoke(command, words, catch_exceptions=False).exit_code == 0
    summary = seg.save(tmp_path / "api")
    files = [
        "dicom/segmentation.dcm", "dicom/measurements.dcm", "report/preview.png", "report/report.html",
        "report/measurements.csv",
    ]  # fmt: skip
    for name in files:
        assert (tmp_path / "api" / name).read_bytes() == (tmp_path / "command" / name).read_bytes()
    assert [output.file for output in summary.outputs] == files
    assert seg.preview().png == (tmp_path / "api" / "report" / "preview.png").read_bytes()


def test_single_outputs_are_those_of_a_run(seg: cspine.Segmentation, tmp_path: Path) -> None:
    seg.save(tmp_path / "out", outputs=["sc", "rtstruct"])
    pairs = (
        (seg.to_secondary_capture(tmp_path / "sc.dcm"), "secondary-capture.dcm"),
        (seg.to_rtstruct(tmp_path / "rt.dcm"), "structures.dcm"),
    )
    for path, name in pairs:
        assert path.read_bytes() == (tmp_path / "out" / "dicom" / name).read_bytes()
        assert dciodvfy_errors(path) == []
    assert dciodvfy_errors(seg.to_pdf(tmp_path / "report.dcm")) == []
    assert "<h1>Vertebra" in seg.to_html(tmp_path / "report.html").read_text()


def test_key_images_refer_to_the_picture_of_the_same_run(seg: cspine.Segmentation, tmp_path: Path) -> None:
    vertebrae = replace(seg._study.vertebrae, findings=(FRAGMENTED.about("C2 consists of 2 fragments.", "C2"),))
    marked = cspine.Segmentation(replace(seg._study, vertebrae=vertebrae), seg.settings)
    summary = marked.save(tmp_path / "out", outputs=["sc", "ko"])
    assert [(output.file, output.kind) for output in summary.outputs] == [
        ("dicom/secondary-capture.dcm", "DICOM SC"),
        ("dicom/key-images.dcm", "DICOM KO"),
    ]
    selected = dcmread(tmp_path / "out" / "dicom" / "key-images.dcm").ContentSequence[-1]
    assert selected.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == summary.outputs[0].sop_instance_uid


@pytest.mark.parametrize(("seg_type", "syntax"), [("binary", ExplicitVRLittleEndian), ("labelmap", RLELossless)])
def test_every_dicom_object_has_its_class_and_transfer_syntax(
    seg: cspine.Segmentation, seg_type: str, syntax: str, tmp_path: Path
) -> None:
    vertebrae = replace(seg._study.vertebrae, findings=(FRAGMENTED.about("C2 consists of 2 fragments.", "C2"),))
    settings = replace(seg.settings, surfaces=cspine.SurfaceSettings(formats=("dicom",)))
    marked = cspine.Segmentation(replace(seg._study, vertebrae=vertebrae), settings)
    marked.save(tmp_path / "out", seg_type=seg_type, outputs=["seg", "sr", "pdf", "sc", "ko", "rtstruct", "surfaces"])
    written = {path.name: dcmread(path).file_meta for path in (tmp_path / "out" / "dicom").iterdir()}
    classes = {
        "segmentation.dcm": SegmentationStorage if seg_type == "binary" else "1.2.840.10008.5.1.4.1.1.66.7",
        "measurements.dcm": Comprehensive3DSRStorage,
        "report.dcm": EncapsulatedPDFStorage,
        "secondary-capture.dcm": SecondaryCaptureImageStorage,
        "key-images.dcm": KeyObjectSelectionDocumentStorage,
        "structures.dcm": RTStructureSetStorage,
        "surface-C2.dcm": EncapsulatedSTLStorage,
    }
    assert {name: meta.MediaStorageSOPClassUID for name, meta in written.items()} == classes
    syntaxes = {name: meta.TransferSyntaxUID for name, meta in written.items()}
    assert syntaxes == dict.fromkeys(classes, ExplicitVRLittleEndian) | {"segmentation.dcm": syntax}


def test_without_a_finding_there_are_no_key_images(seg: cspine.Segmentation, tmp_path: Path) -> None:
    summary = seg.save(tmp_path / "out", outputs=["sc", "ko"])
    assert [output.kind for output in summary.outputs] == ["DICOM SC"]


def test_another_type_of_seg_and_other_outputs_may_be_saved(seg: cspine.Segmentation, tmp_path: Path) -> None:
    summary = seg.save(tmp_path / "a", seg_type="labelmap", outputs=["nifti", "seg"])
    assert [output.kind for output in summary.outputs] == ["SEG LABELMAP", "Labels", "Labels"]
    files = sorted(path.name for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert files == ["labels.json", "labels.nii.gz", "segmentation.dcm"]
    with pytest.raises(OutputNotEmptyError):
        seg.save(tmp_path / "a")
    seg.save(tmp_path / "a", outputs="summary", overwrite=True)
    files = sorted(path.name for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert files == ["measurements.csv", "summary.json"]
    for wrong in ({"seg_type": "nonsense"}, {"outputs": ["nonsense"]}, {"outputs": []}):
        with pytest.raises(UsageError):
            seg.save(tmp_path / "b", **wrong)  # type: ignore[arg-type]
    assert not (tmp_path / "b").exists()


def test_a_level_that_was_not_segmented_is_named_with_those_that_were(seg: cspine.Segmentation) -> None:
    with pytest.raises(KeyError, match="C9"):
        seg.vertebrae["C9"]
    assert seg.vertebrae.get("C9") is None
    assert "C9" not in seg.vertebrae


def test_labels_go_to_nifti_and_come_back(seg: cspine.Segmentation, tmp_path: Path) -> None:
    path = seg.to_nifti(tmp_path / "c.nii.gz")
    image = nibabel.load(path)
    assert np.array_equal(np.asarray(image.dataobj).transpose(2, 1, 0), seg.labels.array)
    assert np.allclose(ras_to_lps(image.affine), seg.labels.affine)


def test_a_notebook_shows_a_picture(seg: cspine.Segmentation, tmp_path: Path) -> None:
    assert seg.preview()._repr_png_().startswith(b"\x89PNG")
    assert seg._repr_png_() == seg.preview().png
    assert "data:image/png;base64," in seg._repr_html_()
    assert seg.preview().save(tmp_path / "p.png").read_bytes() == seg.preview().png


@pytest.mark.parametrize("name", ["p.jpg", "p", "p.png.txt"])
def test_a_file_of_another_format_than_its_ending_is_refused(
    seg: cspine.Segmentation, name: str, tmp_path: Path
) -> None:
    for write in (seg.preview().save, seg.to_nifti, seg.to_html):
        with pytest.raises(UsageError):
            write(tmp_path / name)
    for write in (seg.to_pdf, seg.to_secondary_capture, seg.to_rtstruct):
        with pytest.raises(UsageError):
            write(tmp_path / "report.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_result_can_be_copied_and_pickled_after_it_was_looked_at(seg: cspine.Segmentation) -> None:
    assert repr(seg) and seg.vertebrae and seg.measurements and seg.preview() and seg.findings is not None
    assert seg.confidence is not None and seg.spine.values is not None
    for again in (copy.deepcopy(seg), pickle.loads(pickle.dumps(seg))):
        assert np.array_equal(again.labels.array, seg.labels.array)
        assert dict(again.vertebrae) == dict(seg.vertebrae)
        with pytest.raises(KeyError):
            again.vertebrae["C9"]


def test_every_kind_of_input_gives_the_same_labels(
    seg: cspine.Segmentation, bright_study: Path, package: object, tmp_path: Path
) -> None:
    ct = seg.ct
    nifti.write(tmp_path / "ct.nii.gz", ct.array, ct.affine)
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in bright_study.iterdir():
            archive.write(path, path.name)
    sources = (
        str(tmp_path / "ct.nii.gz"),
        tmp_path / "ct.zip",
        cspine.read_ct(bright_study),
        SimpleITK.ReadImage(str(tmp_path / "ct.nii.gz")),
        nibabel.load(tmp_path / "ct.nii.gz"),
    )
    for source in sources:
        other = cspine.segment(source, package, device="cpu")
        assert np.array_equal(other.labels.array, seg.labels.array), source
        assert np.allclose(other.labels.affine, seg.labels.affine), source
    zipped = cspine.segment(tmp_path / "ct.zip", package, device="cpu")
    (tmp_path / "ct.zip").unlink()
    first, second = (each.save(tmp_path / name) for each, name in ((seg, "folder"), (zipped, "zip")))
    assert first.outputs == second.outputs


@pytest.fixture(scope="module")
def child(bright_study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study of a girl of ten years with contrast medium."""
    folder = tmp_path_factory.mktemp("in") / "child"
    folder.mkdir()
    for path in bright_study.iterdir():
        header = dcmread(path)
        header.PatientSex, header.PatientAge, header.ContrastBolusAgent = "F", "010Y", "Iodine"
        header.save_as(folder / path.name)
    return folder


def test_a_volume_from_dicom_has_the_findings_and_ranges_of_its_folder(child: Path, package: object) -> None:
    of_folder, of_volume = (
        cspine.segment(source, package, device="cpu", settings=COARSE) for source in (child, cspine.read_ct(child))
    )
    assert {"CS-FND-006", "CS-FND-039"} <= {finding.code for finding in of_volume.findings}
    assert [f.code for f in of_volume.findings] == [f.code for f in of_folder.findings]
    assert [v.published for v in of_volume.spine.values] == [v.published for v in of_folder.spine.values]


def test_an_earlier_result_of_another_patient_is_refused_for_a_volume_from_dicom(
    seg: cspine.Segmentation, bright_study: Path, package: object, tmp_path: Path
) -> None:
    seg.save(tmp_path / "earlier", outputs=["sr"])
    other = tmp_path / "other"
    other.mkdir()
    for path in bright_study.iterdir():
        header = dcmread(path)
        header.PatientID = "another"
        header.save_as(other / path.name)
    settings = replace(COARSE, prior=tmp_path / "earlier")
    for source in (other, cspine.read_ct(other)):
        with pytest.raises(PriorResultError):
            cspine.segment(source, package, device="cpu", settings=settings)
        with pytest.raises(PriorResultError):
            cspine.measure(seg.labels, source, prior=tmp_path / "earlier")
    cspine.measure(seg.labels, seg.ct, prior=tmp_path / "earlier")
    again = cspine.segment(seg.ct, package, device="cpu", settings=settings)
    again.save(tmp_path / "again", outputs=["seg", "sr"])
    before, after = (
        earlier_values(dcmread(tmp_path / name / "dicom" / "measurements.dcm")).tracking
        for name in ("earlier", "again")
    )
    (segment,) = dcmread(tmp_path / "again" / "dicom" / "segmentation.dcm").SegmentSequence
    assert after == before and segment.TrackingUID == before["C2"]


def test_labels_of_results_cannot_be_changed(seg: cspine.Segmentation) -> None:
    """What is computed from them once would no longer be true."""
    given = cspine.LabelVolume(seg.labels.array.copy(), seg.labels.affine)
    measured = cspine.measure(given, seg.ct)
    assert given.array.flags.writeable
    for labels in (seg.labels, measured.labels):
        with pytest.raises(ValueError, match="read-only"):
            labels.array[:] = 0


def test_files_of_an_archive_stay_as_long_as_a_copy_of_its_volume(
    seg: cspine.Segmentation, bright_study: Path, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "ct.zip", "w") as archive:
        for path in bright_study.iterdir():
            archive.write(path, path.name)
    ct = cspine.read_ct(tmp_path / "ct.zip")
    copy = replace(ct, hu_zyx=ct.hu_zyx.clip(-1000, 2000))
    assert ct.source is not None
    folder = ct.source.slices[0].path.parent
    del ct
    gc.collect()
    assert cspine.measure(seg.labels, copy).save(tmp_path / "out")
    del copy
    gc.collect()
    assert not folder.exists()


def test_files_that_are_gone_are_an_error_with_a_code(
    seg: cspine.Segmentation, bright_study: Path, package: object, tmp_path: Path
) -> None:
    shutil.copytree(bright_study, tmp_path / "ct")
    ct = cspine.read_ct(tmp_path / "ct")
    read = cspine.segment(tmp_path / "ct", package, device="cpu", settings=COARSE)
    shutil.rmtree(tmp_path / "ct")
    for use in (lambda: cspine.measure(seg.labels, ct), lambda: cspine.segment(ct, package), lambda: read.spine):
        with pytest.raises(InputError) as gone:
            use()
        assert gone.value.code == "CS-IN-001" and str(tmp_path) not in str(gone.value)


def test_an_image_that_is_not_dicom_has_labels_and_no_seg(
    seg: cspine.Segmentation, package: object, tmp_path: Path
) -> None:
    nifti.write(tmp_path / "ct.nii.gz", seg.ct.array, seg.ct.affine)
    image = cspine.segment(tmp_path / "ct.nii.gz", package, device="cpu")
    summary = image.save(tmp_path / "out")
    names = ("labels.nii.gz", "labels.json", "preview.png", "report.html", "measurements.csv")
    assert [output.file for output in summary.outputs] == [f"report/{name}" for name in names]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["report"]
    assert summary.input.study is None and summary.input.decisions == [] and summary.input.image is not None
    with pytest.raises(DicomSourceNeededError) as refused:
        image.save(tmp_path / "more", outputs=["seg"])
    assert refused.value.code == "CS-USE-005"
    with pytest.raises(UsageError):
        cspine.segment(tmp_path / "ct.nii.gz", package, series="1.2.3")


def test_options_reach_the_run(bright_study: Path, package: object) -> None:
    reported: list[tuple[int, int]] = []
    kept = cspine.segment(
        bright_study,
        package,
        levels=["C1", "C2"],
        device="cpu",
        precision="float32",
        settings=cspine.RunSettings(inference=cspine.InferenceSettings(step_size=0.75)),
        progress=lambda done, tiles: reported.append((done, tiles)),
    )
    assert reported[0][0] == 0 and reported[-1][0] == reported[-1][1] > 0
    assert kept.settings.as_text()["levels"] == "C1-C2"
    assert kept.settings.inference == cspine.InferenceSettings("cpu", None, None, 0.75, "float32")
    with pytest.raises(NoVertebraError):
        cspine.segment(bright_study, package, levels="C1", device="cpu")
    for levels in ("L9", "L1"):  # no level at all, and none of the model's
        with pytest.raises(UsageError):
            cspine.segment(bright_study, package, levels=levels)


def test_progress_is_shown_at_a_terminal_and_nowhere_else(
    bright_study: Path, package: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def segment(**options: bool) -> str:
        cspine.segment(bright_study, package, device="cpu", settings=COARSE, **options)
        out, err = capsys.readouterr()
        assert out == ""
        return err

    assert segment() == ""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert "tiles" in segment()
    assert segment(progress=False) == ""


def test_what_cannot_be_segmented_is_refused_with_its_code(bright_study: Path, package: object, tmp_path: Path) -> None:
    with pytest.raises(InputError):
        cspine.segment(tmp_path / "absent", package)
    with pytest.raises(UnknownSeriesError):
        cspine.segment(bright_study, package, series="1.2.3")
    with pytest.raises(UsageError):
        cspine.segment(42, package)  # type: ignore[arg-type]
    nowhere = nibabel.Nifti1Image(np.full((5, 6, 7), -5, dtype=np.int16), None)
    with pytest.raises(AmbiguousPositionError):
        cspine.read_ct(nowhere)


SHEAR = np.eye(4) + np.array([[0, 0, 0.4, 0], [0] * 4, [0] * 4, [0] * 4])
ROWS_SHEARED = np.eye(4) + np.array([[0, 0.4, 0, 0], [0] * 4, [0] * 4, [0] * 4])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda hu: hu + 1024, "CS-PIX-004"),
        (lambda hu: (hu - hu.min()) / np.ptp(hu), "CS-PIX-004"),
        (lambda hu: np.where(hu == hu.max(), np.nan, hu.astype(float)), "CS-PIX-004"),
        (lambda hu: hu[:2], "CS-GEO-006"),
        (lambda hu: hu[0], "CS-IN-001"),
        (lambda hu: hu.astype(str), "CS-IN-001"),
        (lambda hu: hu.astype(complex), "CS-IN-001"),
    ],
)
def test_values_of_a_volume_are_checked_as_those_of_a_file(seg: cspine.Segmentation, change: Any, code: str) -> None:
    ct = CtVolume(change(np.asarray(seg.ct.array)), seg.ct.affine)
    for use in (lambda: cspine.read_ct(ct), lambda: cspine.measure(seg.labels, ct)):
        with pytest.raises(cspine.CSpineError) as refused:
            use()
        assert refused.value.code == code


@pytest.mark.parametrize(
    "change",
    [
        lambda affine: affine[:3, :3], lambda affine: affine * 0, lambda affine: affine * np.nan,
        lambda affine: "LPS", lambda affine: affine @ np.diag([1, 0, 1, 1]), lambda affine: affine @ ROWS_SHEARED,
    ],
)  # fmt: skip
def test_affines_of_volumes_are_checked(seg: cspine.Segmentation, change: Any) -> None:
    affine = change(np.asarray(seg.ct.affine))
    with pytest.raises(GeometryError):
        cspine.measure(seg.labels, CtVolume(seg.ct.array, affine))
    with pytest.raises(GeometryError):
        cspine.measure(cspine.LabelVolume(seg.labels.array, affine), seg.ct)


def test_a_volume_of_other_types_is_taken_as_one_of_a_file(seg: cspine.Segmentation) -> None:
    expected = [value.value for value in cspine.measure(seg.labels, seg.ct).values]
    assert cspine.read_ct(seg.ct) is seg.ct
    for array in (seg.ct.array.astype(">i2"), seg.ct.array.astype(np.int64), seg.ct.array.astype(np.float64)):
        ct = CtVolume(array, seg.ct.affine.tolist())  # type: ignore[arg-type]
        assert [value.value for value in cspine.measure(seg.labels, ct).values] == expected
    sheared = cspine.read_ct(CtVolume(seg.ct.array, seg.ct.affine @ SHEAR))
    assert is_orthogonal(sheared.affine) and len(sheared.notes) == 1
    for labels in (seg.labels.array.astype(str), seg.labels.array[:0], seg.labels.array.astype(object)):
        with pytest.raises(InputError):
            cspine.measure(cspine.LabelVolume(labels, seg.labels.affine), seg.ct)


def test_labels_in_memory_are_measured_as_those_of_a_file(seg: cspine.Segmentation, tmp_path: Path) -> None:
    seg.to_nifti(tmp_path / "labels.nii.gz")
    expected = [value.value for value in cspine.measure(tmp_path / "labels.nii.gz", seg.ct).values]
    with_sacrum = seg.labels.array.copy()
    with_sacrum[:2, :2, :2] = 26
    arrays = (with_sacrum, with_sacrum.astype(np.int64), with_sacrum.astype(np.float32))
    in_memory = (
        *(cspine.LabelVolume(array, seg.labels.affine) for array in arrays),
        SimpleITK.ReadImage(str(tmp_path / "labels.nii.gz")),
        nibabel.load(tmp_path / "labels.nii.gz"),
    )
    for labels in in_memory:
        assert [value.value for value in cspine.measure(labels, seg.ct).values] == expected
    for wrong in (seg.labels.array + 0.5, seg.labels.array[0], seg.labels.array.astype(np.int16) - 1):
        with pytest.raises(InputError):
            cspine.measure(cspine.LabelVolume(wrong, seg.labels.affine), seg.ct)
    others = np.where(seg.labels.array > 0, seg.labels.array + np.uint8(10), 0)
    in_others = cspine.LabelVolume(others, seg.labels.affine)
    with pytest.raises(LabelSchemeError):
        cspine.measure(cspine.LabelVolume(np.full_like(others, 200), seg.labels.affine), seg.ct)
    assert [v.value for v in cspine.measure(in_others, seg.ct, scheme="totalspineseg").values] == expected
    for nothing in (seg.labels.array, None, 42):
        with pytest.raises(UsageError):
            cspine.measure(nothing, seg.ct)  # type: ignore[arg-type]


def test_what_has_no_meaning_for_an_image_is_refused_before_it_is_read(
    seg: cspine.Segmentation, tmp_path: Path
) -> None:
    nifti.write(tmp_path / "ct.nii.gz", seg.ct.array, seg.ct.affine)
    for source in (seg.ct, tmp_path / "ct.nii.gz", nibabel.load(tmp_path / "ct.nii.gz")):
        with pytest.raises(UsageError):
            cspine.read_ct(source, series="1.2.3")
        with pytest.raises(UsageError):
            cspine.measure(tmp_path / "absent.nii.gz", source, series="1.2.3")
    for sex in ("f", "female", "O"):
        with pytest.raises(UsageError):
            cspine.measure(tmp_path / "absent.nii.gz", seg.ct, sex=sex)


def test_series_and_models_are_listed(bright_study: Path, bright_model: Path) -> None:
    (series,) = cspine.list_series(bright_study)
    assert series.chosen and series.slices == 64
    assert cspine.list_series(bright_study, series=series.series_uid)[0].reason == "chosen by UID"
    models = cspine.list_models(bright_model.parent)
    assert bright_model in [model.folder for model in models]
    assert "cervical-demo" in [model.name for model in models]
    assert cspine.load_model(bright_model).folder == bright_model


def test_a_model_is_installed(tmp_path: Path) -> None:
    source = TinyModel().results(tmp_path / "results")
    options = cspine.InstallOptions(name="tiny", orientation="LPS", labels={3: "auxiliary"})
    installed = cspine.install_model(source, into=tmp_path / "models", options=options)
    assert "tiny" in [model.name for model in cspine.list_models(tmp_path / "models")]
    assert installed.folder == tmp_path / "models" / "tiny"
