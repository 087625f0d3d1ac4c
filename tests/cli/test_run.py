"""`cspine run` as a user types it."""

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import dcmread

import cspine
from cspine.cli.run import command
from cspine.core.errors import (
    DicomSourceNeededError,
    FindingError,
    NoDicomError,
    NotHounsfieldError,
    OutputNotEmptyError,
    SeveralPatientsError,
    SomeStudiesFailedError,
    UnknownSeriesError,
    UsageError,
)
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.io import nifti
from tests.builders.bright_studies import write_bright_study
from tests.builders.raises import raises_code
from tests.builders.small_neck import write_neck


def invoke(*arguments: object):
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.fixture(scope="module")
def neck(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("neck")
    write_neck(folder, CtSeriesDescription(uid_seed="command"))
    return folder


@pytest.fixture
def bright(bright_model) -> tuple[object, ...]:
    """Options for the bright model."""
    return ("--model", bright_model, "--device", "cpu")


def test_a_zip_gives_results_of_the_default_model_and_prints_where_they_are(neck, tmp_path):
    with zipfile.ZipFile(tmp_path / "study.zip", "w") as archive:
        for path in neck.iterdir():
            archive.write(path, path.name)
    coarse = ("--precision", "float32", "--step-size", "1")
    output = invoke(tmp_path / "study.zip", tmp_path / "out", "--seg-type", "labelmap", *coarse).output
    assert "T1" in output and "DEMONSTRATION" in output and "not a medical device" in output
    assert str(tmp_path / "out" / "dicom" / "segmentation.dcm") in output.replace("\n", "")
    with pytest.raises(OutputNotEmptyError):
        invoke(neck, tmp_path / "out")


def test_a_result_with_a_named_finding_is_not_written(neck, neck_model, tmp_path):
    model = ("--model", neck_model, "--outputs", "summary")
    invoke(neck, tmp_path / "first", *model)
    listed = json.loads((tmp_path / "first" / "report" / "summary.json").read_text())["findings"]
    assert listed, "the small neck is expected to have findings"
    with raises_code(FindingError, listed[0]["code"]):
        invoke(neck, tmp_path / "out", *model, "--fail-on", listed[0]["code"])
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError):
        invoke(neck, tmp_path / "out", *model, "--fail-on", "grave")


def test_two_studies_are_refused_unless_all_are_wanted(bright, tmp_path):
    both = tmp_path / "both"
    write_bright_study(both / "a", "a")
    broken = write_bright_study(both / "b", "b")
    broken[50].unlink()
    with raises_code(SeveralPatientsError, 2):
        invoke(both, tmp_path / "out", *bright)
    assert not (tmp_path / "out").exists()
    with raises_code(SomeStudiesFailedError, 1, 2):
        invoke(both, tmp_path / "out", *bright, "--all-studies")
    done = [folder for folder in (tmp_path / "out").iterdir() if (folder / "dicom").is_dir()]
    assert len(done) == 1
    assert len(done[0].name) == 12


def test_all_studies_with_overwrite_replace_no_results_of_another_patient(bright, tmp_path):
    paths = write_bright_study(tmp_path / "in", "a")
    call = (tmp_path / "in", tmp_path / "out", *bright, "--outputs", "seg,summary", "--all-studies", "--overwrite")
    for _ in range(2):
        invoke(*call)
    (result,) = (tmp_path / "out").glob("*/dicom/segmentation.dcm")
    before = result.read_bytes()
    for path in paths:
        dataset = dcmread(path)
        dataset.PatientID = "PRIVATE-b"
        dataset.save_as(path)
    with raises_code(SomeStudiesFailedError, 1, 1) as failed:
        invoke(*call)
    assert OutputNotEmptyError.code in failed.value.message and result.read_bytes() == before


