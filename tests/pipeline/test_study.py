"""A study, end to end: with the shipped model, with its first stage alone, and of a patient without any anatomy."""

import json
import logging
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import highdicom as hd
import numpy as np
import pytest
from pydicom import dcmread

from cspine.core.anatomy import CERVICAL_LEVELS
from cspine.core.errors import (
    DeviceError,
    MissingSliceError,
    NotCalibratedError,
    NotEnoughMemoryError,
    NoVertebraError,
    OutputNotEmptyError,
    UsageError,
)
from cspine.core.volumes import CtVolume, LabelVolume
from cspine.dicom.clock import Clock
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg_type import SegType
from cspine.dicom.write_ct import CtSeriesDescription, write_ct_series
from cspine.inference import memory
from cspine.inference.settings import InferenceSettings
from cspine.io.machine import Memory
from cspine.io.output import StudyOutput
from cspine.models.package import load_package
from cspine.pipeline import steps
from cspine.pipeline.outputs import parse_outputs
from cspine.pipeline.segmentation import find_vertebrae
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.steps.summary import input_summary
from cspine.pipeline.study import run_study
from cspine.report.summary import Summary
from cspine.study.evaluation.metrics import score_levels
from tests.builders.judges import dciodvfy_errors
from tests.builders.small_neck import MODELS, small_neck, write_neck

CLOCK = Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
SETTINGS = RunSettings(CLOCK, InferenceSettings(device="cpu"))
SEG_ALONE = replace(SETTINGS, outputs=parse_outputs("seg"))
SECRET = CtSeriesDescription(uid_seed="pipeline", patient_name="SECRET^Surname", patient_id="PRIVATE-77")


@pytest.fixture(scope="module")
def package(neck_model):
    return load_package(neck_model)


@pytest.fixture(scope="module")
def bright_package(bright_model):
    return load_package(bright_model)


