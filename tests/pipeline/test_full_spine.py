"""A study with a full-spine model, end to end: every vertebra written, or a part of them on request."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pydicom import dcmread

from cspine.cli.run import command
from cspine.core.anatomy import VERTEBRAE, parse_levels
from cspine.core.errors import NoSuitableSeriesError, NoVertebraError, UsageError
from cspine.core.findings import COARSE_VOXELS, MOTION
from cspine.dicom.clock import Clock
from cspine.dicom.scan import scan_folder
from cspine.dicom.seg_type import SegType
from cspine.dicom.write_ct import CtSeriesDescription
from cspine.inference.settings import InferenceSettings
from cspine.io.output import StudyOutput
from cspine.models.package import ModelPackage
from cspine.pipeline import steps
from cspine.pipeline.settings import RunSettings
from cspine.pipeline.study import run_study
from cspine.report.summary import Summary
from tests.builders.judges import dciodvfy_errors, dcmqi_labels
from tests.builders.raises import raises_code
from tests.builders.spine_phantom import NORMAL, Trunk
from tests.builders.spine_studies import full_spine_package, predict_trunk_with, write_trunk

CLOCK = Clock(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
SETTINGS = RunSettings(CLOCK, InferenceSettings(device="cpu"))
ALL = Trunk(tuple(level.label for level in VERTEBRAE), spacing_mm=4.0)
NAMES = [level.name for level in VERTEBRAE]


@pytest.fixture(scope="module")
def package(tmp_path_factory) -> ModelPackage:
    return full_spine_package(tmp_path_factory.mktemp("model") / "spine")


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("study")
    write_trunk(folder, ALL, CtSeriesDescription(uid_seed="whole spine", body_part="ABDOMEN"))
    return folder


@pytest.fixture
def _predicted(monkeypatch: pytest.MonkeyPatch) -> None:
    predict_trunk_with(monkeypatch, ALL)


def run(source: Path, out: Path, package: ModelPackage, **changes: object) -> Summary:
    with StudyOutput(out) as output:
        return run_study(scan_folder(source), package, replace(SETTINGS, **changes), output)  # type: ignore[arg-type]


def anatomical(summary: Summary) -> list[tuple[str, str | None]]:
    """Codes and levels of the findings but those of large voxels and of solids without soft tissue around them."""
    image = (COARSE_VOXELS.code, MOTION.code)
    return [(finding.code, finding.level) for finding in summary.findings if finding.code not in image]


@pytest.mark.usefixtures("_predicted")
@pytest.mark.parametrize("seg_type", list(SegType))
def test_every_vertebra_is_a_segment_t13_and_l6_too(study, package, tmp_path, seg_type) -> None:
    summary = run(study, tmp_path / "out", package, seg_type=seg_type)
    path = tmp_path / "out" / "dicom" / "segmentation.dcm"
    assert dciodvfy_errors(path) == []
    dataset = dcmread(path)
    segments = [item for item in dataset.SegmentSequence if item.SegmentLabel != "Background"]
    assert [item.SegmentLabel for item in segments] == NAMES
    assert dataset.SeriesDescription.startswith("Vertebrae C1-L6")
    assert dataset.BodyPartExamined == "SPINE"
    for item in segments:
        code = item.SegmentedPropertyTypeCodeSequence[0]
        if item.SegmentLabel not in ("T13", "L6"):
            assert code.CodeMeaning == f"{item.SegmentLabel} vertebra"
            continue
        region = {"T": "122495006", "L": "122496007"}[item.SegmentLabel[0]]
        assert (code.CodeValue, item.AnatomicRegionSequence[0].CodeValue) == ("51282000", region)
    labels, _ = ALL.draw()
    masks = dcmqi_labels(path, tmp_path / "dcmqi", ALL.grid())
    for level in VERTEBRAE:
        assert np.array_equal(masks[level.name], labels == level.label), level.name
    assert [vertebra.level for vertebra in summary.vertebrae] == NAMES
    assert [code for code, _ in anatomical(summary)] == ["CS-FND-020", "CS-FND-021"]
    assert (tmp_path / "out" / "report" / "preview.png").is_file()


@pytest.mark.usefixtures("_predicted")
def test_levels_write_a_part_into_segmentation_summary_and_picture(study, package, tmp_path) -> None:
    complete = run(study, tmp_path / "whole", package)
    part = run(study, tmp_path / "part", package, levels=parse_levels("C1-T1,L6"))
    expected = [*NAMES[:8], "L6"]
    dataset = dcmread(tmp_path / "part" / "dicom" / "segmentation.dcm")
    assert [item.SegmentLabel for item in dataset.SegmentSequence] == expected
    assert [vertebra.level for vertebra in part.vertebrae] == expected
    assert part.settings["levels"] == "C1-T1,L6" and "levels" not in complete.settings
    assert part.outputs[0].sop_instance_uid != complete.outputs[0].sop_instance_uid
    pictures = [(tmp_path / name / "report" / "preview.png").read_bytes() for name in ("whole", "part")]
    assert pictures[0] != pictures[1]
    sizes = {v.level: v.volume_ml for v in complete.vertebrae}
    assert all(v.volume_ml == sizes[v.level] for v in part.vertebrae)


@pytest.mark.usefixtures("_predicted")
def test_findings_of_levels_that_are_not_written_stay_only_where_they_touch_a_number(study, package, tmp_path) -> None:
    neck = run(study, tmp_path / "neck", package, levels=parse_levels("C1-T1"))
    assert anatomical(neck) == []  # counted from C1: what is odd far below says nothing of a neck
    last = run(study, tmp_path / "last", package, levels=parse_levels("L5"))
    assert anatomical(last) == [("CS-FND-020", "T13"), ("CS-FND-021", "L6")]


@pytest.mark.usefixtures("_predicted")
def test_levels_that_the_model_cannot_predict_are_refused_before_anything_is_read(study, package, tmp_path) -> None:
    neck_only = replace(SETTINGS, levels=parse_levels("L1-L5"))
    with raises_code(UsageError, "L1-L5", "C1-T1"):
        steps.choose_series(scan_folder(study), neck_only)
    steps.choose_series(scan_folder(study), neck_only, package.levels)


def test_levels_that_were_not_found_are_an_error_that_names_those_that_were(study, package, tmp_path, monkeypatch):
    predict_trunk_with(monkeypatch, replace(ALL, holes=ALL.labels[8:]))
    with raises_code(NoVertebraError, "L1-L5", "C1-T1"):
        run(study, tmp_path / "out", package, levels=parse_levels("L1-L5"))
    assert not (tmp_path / "out").exists()


def test_rules_follow_the_model(study, package) -> None:
    """A series of the abdomen shows no neck, but vertebrae."""
    with raises_code(NoSuitableSeriesError, "'ABDOMEN'"):
        steps.choose_series(scan_folder(study), SETTINGS)
    assert steps.choose_series(scan_folder(study), SETTINGS, package.levels).selection.chosen.body_part == "ABDOMEN"


def test_a_study_without_the_neck_is_a_result(package, tmp_path, monkeypatch) -> None:
    lumbar = Trunk(NORMAL[17:], spacing_mm=4.0)
    write_trunk(tmp_path / "in", lumbar, CtSeriesDescription(uid_seed="lumbar"))
    predict_trunk_with(monkeypatch, lumbar)
    summary = run(tmp_path / "in", tmp_path / "out", package)
    assert [vertebra.level for vertebra in summary.vertebrae] == ["T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    assert [code for code, _ in anatomical(summary)] == ["CS-FND-023"]


@pytest.mark.usefixtures("_predicted")
def test_the_command_accepts_levels_and_refuses_what_are_none(study, package, tmp_path) -> None:
    arguments = [str(study), str(tmp_path / "out"), "--model", str(package.folder)]
    done = CliRunner().invoke(command, [*arguments, "--levels", "c3-C4, T13"], catch_exceptions=False)
    assert done.exit_code == 0
    written = json.loads((tmp_path / "out" / "report" / "summary.json").read_text())
    assert [vertebra["level"] for vertebra in written["vertebrae"]] == ["C3", "C4", "T13"]
    assert written["settings"]["levels"] == "C3-C4,T13"
    for levels, wrong in (("C1-C2,C8", "C8"), ("", "")):
        with raises_code(UsageError, "--levels", repr(wrong)):
            CliRunner().invoke(command, [*arguments, "--levels", levels], catch_exceptions=False)


def test_a_run_without_the_option_has_the_settings_that_it_always_had() -> None:
    """They go into every UID: one more would give the results of all earlier runs other names."""
    assert list(SETTINGS.as_text()) == [
        "seg_type", "folds", "mirror", "step_size", "precision", "repair_gaps", "incomplete", "series", "rules",
    ]  # fmt: skip
    chosen = replace(SETTINGS, levels=parse_levels("C2"), solve_levels=False).as_text()
    assert list(chosen.items())[-2:] == [("levels", "C2"), ("solve_levels", "no")]
