"""Surfaces and finite elements among the outputs of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import cspine
from cspine.core.errors import DicomSourceNeededError, UsageError
from cspine.core.findings import ORDER_CONTRADICTED
from cspine.pipeline.outputs import check_outputs
from cspine.pipeline.settings import RunSettings
from cspine.report.summary import Summary
from cspine.report.terminal import print_results
from cspine.surfaces.fe_model import FeModel, build_model
from cspine.surfaces.fe_settings import FeSettings
from cspine.surfaces.settings import SurfaceSettings


@pytest.fixture(scope="module")
def seg(bright_study: Path, bright_model: Path) -> cspine.Segmentation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1700000000")
        return cspine.segment(bright_study, cspine.load_model(bright_model), device="cpu")


def test_a_result_has_its_surfaces_and_elements(seg: cspine.Segmentation, tmp_path: Path) -> None:
    seg.settings = replace(
        seg.settings,
        surfaces=SurfaceSettings(("stl", "dicom")),
        elements=FeSettings(("vtu",), edge_mm=2.0),
    )
    levels = list(seg.vertebrae)
    summary = seg.save(tmp_path / "out", outputs=["surfaces", "fe", "summary"])
    written = {output.file for output in summary.outputs}
    expected = {f"report/surfaces/{level}.stl" for level in levels} | {f"dicom/surface-{level}.dcm" for level in levels}
    expected |= {"report/surfaces/surfaces.json", "report/fe/vertebrae.vtu", "report/fe/elements.json"}
    expected |= {"report/measurements.csv"}  # beside the summary
    assert written == expected
    for output in summary.outputs:
        if output.sop_instance_uid is not None:
            assert str(pydicom.dcmread(tmp_path / "out" / output.file).SOPInstanceUID) == output.sop_instance_uid
    assert seg.save(tmp_path / "out", outputs=["surfaces"], overwrite=True).outputs


def test_a_vertebra_that_cannot_be_meshed_is_stated_in_the_summary_and_at_the_terminal(
    seg: cspine.Segmentation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def partial(*arguments: object) -> FeModel:
        return replace(build_model(*arguments), rejected={"C7": "has no volume"})

    monkeypatch.setattr("cspine.pipeline.geometry.build_model", partial)
    settings = replace(seg.settings, elements=FeSettings(("vtu",), edge_mm=3.0))
    result = cspine.Segmentation(seg._study, settings)
    summary = result.save(tmp_path, outputs=["fe", "summary"])
    (warning,) = [each for each in summary.warnings if "C7" in each]
    written = Summary.model_validate_json((tmp_path / "report" / "summary.json").read_text())
    assert written.warnings == summary.warnings
    print_results(summary, tmp_path)
    assert f"note: {warning}" in capsys.readouterr().out


def test_surface_objects_of_a_result_with_a_serious_finding_say_check(seg: cspine.Segmentation, tmp_path: Path) -> None:
    vertebrae = replace(seg._study.vertebrae, findings=(ORDER_CONTRADICTED.about("Slices were exchanged."),))
    settings = replace(seg.settings, surfaces=SurfaceSettings(("dicom",)))
    cspine.Segmentation(replace(seg._study, vertebrae=vertebrae), settings).save(tmp_path, outputs=["surfaces"])
    (path,) = (tmp_path / "dicom").iterdir()
    assert pydicom.dcmread(path).SeriesDescription.startswith("CHECK")


def test_the_methods_of_the_result(seg: cspine.Segmentation) -> None:
    found = seg.surfaces()
    assert [each.surface.vertebra.name for each in found] == list(seg.vertebrae)
    model = seg.finite_elements(FeSettings(edge_mm=2.0))
    assert {part.name for part in model.vertebrae} <= set(seg.vertebrae)
    assert all(part.hu is not None for part in model.vertebrae)


def test_the_methods_know_what_ends_where_nothing_was_scanned(seg: cspine.Segmentation) -> None:
    level = list(seg.vertebrae)[-1]
    number = seg.vertebrae[level].label
    middle = int(np.argwhere(seg.labels.labels_zyx == number)[:, 0].mean())
    below = slice(0, middle) if seg.labels.affine_lps[2, 2] > 0 else slice(middle + 1, None)
    labels_zyx, hu_zyx = seg.labels.labels_zyx.copy(), seg.ct.hu_zyx.copy()
    labels_zyx[below], hu_zyx[below] = 0, -1024
    vertebrae = replace(seg._study.vertebrae, labels=replace(seg.labels, labels_zyx=labels_zyx))
    cut = cspine.Segmentation(replace(seg._study, ct=replace(seg.ct, hu_zyx=hu_zyx), vertebrae=vertebrae), seg.settings)
    wanted = {name: measured.touches_edge for name, measured in cut.vertebrae.items()}
    assert wanted[level]
    assert {each.surface.vertebra.name: each.solid.touches_edge for each in cut.surfaces()} == wanted
    for part in cut.finite_elements(FeSettings(edge_mm=2.0)).vertebrae:
        assert part.is_cut == wanted[part.name]


def test_a_gap_out_of_range_is_refused(seg: cspine.Segmentation) -> None:
    for gap in (-3, 9, float("nan"), "1"):
        with pytest.raises(UsageError):
            seg.surfaces(gap_mm=gap)  # type: ignore[arg-type]


def test_surface_objects_are_refused_before_inference_without_a_series() -> None:
    settings = RunSettings(outputs=("surfaces",), surfaces=SurfaceSettings(("dicom",)))
    check_outputs(settings, has_dicom=True)
    with pytest.raises(DicomSourceNeededError):
        check_outputs(settings, has_dicom=False)
    check_outputs(replace(settings, outputs=("nifti",)), has_dicom=False)
