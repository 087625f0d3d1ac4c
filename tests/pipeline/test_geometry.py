"""Surfaces and finite elements among the outputs of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

import cspine
from cspine.core.errors import DicomSourceNeededError
from cspine.core.findings import ORDER_CONTRADICTED
from cspine.pipeline.outputs import check_outputs
from cspine.pipeline.settings import RunSettings
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


def test_surface_objects_are_refused_before_inference_without_a_series() -> None:
    settings = RunSettings(outputs=("surfaces",), surfaces=SurfaceSettings(("dicom",)))
    check_outputs(settings, has_dicom=True)
    with pytest.raises(DicomSourceNeededError):
        check_outputs(settings, has_dicom=False)
    check_outputs(replace(settings, outputs=("nifti",)), has_dicom=False)