@pytest.fixture(scope="module")
def neck(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("neck")
    write_neck(folder, SECRET)
    return folder


def run(source: Path, out: Path, package, settings: RunSettings = SETTINGS) -> Summary:
    with StudyOutput(out) as output:
        return run_study(scan_folder(source), package, settings, output)


def labels_of(path: Path) -> LabelVolume:
    """The labels of a written segmentation, axes to L, P, S, read by highdicom."""
    volume = hd.seg.segread(path).get_volume(combine_segments=True, relabel=False, allow_missing_positions=True)
    numbers = {s.SegmentNumber: s.SegmentLabel for s in hd.seg.segread(path).SegmentSequence}
    reoriented = volume.to_patient_orientation("HPL")  # highdicom names where the axes (k, j, i) point
    labels = np.zeros(reoriented.shape, dtype=np.uint8)
    for number, name in numbers.items():
        labels[reoriented.array == number] = next(v.label for v in CERVICAL_LEVELS if v.name == name)
    affine_kji = reoriented.get_affine("LPH")
    affine = np.eye(4)
    affine[:3, :3], affine[:3, 3] = affine_kji[:3, 2::-1], affine_kji[:3, 3]
    return LabelVolume(labels, affine)


@pytest.fixture(scope="module")
def result(neck, package, tmp_path_factory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("out") / "result"
    return out, run(neck, out, package)


@pytest.fixture(scope="module")
def bright_result(bright_study, bright_package, tmp_path_factory) -> tuple[Path, Summary]:
    out = tmp_path_factory.mktemp("out") / "bright"
    return out, run(bright_study, out, bright_package)


def scores_of(labels: LabelVolume) -> list[float]:
    scores = score_levels(small_neck()[1], labels, CERVICAL_LEVELS)
    assert [score.level for score in scores] == [level.name for level in CERVICAL_LEVELS]
    return [score.dice for score in scores]


def test_the_shipped_model_finds_the_vertebrae_of_the_example():
    shipped = load_package(MODELS / "cervical-demo")
    inference, vertebrae = find_vertebrae(small_neck()[0], shipped, replace(SETTINGS.inference, step_size=1.0))
    assert [stage["name"] for stage in inference.record["stages"]] == [stage.manifest.name for stage in shipped.stages]
    scores = scores_of(vertebrae.labels)
    assert min(scores) > 0.6 and np.mean(scores) > 0.75


def test_the_vertebrae_of_the_example_are_found_where_they_are(result):
    out, _ = result
    _, reference = small_neck()
    found = labels_of(out / "dicom" / "segmentation.dcm")
    index = np.linalg.inv(reference.affine_lps) @ found.affine_lps
    x, y, z = (round(float(v)) for v in index[:3, 3])
    complete = np.zeros_like(reference.labels_zyx)
    n, m, k = found.labels_zyx.shape
    complete[z : z + n, y : y + m, x : x + k] = found.labels_zyx
    scores = scores_of(LabelVolume(complete, reference.affine_lps))
    assert min(scores) > 0.6 and np.mean(scores) > 0.75


def test_the_object_is_valid_and_named(result):
    out, summary = result
    path = out / "dicom" / "segmentation.dcm"
    assert dciodvfy_errors(path) == []
    dataset = dcmread(path)
    assert str(dataset.PatientName) == "SECRET^Surname"
    assert [s.SegmentLabel for s in dataset.SegmentSequence] == [level.name for level in CERVICAL_LEVELS]
    algorithm = dataset.SegmentSequence[0].SegmentationAlgorithmIdentificationSequence[0]
    assert "DEMONSTRATION" in algorithm.AlgorithmName
    assert summary.outputs[0].sop_instance_uid == dataset.SOPInstanceUID


def test_the_summary_reports_all_and_contains_no_patient_data(result):
    out, summary = result
    text = (out / "report" / "summary.json").read_text()
    assert Summary.model_validate(json.loads(text)) == summary
    assert "SECRET" not in text and "PRIVATE" not in text
    assert summary.model.demonstration
    assert summary.input.decisions[0].chosen
    assert [v.level for v in summary.vertebrae] == [level.name for level in CERVICAL_LEVELS]
    assert all(2 < v.volume_ml < 25 and v.mean_hu > 100 for v in summary.vertebrae)
    assert {"select", "read", "infer", "postprocess", "write DICOM"} <= set(summary.timings_s)
    assert (out / "report" / "preview.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "report" / "report.html").read_text()
    assert "<h1>Vertebrae C1-T1</h1>" in page
    assert "SECRET" not in page and "PRIVATE" not in page


@pytest.mark.parametrize("orientation", ["RPI", "PSL", "LSA"])
def test_every_orientation_gives_the_same_anatomy(orientation, result, package, tmp_path):
    write_neck(tmp_path / "in", SECRET, orientation)
    run(tmp_path / "in", tmp_path / "out", package, replace(SEG_ALONE, series_uid=SECRET.series_uid))
    axial, other = (labels_of(folder / "dicom" / "segmentation.dcm") for folder in (result[0], tmp_path / "out"))
    agreement = _common_dice(axial, other)
    assert len(agreement) == len(CERVICAL_LEVELS)
    assert min(agreement) == 1.0


def _common_dice(first: LabelVolume, second: LabelVolume) -> list[float]:
    """Dice of each level of the first, over voxel centres in millimetres: the grids hold the same points."""
    points = []
    for volume in (first, second):
        z, y, x = np.nonzero(volume.labels_zyx)
        where = np.stack([x, y, z], axis=1) @ volume.affine_lps[:3, :3].T + volume.affine_lps[:3, 3]
        labels = volume.labels_zyx[z, y, x]
        tenths = np.rint(where * 10).astype(int).tolist()
        points.append({(*index, int(label)) for index, label in zip(tenths, labels, strict=True)})
    levels = sorted({p[3] for p in points[0]})
    return [
        2 * len(a & b) / (len(a) + len(b))
        for a, b in (tuple({p for p in side if p[3] == level} for side in points) for level in levels)
    ]


def test_the_same_clock_gives_the_same_bytes(result, neck, package, tmp_path):
    first = (result[0] / "dicom" / "segmentation.dcm").read_bytes()
    run(neck, tmp_path / "again", package, SEG_ALONE)
    assert (tmp_path / "again" / "dicom" / "segmentation.dcm").read_bytes() == first


def test_another_setting_gives_other_uids(bright_result, bright_study, bright_package, tmp_path):
    changed = replace(SEG_ALONE, seg_type=SegType.LABELMAP)
    uid = run(bright_study, tmp_path / "labelmap", bright_package, changed).outputs[0].sop_instance_uid
    assert uid != bright_result[1].outputs[0].sop_instance_uid


def test_a_failed_run_leaves_nothing_behind(neck, package, tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    for number, path in enumerate(sorted(neck.iterdir())):
        if number != 40:
            (broken / path.name).write_bytes(path.read_bytes())
    with pytest.raises(MissingSliceError):
        run(broken, tmp_path / "out", package)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (replace(SETTINGS, confidence="full"), NotCalibratedError),
        (replace(SETTINGS, inference=InferenceSettings(device="cpu", folds=("7",))), UsageError),
        (replace(SETTINGS, inference=InferenceSettings(device="cuda:99")), DeviceError),
    ],
)
def test_what_will_certainly_fail_fails_before_the_image_is_read(neck, package, tmp_path, monkeypatch, settings, error):
    monkeypatch.setattr(steps, "read_ct", lambda *_: pytest.fail("it was read"))
    with pytest.raises(error):
        run(neck, tmp_path / "out", package, settings)
    assert not (tmp_path / "out").exists()


def test_a_scan_that_does_not_fit_is_refused_before_it_is_read(neck, package, tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "read_ct", lambda *_: pytest.fail("it was read"))
    monkeypatch.setattr(memory, "memory", lambda: Memory(2**30, 2**20, None))
    with pytest.raises(NotEnoughMemoryError):
        run(neck, tmp_path / "out", package)


def test_air_has_no_vertebra_and_no_output(package, tmp_path):
    ct, _ = small_neck()
    air = CtVolume(np.full((70, 64, 60), -1000, dtype=np.int16), ct.affine_lps)
    write_ct_series(air, tmp_path / "in", CtSeriesDescription(uid_seed="air"))
    with pytest.raises(NoVertebraError):
        run(tmp_path / "in", tmp_path / "out", package)
    assert not (tmp_path / "out").exists()


def test_no_log_line_names_the_patient(bright_study, bright_package, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    run(bright_study, tmp_path / "out", bright_package)
    with pytest.raises(OutputNotEmptyError) as refused:
        run(bright_study, tmp_path / "out", bright_package)
    logging.getLogger("test").error("%s %s", refused.value, refused.value.advice)
    assert bright_package.identity.title in caplog.text
    assert "SECRET" not in caplog.text and "PRIVATE" not in caplog.text


def test_every_file_of_the_input_is_accounted_for(bright_study, tmp_path):
    folder = shutil.copytree(bright_study, tmp_path / "in")
    files = sorted(folder.iterdir())
    shutil.copy(files[0], folder / "copy.dcm")
    (folder / "notes.txt").write_text("notes")
    for number, size in enumerate((150, 160)):
        (folder / f"cut-{number}.dcm").write_bytes(files[number].read_bytes()[:size])
    chosen = steps.choose_series(steps.read_headers(folder), RunSettings())
    found = input_summary(chosen, steps.read_ct(chosen, RunSettings()))
    assert (found.slices, found.skipped_files, found.copied_files, found.damaged_files) == (len(files), 1, 1, 2)
    assert sum(found.damage.values()) == 2 and all(found.damage)


def test_a_serious_finding_is_seen_in_the_viewer(bright_study, bright_package, tmp_path):
    """A child's neck: the description of the series says that a person must look."""
    young = shutil.copytree(bright_study, tmp_path / "young")
    for path in young.iterdir():
        dataset = dcmread(path)
        dataset.PatientAge = "007Y"
        dataset.save_as(path)
    summary = run(young, tmp_path / "out", bright_package)
    assert "CS-FND-006" in [finding.code for finding in summary.findings if finding.severity == "serious"]
    assert str(dcmread(tmp_path / "out/dicom/segmentation.dcm").SeriesDescription).startswith("CHECK: ")