def test_an_unknown_series_and_a_folder_without_dicom_are_refused(neck, tmp_path):
    with pytest.raises(UnknownSeriesError):
        invoke(neck, tmp_path / "out", "--series-uid", "1.2.3")
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoDicomError):
        invoke(tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out" / "dicom").exists()


def test_the_help_names_outputs_and_options():
    output = invoke("--help").output
    assert "\\b" not in output
    assert "\n  OUT/report/preview.png" in output and "\n  OUT/report/report.html" in output
    for text in ("OUT/dicom/segmentation.dcm", "--model", "--device", "--all-studies", "--repair-gaps", "labelmap"):
        assert text in output


def test_overwrite_never_removes_what_cspine_did_not_write(tmp_path):
    paths = write_neck(tmp_path / "study" / "dicom", CtSeriesDescription(uid_seed="inside"))
    with raises_code(OutputNotEmptyError, "dicom/", len(paths)):
        invoke(tmp_path / "study", tmp_path / "study", "--overwrite")
    assert all(path.is_file() for path in paths)
    assert sorted(path.name for path in (tmp_path / "study").iterdir()) == ["dicom"]


def test_one_series_of_all_studies_is_a_contradiction(neck, tmp_path):
    with pytest.raises(UsageError):
        invoke(neck, tmp_path / "out", "--all-studies", "--series-uid", "1.2.3")


def test_a_study_that_fails_in_an_unforeseen_way_does_not_stop_the_others(tmp_path, monkeypatch):
    for name in "ab":
        write_bright_study(tmp_path / "in" / name, name)
    tried = []

    def fail(scan, *_):
        tried.append(scan)
        raise ValueError("SECRET^NAME")

    monkeypatch.setattr("cspine.pipeline.study.run_study", fail)
    with raises_code(SomeStudiesFailedError, 2, 2) as failure:
        invoke(tmp_path / "in", tmp_path / "out", "--all-studies")
    assert len(tried) == 2
    assert "SECRET" not in str(failure.value) and "CS-INT-001" in str(failure.value)


@pytest.mark.parametrize(
    ("flags", "variable", "incomplete"),
    [((), "", False), (("--incomplete",), "", True), ((), "1", True), (("--incomplete",), "0", True)],
)
def test_a_caller_may_declare_an_incomplete_transfer(neck, tmp_path, monkeypatch, flags, variable, incomplete):
    asked = []

    def stop(scan, package, settings, *_):
        asked.append(settings.incomplete)
        raise NoDicomError("enough")

    monkeypatch.setattr("cspine.pipeline.study.run_study", stop)
    monkeypatch.setenv("CSPINE_INCOMPLETE", variable)
    with pytest.raises(NoDicomError):
        invoke(neck, tmp_path / "out", *flags)
    assert asked == [incomplete]


_NIFTI_FILES = ("labels.json", "labels.nii.gz", "measurements.csv", "preview.png", "report.html", "summary.json")


def test_a_nifti_file_gives_labels_and_a_report(bright_study, bright, tmp_path):
    ct = cspine.read_ct(bright_study)
    nifti.write(tmp_path / "ct.nii.gz", ct.array, ct.affine)
    output = invoke(tmp_path / "ct.nii.gz", tmp_path / "out", *bright).output
    files = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert files == [f"report/{name}" for name in _NIFTI_FILES]
    assert all(name in output.replace("\n", "") for name in files)
    invoke(bright_study, tmp_path / "dicom", *bright, "--outputs", "nifti, seg")
    first, second = (tmp_path / name / "report" / "labels.nii.gz" for name in ("out", "dicom"))
    assert np.array_equal(nifti.read_labels(first).array, nifti.read_labels(second).array)
    assert not (tmp_path / "dicom" / "report" / "summary.json").exists()
    with pytest.raises(DicomSourceNeededError):
        invoke(tmp_path / "ct.nii.gz", tmp_path / "more", *bright, "--outputs", "seg,preview")
    with pytest.raises(DicomSourceNeededError):
        invoke(tmp_path / "ct.nii.gz", tmp_path / "more", *bright, "--seg-type", "labelmap")
    assert "Segment" not in output.split("Vertebrae segmented")[1].split("C1")[0]
    for wrong in (("--series-uid", "1.2.3"), ("--all-studies",), ("--outputs", "nonsense"), ("--outputs", "")):
        with pytest.raises(UsageError):
            invoke(tmp_path / "ct.nii.gz", tmp_path / "more", *bright, *wrong)
    nifti.write(tmp_path / "labels.nii.gz", nifti.read_labels(first).array, ct.affine)
    with raises_code(NotHounsfieldError, "labels.nii.gz"):
        invoke(tmp_path / "labels.nii.gz", tmp_path / "more", *bright)
    assert not (tmp_path / "more").exists()


@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (("run", "absent", "out"), 3),
        (("run", "notes.txt", "out"), 3),
        (("run", ".", "out", "--levels", "C9"), 2),
        (("run", ".", "out", "--outputs", "nonsense"), 2),
        (("run", "ct.nii.gz", "out", "--outputs", "seg"), 2),
        (("predict", "--input", "absent", "--out", "out"), 3),
        (("evaluate", "--reference", "absent", "--prediction", "."), 3),
        (("evaluate", "--reference", ".", "--prediction", ".", "--levels", "C9"), 2),
        (("--help",), 0),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_the_command_line_shows_to_be_wrong_is_found_before_libraries_are_loaded(words, exit_code, tmp_path):
    (tmp_path / "notes.txt").write_text("no CT")
    (tmp_path / "ct.nii.gz").write_bytes(b"")
    code = (
        "import sys; from cspine.cli.main import main; sys.argv = ['cspine', *sys.argv[1:]]\n"
        "try: main(); code = 0\nexcept SystemExit as end: code = end.code or 0\n"
        "heavy = {'torch', 'monai', 'numpy', 'highdicom', 'holoscan', 'matplotlib', 'SimpleITK', 'pydicom', 'rich'}\n"
        "print(code, sorted(heavy & {name.split('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stderr.splitlines()[-1] == f"{exit_code} []"
